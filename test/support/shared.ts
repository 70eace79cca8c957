/** Where the shared material lies: beside the repository, or where VTDECK_SHARED says. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = process.env.VTDECK_SHARED ?? resolve(import.meta.dirname, '../../../shared');

/** A folder of the shared material, or undefined when it is not there: such tests are skipped, and say so. */
export function sharedFolder(name: string): string | undefined {
  const folder = join(ROOT, name);
  return existsSync(folder) ? folder : undefined;
}
