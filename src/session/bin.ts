/** Removed sessions: kept as they were, to be taken back. */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationError, ExitCode, safetyError } from '../errors.ts';
import { folderBelowHome } from './paths.ts';
import { existingFolder, nameTaken, refuseLocked, sessionFolder } from './store.ts';

/** A session in the bin: its name and when it went there. */
export interface BinnedSession {
  readonly name: string;
  readonly removedAt: string;
  readonly entry: string;
}

const BINNED = /^(.+)~(\d{8}T\d{6}\d*Z)$/;

/** Moves a session to the bin. */
export function removeSession(name: string, now: Date): void {
  const folder = existingFolder(name);
  refuseLocked(name, folder);
  const stamp = now.toISOString().replace(/[-:.]/g, '');
  renameSync(folder, join(folderBelowHome('bin'), `${name}~${stamp}`));
}

export function binnedSessions(): BinnedSession[] {
  return readdirSync(folderBelowHome('bin'))
    .map((entry) => ({ entry, match: BINNED.exec(entry) }))
    .filter(({ match }) => match !== null)
    .map(({ entry, match }) => ({ entry, name: match?.[1] ?? '', removedAt: match?.[2] ?? '' }))
    .sort((a, b) => (a.removedAt < b.removedAt ? 1 : -1));
}

/** Takes the latest session of that name back from the bin. */
export function restoreSession(name: string, as: string): void {
  const found = binnedSessions().find((entry) => entry.name === name);
  if (found === undefined) {
    throw new ApplicationError('ENOENT', `there is no session "${name}" in the bin`, {
      rule: 'bin',
      remedy: 'vtdeck session bin shows what there is',
      exitCode: ExitCode.usage,
    });
  }
  if (existsSync(sessionFolder(as))) throw nameTaken(as);
  renameSync(join(folderBelowHome('bin'), found.entry), sessionFolder(as));
}

/** Empties the bin for good. Returns how many sessions went. */
export function emptyBin(sure: boolean): number {
  const entries = binnedSessions();
  if (entries.length > 0 && !sure) {
    throw safetyError(`${entries.length} sessions would be gone for good`, 'say --yes if that is meant');
  }
  for (const { entry } of entries)
    rmSync(join(folderBelowHome('bin'), entry), { recursive: true, force: true });
  return entries.length;
}
