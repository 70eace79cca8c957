/** Where sessions live, and which names they may have. */
import { mkdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { usageError } from '../errors.ts';

/** VTDECK_HOME, else $XDG_CONFIG_HOME/vtdeck, else ~/.config/vtdeck. */
export function homeFolder(): string {
  const own = process.env.VTDECK_HOME;
  if (own !== undefined && own !== '') return own;
  const xdg = process.env.XDG_CONFIG_HOME;
  return join(xdg?.startsWith('/') ? xdg : join(homedir(), '.config'), 'vtdeck');
}

/** A folder below the home, made when missing (mode 0700: a description of a host is nobody else's affair). */
export function folderBelowHome(name: 'sessions' | 'bin' | 'hosts'): string {
  const folder = join(homeFolder(), name);
  makeFolder(folder, 0o700);
  return folder;
}

/** The home folder, made when missing. @throws system errors where it can't be. */
export function madeHomeFolder(): string {
  const folder = homeFolder();
  makeFolder(folder, 0o700);
  return folder;
}

/**
 * Makes a folder and those above it. Node's own recursive mkdir never returns where a file system answers ENOENT for a
 * folder whose parent is there, as /proc does.
 */
export function makeFolder(path: string, mode = 0o777): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    // Somebody else made it in between, or a file has its name.
    if (!statSync(path).isDirectory()) throw Object.assign(thrown as Error, { code: 'ENOTDIR' });
  }
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a text may name a session: no path, no escape sequence, nothing hidden, at most 64 characters. */
export function isSessionName(text: string): boolean {
  return NAME.test(text) && !text.endsWith('.json') && !text.endsWith('.journal') && !text.includes('..');
}

/** @throws ApplicationError USAGE */
export function checkSessionName(text: string): string {
  if (isSessionName(text)) return text;
  throw usageError(
    `"${text.slice(0, 80)}" can't name a session`,
    'a name has 1 to 64 letters, digits, dots, underscores and dashes, and starts with a letter or digit',
  );
}
