// Bundles the program into dist/: one small entry, the rest in chunks that load when they are needed, so that a
// command that only prints never loads the console.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const final = join(root, 'dist');
// Built beside and moved in place: a build that fails leaves the last one that worked.
const out = `${final}.${process.pid}`;
mkdirSync(out, { recursive: true });
process.on('exit', () => rmSync(out, { recursive: true, force: true }));
await build({
  absWorkingDir: root,
  entryPoints: { vtdeck: 'src/main.ts', 'plan-worker': 'src/plan/fleet-worker.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minify: true,
  keepNames: true,
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
