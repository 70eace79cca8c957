/** Files that the operator names to be read: whatever goes wrong with one says which. */
import { readFileSync } from 'node:fs';

/** All bytes of a file. @param path `-`: standard input. @throws the system's error, with the path in it. */
export function readInputBytes(path: string): Buffer {
  try {
    return readFileSync(path === '-' ? 0 : path);
  } catch (thrown) {
    // Node names the file when opening fails, not when reading does: a folder opens like any file.
    throw Object.assign(thrown as Error, { path: path === '-' ? 'standard input' : path });
  }
}

/** All of a file as UTF-8. @param path `-`: standard input. */
export function readInput(path: string): string {
  return readInputBytes(path).toString('utf8');
}
