/**
 * Sessions on disk: a folder each, with the snapshot (conf), the journal beside it and the lock. A folder is renamed,
 * binned and restored as one piece.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { finish, type Work } from '../../hw/index.ts';
import { ApplicationError, ExitCode, fileError, toApplicationError } from '../errors.ts';
import {
  decodeWholeSession,
  SESSION_FORMAT,
  SESSION_VERSION,
  type SessionDocument,
  type SessionOrigin,
} from './document.ts';
import {
  asDocument,
  documentPath,
  keepAside,
  readRawDocument,
  removeLeftovers,
  restorePrevious,
  writeDocument,
} from './document-file.ts';
import { History } from './history.ts';
import { type JournalContent, JournalWriter, readJournalInSteps } from './journal.ts';
import { describeOwner, type Lock, lockHolder, takeLock } from './lock.ts';
import { checkSessionName, folderBelowHome, isSessionName } from './paths.ts';
import type { JournalRecord } from './record.ts';

/** A session as read from disk, and what is needed to go on writing it (not when it was opened to read only). */
export interface OpenedSession {
  readonly name: string;
  readonly folder: string;
  readonly document: SessionDocument;
  readonly records: readonly JournalRecord[];
  readonly journalBytes: number;
  readonly writer: JournalWriter | undefined;
  readonly lock: Lock | undefined;
  /** Who has it, when it could only be opened to read. */
  readonly readOnlyReason: string | undefined;
  readonly notices: readonly string[];
}

export function sessionFolder(name: string): string {
  return join(folderBelowHome('sessions'), checkSessionName(name));
}

export function journalPath(folder: string): string {
  return join(folder, 'journal');
}

export function lockPath(folder: string): string {
  return join(folder, 'lock');
}

export function sessionExists(name: string): boolean {
  return isSessionName(name) && existsSync(sessionFolder(name));
}

export function sessionNames(): string[] {
  return readdirSync(folderBelowHome('sessions'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isSessionName(entry.name))
    .map((entry) => entry.name)
    .sort();
}

/** @throws ApplicationError ENOENT with the names there are. */
export function existingFolder(name: string): string {
  const folder = sessionFolder(name);
  if (existsSync(folder)) return folder;
  const names = sessionNames();
  throw new ApplicationError('ENOENT', `there is no session "${name}"`, {
    rule: 'session by name',
    remedy: `${names.length > 0 ? `there are: ${names.slice(0, 12).join(', ')}; ` : ''}make one with: vtdeck session create ${name}`,
    exitCode: ExitCode.usage,
  });
}

export interface NewSession {
  readonly origin: SessionOrigin;
  readonly title?: string;
  readonly tags?: string[];
  readonly notes?: string;
  /** Records to start with (an import, a copy); their first line is replaced by one of the new session. */
  readonly records?: readonly JournalRecord[];
}

/** Makes a session; it appears under its name in one step. @throws ApplicationError EEXIST */
export function createSession(name: string, session: NewSession, now: Date): void {
  const folder = sessionFolder(name);
  if (existsSync(folder)) throw nameTaken(name);
  const id = randomUUID();
  const building = join(folderBelowHome('sessions'), `.new-${process.pid}-${id}`);
  mkdirSync(building, { mode: 0o700 });
  try {
    writeSession(building, id, name, session, now);
    renameSync(building, folder);
  } catch (thrown) {
    rmSync(building, { recursive: true, force: true });
    const code = (thrown as NodeJS.ErrnoException).code;
    throw code === 'ENOTEMPTY' || code === 'EEXIST' ? nameTaken(name) : thrown;
  }
}

/** Removes a session that was just made and that nobody has seen. */
export function discardSession(name: string): void {
  rmSync(existingFolder(name), { recursive: true });
}

/** Writes journal and document of a new session into an empty folder. */
export function writeSession(folder: string, id: string, name: string, session: NewSession, now: Date): void {
  const begin = { kind: 'begin', session: id, origin: session.origin } as const;
  const writer = JournalWriter.create(journalPath(folder), begin);
  const history = new History();
  for (const record of session.records ?? []) {
    if (record.kind === 'begin') continue;
    const { seq: _seq, ...rest } = record;
    writer.append(rest);
    history.take(record);
  }
  writer.close();
  writeDocument(folder, {
    format: SESSION_FORMAT,
    version: SESSION_VERSION,
    id,
    title: session.title ?? name,
    origin: session.origin,
    tags: session.tags ?? [],
    notes: session.notes ?? '',
    createdAt: now.toISOString(),
    savedAt: now.toISOString(),
    checkpoint: {
      records: writer.length,
      bytes: writer.bytes,
      head: history.head,
      acts: history.position,
      digest: history.digests.get(history.head) ?? '',
    },
  });
}

export function nameTaken(name: string): ApplicationError {
  return new ApplicationError('EEXIST', `there is a session "${name}" already`, {
    rule: 'session names are unique',
    remedy: `choose another name, or: vtdeck session remove ${name}`,
    exitCode: ExitCode.refused,
  });
}

/** Reads a session without touching it. A line that a writer is just writing is left out. */
export function readSession(name: string): OpenedSession {
  return finish(readingSession(name));
}

/** The same in steps. */
export function* readingSession(name: string): Work<OpenedSession> {
  return yield* read(name, existingFolder(name), []);
}

/**
 * Opens a session to write; when another process has it, to read, with the reason.
 * @param what Shown to whoever finds it locked: "console", "do mdev.create".
 */
export function openSession(name: string, what: string, now: Date): OpenedSession {
  return finish(openingSession(name, what, now));
}

/** The same in steps; stopped, it is not open. */
export function* openingSession(name: string, what: string, now: Date): Work<OpenedSession> {
  const folder = existingFolder(name);
  const taken = lockOrReason(folder, what, now);
  if (typeof taken === 'string') return { ...(yield* read(name, folder, [])), readOnlyReason: taken };
  try {
    const notices: string[] = [];
    if (taken.tookOverFrom !== undefined) {
      notices.push(
        `the lock of ${describeOwner(taken.tookOverFrom)} was stale (that process is gone) and was taken over`,
      );
    }
    removeLeftovers(folder);
    bringUpToDate(folder, notices);
    const opened = yield* read(name, folder, notices);
    const content = { records: opened.records, bytes: opened.journalBytes };
    return { ...opened, writer: JournalWriter.resume(journalPath(folder), content), lock: taken };
  } catch (thrown) {
    taken.release();
    throw thrown;
  }
}

/** The lock, or why the session can only be read: who has it, or what keeps the folder from being written. */
function lockOrReason(folder: string, what: string, now: Date): Lock | string {
  try {
    const taken = takeLock(lockPath(folder), what, now);
    return 'release' in taken ? taken : describeOwner(taken.owner);
  } catch (thrown) {
    const { code } = toApplicationError(thrown);
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].includes(code)) throw thrown;
    return code === 'ENOSPC' ? `the disk is full (${folder})` : `its folder can not be written (${folder})`;
  }
}

/** A document of version 1 in place: becomes document and journal, the old file stays beside them. */
function bringUpToDate(folder: string, notices: string[]): void {
  if (existsSync(journalPath(folder))) return;
  const { version, text } = readRawDocument(folder);
  if (version !== 1) return;
  const path = documentPath(folder);
  const { document, records } = decodeWholeSession(text, path);
  const writer = JournalWriter.create(`${journalPath(folder)}.new`, {
    kind: 'begin',
    session: document.id,
    origin: document.origin,
  });
  for (const record of records.slice(1)) {
    const { seq: _seq, ...rest } = record;
    writer.append(rest);
  }
  writer.close();
  const kept = keepAside(path, 'version1');
  writeDocument(folder, { ...document, checkpoint: { ...document.checkpoint, bytes: writer.bytes } });
  renameSync(`${journalPath(folder)}.new`, journalPath(folder));
  notices.push(
    `the session was brought from format version 1 to ${SESSION_VERSION}; the old file is kept as ${kept}`,
  );
}

function* read(name: string, folder: string, notices: string[]): Work<OpenedSession & { notices: string[] }> {
  const document = readDocument(name, folder, notices);
  if ('records' in document) {
    return {
      ...document,
      name,
      folder,
      journalBytes: 0,
      writer: undefined,
      lock: undefined,
      readOnlyReason: undefined,
      notices,
    };
  }
  const path = journalPath(folder);
  let content: JournalContent;
  try {
    content = yield* readJournalInSteps(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    throw fileError('the journal of the session is missing', { file: path }, recoverRemedy(name));
  }
  const { damage, records } = content;
  if (damage !== undefined && !damage.torn) {
    throw fileError(
      damage.problem,
      { file: path, line: damage.line, offset: damage.offset },
      recoverRemedy(name),
    );
  }
  const begin = records[0];
  if (begin?.kind !== 'begin' || begin.session !== document.id) {
    throw fileError(
      'the journal belongs to another session',
      { file: path, line: 1, offset: 0 },
      recoverRemedy(name),
    );
  }
  if (records.length < document.checkpoint.records) {
    const lost = document.checkpoint.records - records.length;
    throw fileError(
      `${lost} records are missing at the end: the snapshot saw ${document.checkpoint.records}`,
      { file: path, line: records.length + 1, offset: content.bytes },
      recoverRemedy(name),
    );
  }
  if (damage?.torn) {
    notices.push(
      `recovered: the act under way when vtdeck last stopped was not complete and is gone (line ${damage.line} of the journal)`,
    );
  }
  return {
    name,
    folder,
    document,
    records,
    journalBytes: content.bytes,
    writer: undefined,
    lock: undefined,
    readOnlyReason: undefined,
    notices,
  };
}

/** The document; or, of version 1, the whole session as it would be after migration. */
function readDocument(
  name: string,
  folder: string,
  notices: string[],
): SessionDocument | { document: SessionDocument; records: JournalRecord[] } {
  try {
    const { value, version, text } = readRawDocument(folder);
    if (version === 1) return decodeWholeSession(text, documentPath(folder));
    return asDocument(value, folder);
  } catch (thrown) {
    if (restorePrevious(folder)) {
      notices.push(
        'recovered: the last save was cut short; the snapshot before it is back, and all acts of the journal',
      );
      return asDocument(readRawDocument(folder).value, folder);
    }
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') {
      throw fileError(
        'the document of the session is missing',
        { file: documentPath(folder) },
        recoverRemedy(name),
      );
    }
    if (!(thrown instanceof ApplicationError)) throw thrown;
    throw new ApplicationError(thrown.code, thrown.message, {
      rule: thrown.rule,
      place: thrown.place,
      remedy: thrown.remedy ?? recoverRemedy(name),
      exitCode: thrown.exitCode,
    });
  }
}

function recoverRemedy(name: string): string {
  return `nothing was changed. vtdeck session recover ${name} keeps the damaged file aside and goes on from what is whole`;
}

/** Why a session can't be acted on. @param reason What opening it said: who has it, or what can't be written. */
export function sessionBusy(name: string, reason: string): ApplicationError {
  const taken = /^(?:a )?process /.test(reason);
  const file = name.includes('/');
  const copy = reason.startsWith('the disk is full')
    ? 'make room, or set VTDECK_HOME elsewhere'
    : file
      ? `import it: vtdeck session import ${name}`
      : `work on a copy: vtdeck session copy ${name} ${name}-2`;
  return new ApplicationError(
    taken ? 'EBUSY' : 'EROFS',
    taken ? `session "${name}" is open in ${reason}` : `session "${name}" can only be read: ${reason}`,
    {
      rule: 'one writer a session',
      remedy: `${taken ? 'do it there, close it there, or ' : ''}${copy}`,
      exitCode: ExitCode.refused,
    },
  );
}

/** @throws EBUSY when a living process has it. */
export function refuseLocked(name: string, folder: string): void {
  const held = lockHolder(lockPath(folder));
  if (held !== undefined) throw sessionBusy(name, describeOwner(held.owner));
}

/** Changes tags, notes or title. @throws EBUSY when another process has the session. */
export function changeDocument(
  name: string,
  change: (document: SessionDocument) => Partial<Pick<SessionDocument, 'tags' | 'notes' | 'title'>>,
): SessionDocument {
  const opened = openSession(name, 'session mark', new Date());
  if (opened.lock === undefined) throw sessionBusy(name, opened.readOnlyReason ?? '');
  try {
    const document = { ...opened.document, ...change(opened.document) };
    writeDocument(opened.folder, document);
    return document;
  } finally {
    opened.writer?.close();
    opened.lock.release();
  }
}

export function renameSession(name: string, to: string): void {
  const folder = existingFolder(name);
  refuseLocked(name, folder);
  if (existsSync(sessionFolder(to))) throw nameTaken(to);
  renameSync(folder, sessionFolder(to));
}
