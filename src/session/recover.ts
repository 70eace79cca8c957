/** What is done for a session whose files are damaged, when the operator asks for it. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileError } from '../errors.ts';
import type { SessionDocument, SessionOrigin } from './document.ts';
import { asDocument, documentPath, keepAside, readRawDocument } from './document-file.ts';
import { readJournal } from './journal.ts';
import { describeOwner, takeLock } from './lock.ts';
import type { JournalRecord } from './record.ts';
import { existingFolder, journalPath, lockPath, sessionBusy, writeSession } from './store.ts';

/**
 * Makes a damaged session usable again: every damaged file is kept aside, the acts before the damage stay.
 * @returns what was done, one sentence each.
 */
export function recoverSession(name: string, now: Date): string[] {
  const folder = existingFolder(name);
  const lock = takeLock(lockPath(folder), 'session recover', now);
  if (!('release' in lock)) throw sessionBusy(name, describeOwner(lock.owner));
  try {
    const said: string[] = [];
    const path = journalPath(folder);
    const content = existsSync(path) ? readJournal(path) : { records: [], bytes: 0, damage: undefined };
    const begin = content.records[0];
    let document: SessionDocument | undefined;
    try {
      document = asDocument(readRawDocument(folder).value, folder);
    } catch (thrown) {
      if (existsSync(documentPath(folder))) {
        said.push(
          `the damaged document is kept as ${keepAside(documentPath(folder), 'corrupt')} (${(thrown as Error).message})`,
        );
      }
    }
    const origin =
      document?.origin ?? (begin?.kind === 'begin' ? (begin.origin as SessionOrigin) : undefined);
    if (origin === undefined) {
      throw fileError(
        'neither document nor journal tells which host the session is of',
        { file: folder },
        'import it from an export',
      );
    }
    const kept: JournalRecord[] = content.records.filter((record) => record.kind !== 'begin');
    if (content.damage !== undefined || begin?.kind !== 'begin' || begin.session !== document?.id) {
      if (existsSync(path) && content.damage !== undefined) {
        said.push(
          `the damaged journal is kept as ${keepAside(path, 'corrupt')}; ${kept.length} records before line ${content.damage.line} stay`,
        );
      }
    }
    const building = join(folder, `.recover-${process.pid}`);
    mkdirSync(building, { mode: 0o700 });
    try {
      const id = document?.id ?? (begin?.kind === 'begin' ? begin.session : randomUUID());
      const { title, tags, notes } = document ?? {};
      writeSession(building, id, name, { origin, title, tags, notes, records: kept }, now);
      renameSync(journalPath(building), path);
      renameSync(documentPath(building), documentPath(folder));
    } finally {
      rmSync(building, { recursive: true, force: true });
    }
    said.push(`${kept.filter((record) => record.kind === 'act').length} acts are there`);
    return said;
  } finally {
    lock.release();
  }
}
