// The one test command: type check, linter and formatter, dead code, import directions, then every test.
// Prints one line a check, and ends with a line that counts what ran.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => join(root, 'node_modules', '.bin', name);
const checks = [
  ['types', bin('tsc'), ['--noEmit']],
  ['lint and format', bin('biome'), ['check', '--error-on-warnings', '.']],
  ['dead code', bin('knip'), ['--no-progress']],
  ['import directions', bin('depcruise'), ['--config', '.dependency-cruiser.cjs', 'hw', 'src', 'views']],
  ['import cycles', process.execPath, ['scripts/cycles.js']],
];

let passed = 0;
let failed = 0;
for (const [name, command, args] of checks) {
  const started = performance.now();
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (done.status === 0) {
    passed += 1;
    process.stdout.write(`ok      ${name} (${seconds} s)\n`);
  } else {
    failed += 1;
    process.stdout.write(`FAILED  ${name} (${seconds} s)\n${done.stdout ?? ''}${done.stderr ?? ''}\n`);
  }
}

const report = join(tmpdir(), `vtdeck-tests-${process.pid}.json`);
const environment = { ...process.env };
delete environment.CI; // Ink prints nothing until exit where CI is set
const tests = spawnSync(
  bin('vitest'),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: environment },
);
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped = result.numPendingTests + result.numTodoTests;
  tellSkipped(result.testResults);
} catch {
  failed += 1;
}
rmSync(report, { force: true });
if (tests.status !== 0 && failed === 0) failed += 1; // a file that did not load, an error outside a test
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exit(failed === 0 ? 0 : 1);

/** Names what did not run: material that is not beside the repository, or a tool that this machine lacks. */
function tellSkipped(files) {
  for (const { name, assertionResults } of files) {
    const titles = assertionResults
      .filter(({ status }) => ['pending', 'skipped', 'todo'].includes(status))
      .map(({ fullName }) => fullName);
    const more = titles.length > 1 ? ` and ${titles.length - 1} more` : '';
    if (titles.length > 0) process.stdout.write(`skipped ${relative(root, name)}: ${titles[0]}${more}\n`);
  }
}
