// Starts the built program on a terminal that is only made up, lets it draw its first frame and quits, so that the code
// which that needs is kept compiled beside it. `warm.js PROGRAM`
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

const home = mkdtempSync(join(tmpdir(), 'vtdeck-warm-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
Object.assign(process.env, { VTDECK_HOME: home, VTDECK_CODE: 'keep', TERM: 'xterm-256color' });
delete process.env.CI;
delete process.env.NO_COLOR;

const terminal = {
  isTTY: true,
  columns: 200,
  rows: 60,
  setRawMode: () => input,
  ref: () => {},
  unref: () => {},
};
const input = Object.assign(new PassThrough(), terminal);
const output = Object.assign(new PassThrough(), terminal);
for (const [name, value] of Object.entries({ stdin: input, stdout: output })) {
  Object.defineProperty(process, name, { value });
}
// `s` leaves the guide of the first start alone, `q` ends.
const keys = ['s', 'j', 'q'];
let drawn = '';
output.on('data', (bytes) => {
  drawn += bytes;
  if (!drawn.includes('quit') || keys.length === 0) return;
  const key = keys.shift();
  setTimeout(() => input.write(key), 50);
});
setTimeout(() => {
  process.stderr.write('no frame in 60 s\n');
  process.exit(1);
}, 60_000).unref();
process.argv = [process.argv[0], process.argv[2]];
createRequire(import.meta.url)(process.argv[1]);
