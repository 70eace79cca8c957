// Cycles among value imports (a cycle of types alone hides nothing and is fine): prints each once, exit 1 when there are
// any. esbuild reads the sources and drops what is only a type, so its list of imports is the one that counts.
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const entryPoints = ['hw', 'src', 'views'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(root, folder, name)),
);
const { metafile } = await build({
  entryPoints,
  outdir: 'nowhere',
  bundle: true,
  write: false,
  metafile: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
  absWorkingDir: root,
});

/** Imports of each file, without the lazy ones: those are how a cycle is cut on purpose. */
const imports = new Map(
  Object.entries(metafile.inputs).map(([file, input]) => [
    file,
    input.imports.filter((one) => !one.external && one.kind === 'import-statement').map((one) => one.path),
  ]),
);
const state = new Map();
const found = new Set();

function visit(file, path) {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    found.add(
      [...path.slice(path.indexOf(file)), file].map((one) => relative(root, join(root, one))).join(' → '),
    );
    return;
  }
  state.set(file, 'open');
  for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
  state.set(file, 'done');
}

for (const file of imports.keys()) visit(file, []);
for (const cycle of found) process.stdout.write(`${cycle}\n`);
process.stdout.write(`${imports.size} files, ${found.size} cycles\n`);
process.exit(found.size === 0 ? 0 : 1);
