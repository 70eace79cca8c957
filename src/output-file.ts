/** Files that the program writes where the operator says: whole or not at all. */
import { randomUUID } from 'node:crypto';
import { realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

/**
 * Writes a file in place of what is there. Until all of it is on the disk, what was there stays.
 * @param mode Permissions of the new file. @throws the system's error, with the path in it.
 */
export function writeWholeFile(path: string, content: string, mode = 0o644): void {
  const there = statSync(path, { throwIfNoEntry: false });
  try {
    // A terminal, a pipe, /dev/null: nothing to replace; a folder says what it is.
    if (there !== undefined && !there.isFile()) writeFileSync(path, content);
    else replace(there === undefined ? path : realpathSync(path), content, mode);
  } catch (thrown) {
    throw Object.assign(thrown as Error, { path });
  }
}

function replace(path: string, content: string, mode: number): void {
  const building = `${path}.${randomUUID()}`;
  try {
    writeFileSync(building, content, { mode, flag: 'wx' });
    renameSync(building, path);
  } finally {
    rmSync(building, { force: true });
  }
}
