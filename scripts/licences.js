// The licences of the packages whose code is in a bundle, as they ask: one text to go with it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param metafile esbuild's account of what went into the bundle, by paths from `root`. */
export function licencesOf(metafile, root) {
  const folders = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /^(?:.*:)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found !== null) folders.add(found[1]);
  }
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(root, folder)).find((each) => /^licen[cs]e(?:\.|$)/i.test(each));
    const text =
      file === undefined
        ? 'Its package holds no text of it.'
        : readFileSync(join(root, folder, file), 'utf8');
    return `${name} ${version}: ${license}\n\n${text.trim()}\n`;
  });
  return `This program holds code of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
