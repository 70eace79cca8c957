// Bundles the program into dist/: one file of code, run by a small first file that finds it compiled already.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { licencesOf } from './licences.js';
import { quickStart } from './quick-start.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const final = join(root, 'dist');
// Built beside and moved in place: a build that fails leaves the last one that worked.
const out = `${final}.${process.pid}`;
mkdirSync(out, { recursive: true });
process.on('exit', () => rmSync(out, { recursive: true, force: true }));

const { metafile } = await build({
  absWorkingDir: root,
  plugins: [quickStart(root, out)],
  entryPoints: { program: 'src/main.ts', 'plan-worker': 'src/plan/fleet-worker.ts' },
  outdir: out,
  bundle: true,
  // CommonJS: Node starts it without its module loader, and V8 takes it compiled.
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  supported: { 'dynamic-import': false },
  minify: true,
  sourcemap: false,
  charset: 'ascii',
  legalComments: 'none', // all of them are in one file beside it
  metafile: true,
  define: {
    'process.env.NODE_ENV': '"production"',
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
    'import.meta.url': '__fileUrl',
  },
  banner: { js: "const __fileUrl='file://'+encodeURI(__filename).replace(/[?#]/g,encodeURIComponent);" },
});
writeFileSync(join(out, 'LICENCES.txt'), licencesOf(metafile, root));
writeFileSync(join(out, 'package.json'), '{ "type": "commonjs" }\n');
cpSync(join(root, 'src', 'start.cjs'), join(out, 'vtdeck.js'));
chmodSync(join(out, 'vtdeck.js'), 0o755);
if (existsSync(join(root, 'saved-sessions'))) {
  cpSync(join(root, 'saved-sessions'), join(out, 'saved-sessions'), { recursive: true });
}
const warmed = spawnSync(process.execPath, [join(root, 'scripts', 'warm.js'), join(out, 'vtdeck.js')], {
  stdio: ['ignore', 'ignore', 'pipe'],
  encoding: 'utf8',
});
if (warmed.status !== 0 || !existsSync(join(out, 'program.cache'))) {
  process.stderr.write(`the built program does not start:\n${warmed.stderr}\n`);
  process.exit(1);
}
rmSync(final, { recursive: true, force: true });
renameSync(out, final);
