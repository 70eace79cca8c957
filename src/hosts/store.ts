/** Imported hosts, kept under a name: a JSON file each below the home folder. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { HostDescription } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import { writeWholeFile } from '../output-file.ts';
import { folderBelowHome } from '../session/paths.ts';
import { builtInHostNames } from './builtin.ts';
import { parseHostDescription } from './schema.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function pathOf(name: string): string {
  return join(folderBelowHome('hosts'), `${name}.json`);
}

/** Names of imported hosts, sorted. */
export function importedHostNames(): string[] {
  return readdirSync(folderBelowHome('hosts'))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -5))
    .sort();
}

/** An imported host, or undefined. @throws ApplicationError FORMAT when its file is damaged. */
export function importedHost(name: string): HostDescription | undefined {
  if (!NAME.test(name)) return undefined;
  const path = pathOf(name);
  return existsSync(path) ? parseHostDescription(readFileSync(path, 'utf8'), path) : undefined;
}

/** Keeps a host under a name. @throws ApplicationError USAGE for a name that can't be one. */
export function keepHost(name: string, description: HostDescription): string {
  if (!NAME.test(name)) {
    throw usageError(
      `"${name}" can't name a host`,
      'letters, digits, dot, dash and underscore, at most 64, starting with a letter or digit',
    );
  }
  if (builtInHostNames().includes(name)) {
    throw usageError(`"${name}" is the name of a host that comes with vtdeck`, 'choose another with --name');
  }
  const path = pathOf(name);
  writeWholeFile(path, `${JSON.stringify({ ...description, name })}\n`, 0o600);
  return path;
}

/** Forgets an imported host; false when there is none. */
export function forgetHost(name: string): boolean {
  if (!NAME.test(name) || !existsSync(pathOf(name))) return false;
  rmSync(pathOf(name));
  return true;
}
