/** Sessions as a whole: copied, written to one file, brought in from one. */
import { existsSync } from 'node:fs';
import type { Work } from '../../hw/index.ts';
import { safetyError } from '../errors.ts';
import { readInput } from '../input.ts';
import { writeWholeFile } from '../output-file.ts';
import { bundledSession } from './bundled.ts';
import { decodeWholeSession, encodeWholeSession, type WholeSession } from './document.ts';
import { openInSteps } from './open-workspace.ts';
import { createSession, readSession, sessionExists } from './store.ts';

/** A session of the store or of those bundled. */
function wholeSession(name: string): Pick<WholeSession, 'document' | 'records'> {
  const bundled = sessionExists(name) ? undefined : bundledSession(name);
  if (bundled !== undefined) return bundled;
  const { document, records } = readSession(name);
  return { document, records: [...records] };
}

/** Makes a second session with the same acts. @throws ApplicationError EEXIST, ENOENT */
export function copySession(name: string, to: string, now: Date): void {
  const { document, records } = wholeSession(name);
  const { origin, title, tags, notes } = document;
  createSession(to, { origin, title: title === name ? to : title, tags, notes, records }, now);
}

/** The session as the text of one file. */
export function sessionText(name: string): string {
  return encodeWholeSession(wholeSession(name));
}

/**
 * Writes a session to one file, whole or not at all. @returns how many bytes.
 * @throws ApplicationError when the file is there already, unless it may be overwritten.
 */
export function exportSession(name: string, file: string, overwrite: boolean): number {
  const text = sessionText(name);
  if (existsSync(file) && !overwrite)
    throw safetyError(`${file} is there already`, 'say --force to overwrite it');
  writeWholeFile(file, text, 0o600);
  return Buffer.byteLength(text);
}

export interface Imported {
  readonly name: string;
  /** Version of the format that the file was in. */
  readonly fromVersion: number;
  readonly version: number;
  /** Of the machine that its replay led to; empty when it came from standard input. */
  readonly digest: string;
}

/** Brings an exported session in, once it has been replayed; in steps. @param file Path; `-`: standard input. */
export function* importSession(file: string, name: string | undefined, now: Date): Work<Imported> {
  const session = decodeWholeSession(readInput(file), file);
  // Replayed before it is taken in: what does not run is not imported.
  let digest = '';
  if (file !== '-') {
    const replayed = yield* openInSteps({ session: asPath(file), readOnly: true, what: 'import' });
    digest = yield* replayed.host.digestInSteps();
  }
  const as = name ?? nameFor(session.document.title);
  const { origin, title, tags, notes, version } = session.document;
  createSession(as, { origin, title, tags, notes, records: session.records }, now);
  return { name: as, fromVersion: session.fromVersion, version, digest };
}

function asPath(file: string): string {
  return file.includes('/') ? file : `./${file}`;
}

/** A title as a name of a session. */
function nameFor(title: string): string {
  const plain = title
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|-+$/g, '')
    .replace(/\.{2,}/g, '.');
  return plain.slice(0, 64) || 'imported';
}
