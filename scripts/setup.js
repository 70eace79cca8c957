// Brings a checkout to the state in which a command can run: installs packages and builds, each only when
// something it depends on has changed. Uses nothing but Node itself, since it runs before the packages are there.
// When all is current it costs one stat per source file: well below 100 ms.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const packagesStamp = join(root, 'node_modules', '.vtdeck-packages');
const buildStamp = join(root, 'dist', '.vtdeck-build');
const sources = ['hw', 'src', 'views', 'scripts', 'saved-sessions', 'package-lock.json'];

const major = process.versions.node.split('.').map(Number);
if (major[0] < 20 || (major[0] === 20 && major[1] < 19)) {
  fail(
    `vtdeck needs Node 20.19 or newer; this is ${process.versions.node}. Install a newer Node and run again.`,
  );
}

if (!packagesCurrent()) {
  // Not `npm ci`: that refuses a lock file without the optional packages of systems other than the one it was made on.
  // The versions are those of the lock file all the same, and the lock file stays as it is.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], 'installing packages');
  writeFileSync(packagesStamp, lockText());
}
if (process.argv[2] === 'build' && !buildCurrent()) {
  run(process.execPath, [join(root, 'scripts', 'build.js')], 'building');
}

function packagesCurrent() {
  return existsSync(packagesStamp) && readFileSync(packagesStamp, 'utf8') === lockText();
}

function lockText() {
  return readFileSync(join(root, 'package-lock.json'), 'utf8');
}

function buildCurrent() {
  if (!existsSync(buildStamp)) return false;
  const stamp = readFileSync(buildStamp, 'utf8');
  const { newest, count } = survey(sources.map((name) => join(root, name)));
  return stamp === stampOf(count) && statSync(buildStamp).mtimeMs >= newest;
}

/** What a build was made from, and by which Node: another one can't use the code that was compiled. */
function stampOf(count) {
  return `${count} ${process.version}\n`;
}

/** The newest change time below the paths and the number of files (so that a removed file counts as a change). */
function survey(paths) {
  let newest = 0;
  let count = 0;
  for (const path of paths) {
    if (!existsSync(path)) continue;
    const stat = statSync(path);
    if (stat.isDirectory()) {
      const below = survey(readdirSync(path).map((name) => join(path, name)));
      newest = Math.max(newest, below.newest);
      count += below.count;
    } else {
      newest = Math.max(newest, stat.mtimeMs);
      count += 1;
    }
  }
  return { newest, count };
}

function run(command, args, what) {
  process.stderr.write(`vtdeck: ${what} …\n`);
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (done.status !== 0)
    fail(`vtdeck: ${what} failed (${command} ${args.join(' ')}). The lines above say why.`);
  if (what === 'building') {
    const { count } = survey(sources.map((name) => join(root, name)));
    writeFileSync(buildStamp, stampOf(count));
  }
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
