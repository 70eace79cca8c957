/**
 * A session's document on disk, through conf. conf replaces a file as a whole, but on a full disk the whole can be a
 * part: so the previous file stays linked beside it until the new one was read back in full.
 */
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Conf from 'conf';
import { ApplicationError } from '../errors.ts';
import {
  check,
  checkFormat,
  documentSchema,
  MAX_SESSION_BYTES,
  parseJson,
  type SessionDocument,
} from './document.ts';
import { isGone } from './lock.ts';

export const DOCUMENT_NAME = 'session';
const FILE = `${DOCUMENT_NAME}.json`;
const PREVIOUS = `${FILE}.previous`;

export function documentPath(folder: string): string {
  return join(folder, FILE);
}

/** The parsed document of any version. @throws ApplicationError FORMAT with its place; ENOENT when there is none. */
export function readRawDocument(folder: string): { value: unknown; version: number; text: string } {
  const path = documentPath(folder);
  if (statSync(path).size > MAX_SESSION_BYTES) {
    throw new ApplicationError('FORMAT', 'the file is too large for a session', {
      place: { file: path },
      exitCode: 2,
    });
  }
  const text = readFileSync(path, 'utf8');
  const value = parseJson(text, path);
  return { value, version: checkFormat(value, path), text };
}

/** @throws ApplicationError FORMAT */
export function asDocument(value: unknown, folder: string): SessionDocument {
  return check(documentSchema, value, documentPath(folder));
}

/** Writes the document and makes sure that it is there. @throws ApplicationError; the document before it then stays. */
export function writeDocument(folder: string, document: SessionDocument): void {
  const path = documentPath(folder);
  const previous = join(folder, PREVIOUS);
  const text = serialize(document);
  rmSync(previous, { force: true });
  const kept = linkIfThere(path, previous);
  try {
    const conf = new Conf<Record<string, unknown>>({
      cwd: folder,
      configName: DOCUMENT_NAME,
      clearInvalidConfig: false,
      accessPropertiesByDotNotation: false,
      configFileMode: 0o600,
      serialize,
    });
    conf.store = document as unknown as Record<string, unknown>;
    if (readFileSync(path, 'utf8') !== text)
      throw Object.assign(new Error('it was cut short'), { code: 'ENOSPC' });
  } catch (thrown) {
    if (kept) renameSync(previous, path);
    removeLeftovers(folder);
    const code = (thrown as NodeJS.ErrnoException).code ?? 'EIO';
    throw new ApplicationError(code, `the snapshot could not be written: ${(thrown as Error).message}`, {
      rule: 'a snapshot counts once it was read back',
      place: { file: path },
      remedy: 'no act is lost: they are in the journal. Make room and save again',
      cause: thrown,
    });
  }
  rmSync(previous, { force: true });
}

/** Puts back the document that a save cut short had set aside. True when there was one and it was needed. */
export function restorePrevious(folder: string): boolean {
  const previous = join(folder, PREVIOUS);
  try {
    asDocument(parseJson(readFileSync(previous, 'utf8'), previous), folder);
  } catch {
    return false;
  }
  renameSync(previous, documentPath(folder));
  return true;
}

/** Files that a killed save left behind. Only for who holds the lock. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const ofLock = /^lock\.(?:dead\.)?(\d+)(?:\.\d+)?$/.exec(name);
    const left = ofLock === null ? name.startsWith(`${FILE}.tmp-`) : isGone(Number(ofLock[1]));
    if (left) rmSync(join(folder, name), { force: true });
  }
}

/** A file is kept aside under the first free number: never over another. Returns its new path. */
export function keepAside(path: string, reason: string): string {
  for (let number = 1; ; number++) {
    const aside = `${path}.${reason}-${number}`;
    try {
      linkSync(path, aside);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw thrown;
    }
    rmSync(path);
    return aside;
  }
}

function serialize(value: unknown): string {
  return `${JSON.stringify(value, undefined, 1)}\n`;
}

function linkIfThere(path: string, to: string): boolean {
  try {
    linkSync(path, to);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new ApplicationError((thrown as NodeJS.ErrnoException).code ?? 'EIO', (thrown as Error).message, {
      rule: 'a snapshot keeps the one before it until it is complete',
      place: { file: dirname(path) },
      remedy: 'no act is lost: they are in the journal. Check that the folder can be written',
      cause: thrown,
    });
  }
}
