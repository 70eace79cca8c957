/** Takes a lock so many times and adds one to a counter each time, with time between reading and writing it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { takeLock } from '../../src/session/lock.ts';

const [lockFile, counter, rounds, dieAt] = process.argv.slice(2);
const pause = new Int32Array(new SharedArrayBuffer(4));
for (let done = 0; done < Number(rounds); ) {
  const lock = takeLock(lockFile, 'child', new Date());
  if (!('release' in lock)) {
    Atomics.wait(pause, 0, 0, 1);
    continue;
  }
  const value = Number(readFileSync(counter, 'utf8'));
  Atomics.wait(pause, 0, 0, 1);
  writeFileSync(counter, String(value + 1));
  done += 1;
  // Dies with the lock in its hands: the others must take it over.
  if (done === Number(dieAt)) process.kill(process.pid, 'SIGKILL');
  lock.release();
}
