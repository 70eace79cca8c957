// What packages do at start that a console on a terminal has no use for, and that costs more than all of ours:
// an esbuild plugin that leaves it out of the bundle.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

/** Parts of Node that take milliseconds to load and that no first frame needs. */
const HEAVY = [
  'assert',
  'child_process',
  'crypto',
  'http',
  'https',
  'module',
  'readline',
  'worker_threads',
  'zlib',
];

/** The plugin, for a bundle of the tree at `root` that is written to the folder `out`. */
export function quickStart(root, out) {
  return {
    name: 'quick-start',
    setup(bundler) {
      loadHeavyPartsOnUse(bundler);
      // Wrapping the process object asks it for every property that it makes on demand.
      bundler.onResolve({ filter: /^(?:node:)?process$/ }, () => ({ path: 'process', namespace: 'process' }));
      bundler.onLoad({ filter: /.*/, namespace: 'process' }, () => ({
        contents:
          'export default process; export const { env } = process; export const cwd = () => process.cwd();',
      }));
      // string-width compiles patterns of all emoji, 40 ms; ours looks code points up.
      bundler.onResolve({ filter: /^string-width$/ }, () => ({
        path: join(root, 'src', 'terminal', 'string-width.ts'),
      }));
      // `z` holds all that zod has, translations into forty languages too; by a star import esbuild takes what is used.
      change(bundler, /[\\/](?:src|views)[\\/].*\.ts$/, (text) =>
        text.replace("import { z } from 'zod'", "import * as z from 'zod'"),
      );
      // Ink's developer tools are not shipped, and loading them is what makes Ink a module that must be awaited.
      change(bundler, /[\\/]ink[\\/]build[\\/]reconciler\.js$/, (text) =>
        swap(swap(text, /if \(isDev\(\)\) \{[\s\S]*?\n\}\n/, ''), 'await loadPackageJson()', '{}'),
      );
      // conf checks schemas and migrates between versions on request; this program asks for neither. What it compares, it
      // compares with a part of Node that writes long reports of differences.
      change(bundler, /[\\/]conf[\\/]dist[\\/]source[\\/]index\.js$/, (text) => {
        let changed = swap(text, "import { Ajv2020 as Ajv } from 'ajv/dist/2020.js';", '');
        changed = swap(changed, 'new Ajv(', "new (require('ajv/dist/2020.js').Ajv2020)(");
        changed = swap(changed, "import ajvFormatsModule from 'ajv-formats';", '');
        changed = swap(changed, 'ajvFormatsModule.default', "require('ajv-formats')");
        changed = swap(changed, 'assert.deepEqual(', 'mustEqual(');
        changed = swap(
          changed,
          "import assert from 'node:assert';",
          "const mustEqual = (a, b) => { if (!isDeepStrictEqual({ ...a }, { ...b })) throw new Error('differs'); };",
        );
        const semver = "const semver = new Proxy({}, { get: (_, name) => require('semver')[name] });";
        return swap(changed, "import semver from 'semver';", semver);
      });
      // A segmenter loads the rules of all scripts. What is drawn is one character a line and needs none; clipping,
      // which only overlays do, makes one when it comes to it.
      const graphemes = JSON.stringify(join(root, 'src', 'terminal', 'graphemes.ts'));
      change(bundler, /[\\/]ansi-tokenize[\\/]build[\\/]tokenize\.js$/, (text) =>
        swap(
          text,
          /const segmenter = new Intl\.Segmenter\(.*?\);/,
          `import { graphemesOf } from ${graphemes};\nconst segmenter = { segment: graphemesOf };`,
        ),
      );
      change(bundler, /[\\/]slice-ansi[\\/]tokenize-ansi\.js$/, (text) =>
        swap(
          text,
          /const GRAPHEME_SEGMENTER = (new Intl\.Segmenter\(.*?\));/,
          'let made; const GRAPHEME_SEGMENTER = { segment: (text) => (made ??= $1).segment(text) };',
        ),
      );
      // For the clock alone Node would load all its measuring.
      const clock = '({ now: () => process.uptime() * 1000 })';
      change(bundler, /[\\/](?:scheduler\.production|ink[\\/]build[\\/]ink)\.js$/, (text) =>
        swap(text, /\bperformance\b/, clock),
      );
      change(bundler, /[\\/]signal-exit[\\/]index\.js$/, (text) =>
        swap(text, "assert.equal(typeof cb, 'function', 'a callback must be provided for exit handler')", ''),
      );
      // A handler of a signal waits until work that takes long lets go. Ending at once is safe: what is told is on the disk.
      change(bundler, /[\\/]when-exit[\\/]dist[\\/]node[\\/]interceptor\.js$/, (text) =>
        swap(text, 'process.once(signal, () => this.exit(signal));', ''),
      );
      layoutEngine(bundler, out);
    },
  };
}

/**
 * Yoga, Ink's layout engine, comes as WebAssembly in base64 within a module that decodes and compiles it while others
 * wait. Here it is a file that is read and compiled at once.
 */
function layoutEngine(bundler, out) {
  change(bundler, /yoga-layout[\\/]dist[\\/]src[\\/]index\.js$/, (text) =>
    swap(
      text,
      'const Yoga = wrapAssembly(await loadYoga());',
      `import { readFileSync } from 'node:fs';
       const assembly = {
         instantiateWasm(imports, receive) {
           const code = new WebAssembly.Module(readFileSync(__dirname + '/yoga.wasm'));
           const instance = new WebAssembly.Instance(code, imports);
           receive(instance);
           return instance.exports;
         },
       };
       loadYoga(assembly);
       const Yoga = wrapAssembly(assembly);`,
    ),
  );
  change(bundler, /yoga-layout[\\/]dist[\\/]binaries[\\/]/, (text) => {
    const [whole, code] = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/.exec(text);
    writeFileSync(join(out, 'yoga.wasm'), Buffer.from(code, 'base64'));
    return swap(swap(text, whole, 'yoga.wasm'), 'import.meta.url', "''");
  });
}

function loadHeavyPartsOnUse(bundler) {
  const filter = new RegExp(`^(?:node:)?(?:${HEAVY.join('|')})$`);
  bundler.onResolve({ filter }, ({ path, namespace }) => {
    const name = path.replace(/^node:/, '');
    return namespace === 'on-use'
      ? { path: `node:${name}`, external: true }
      : { path: name, namespace: 'on-use' };
  });
  bundler.onLoad({ filter: /.*/, namespace: 'on-use' }, ({ path }) => ({
    contents: `for (const name of ${JSON.stringify(Object.keys(require(`node:${path}`)))})
      Object.defineProperty(exports, name, { enumerable: true, get: () => require('node:${path}')[name] });`,
    loader: 'js',
  }));
}

function change(bundler, filter, edit) {
  bundler.onLoad({ filter }, ({ path }) => ({
    contents: edit(readFileSync(path, 'utf8')),
    loader: path.endsWith('.ts') ? 'ts' : 'js',
  }));
}

/** Replaces what must be there: a package that has changed stops the build instead of going by unseen. */
function swap(text, what, by) {
  const found = typeof what === 'string' ? text.includes(what) : what.test(text);
  if (!found)
    throw new Error(`a package has changed: ${what} is not in it any more; see scripts/quick-start.js`);
  return text.replaceAll(typeof what === 'string' ? what : new RegExp(what, `${what.flags}g`), by);
}
