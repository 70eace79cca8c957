// Bundles the program into dist/: one small entry, the rest in chunks that load when they are needed, so that a
// command that only prints never loads the console.
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const final = join(root, 'dist');
// Built beside and moved in place: a build that fails leaves the last one that worked.
const out = `${final}.${process.pid}`;
mkdirSync(out, { recursive: true });
process.on('exit', () => rmSync(out, { recursive: true, force: true }));

/** What packages do at start that a console on a terminal has no use for, and that costs more than all of ours. */
const quickStart = {
  name: 'quick-start',
  setup(bundler) {
    // string-width compiles patterns of all emoji, 40 ms; ours looks code points up.
    bundler.onResolve({ filter: /^string-width$/ }, () => ({
      path: join(root, 'src', 'terminal', 'string-width.ts'),
    }));
    // `z` holds all that zod has, translations into forty languages too; by a star import esbuild takes what is used.
    bundler.onLoad({ filter: /[\\/](?:src|views)[\\/].*\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace("import { z } from 'zod'", "import * as z from 'zod'"),
      loader: 'ts',
    }));
    // yoga-layout would fetch its own code from a data URL, for which Node loads its whole HTTP client.
    bundler.onLoad({ filter: /yoga-layout[\\/]dist[\\/]binaries[\\/]/ }, ({ path }) => ({
      contents: `const fetch = undefined;\n${readFileSync(path, 'utf8')}`,
      loader: 'js',
    }));
  },
};

await build({
  absWorkingDir: root,
  plugins: [quickStart],
  entryPoints: { vtdeck: 'src/main.ts', 'plan-worker': 'src/plan/fleet-worker.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minify: true,
  sourcemap: false,
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  // Ink asks for its developer tools only when DEV is set; they are not shipped.
  external: ['react-devtools-core'],
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
});
if (existsSync(join(root, 'saved-sessions'))) {
  cpSync(join(root, 'saved-sessions'), join(out, 'saved-sessions'), { recursive: true });
}
rmSync(final, { recursive: true, force: true });
renameSync(out, final);
