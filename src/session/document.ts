/**
 * A session's own document: the snapshot that conf keeps, and (with the journal's records in it) the one file that an
 * export is. Older formats are read and brought up to date; what is newer is refused.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { fileError, type Place, printable } from '../errors.ts';
import { decodeRecord, encodeRecord, type JournalRecord } from './record.ts';

export const SESSION_FORMAT = 'vtdeck-session';
/** 1: a list of acts. 2: the tree of acts as records, tags and notes, digests. */
export const SESSION_VERSION = 2;

const profileName = z.enum(['5.15', '6.1', '7.2']);

/** Which host a session starts from: a built-in one by name, or a description of its own. */
const originSchema = z.object({
  host: z.union([
    z.object({ builtin: z.string().max(64) }),
    z.looseObject({ format: z.literal('vtdeck-host'), name: z.string().max(256) }),
  ]),
  profile: profileName,
});

export type SessionOrigin = z.infer<typeof originSchema>;

/** Text for people that can't drive their terminal. */
const text = (longest: number): z.ZodString => z.string().max(longest).overwrite(printable);

export const documentSchema = z.object({
  format: z.literal(SESSION_FORMAT),
  version: z.literal(SESSION_VERSION),
  /** Told apart from others of the same name: the journal's first line has it too. */
  id: z.string().max(64),
  title: text(200),
  origin: originSchema,
  tags: z.array(text(64)).max(64),
  notes: text(65536),
  createdAt: z.string().max(40),
  savedAt: z.string().max(40),
  /** What was on disk when this was written: fewer records than that means that the journal lost some. */
  checkpoint: z.object({
    records: z.int().min(0),
    bytes: z.int().min(0),
    head: z.int().min(0),
    acts: z.int().min(0),
    digest: z.string().max(128),
  }),
});

export type SessionDocument = z.infer<typeof documentSchema>;

const exportedSchema = documentSchema.extend({
  /** Lines of the journal, each with number and checksum. */
  journal: z.array(z.string().max(65536)).max(2_000_000),
});

/** Version 1: linear, written by hand or by early versions. */
const versionOneSchema = z.object({
  format: z.literal(SESSION_FORMAT),
  version: z.literal(1),
  name: text(200),
  host: originSchema.shape.host,
  profile: profileName.default('5.15'),
  notes: text(65536).default(''),
  tags: z.array(text(64)).max(64).default([]),
  acts: z
    .array(z.object({ action: z.string().max(64), args: z.record(z.string(), z.unknown()).default({}) }))
    .max(1_000_000),
});

/** Nobody's session is that large; what is larger is refused before it is parsed. */
export const MAX_SESSION_BYTES = 1 << 28;

/** A session in one piece. */
export interface WholeSession {
  readonly document: SessionDocument;
  readonly records: JournalRecord[];
  /** The version of the file it was read from. */
  readonly fromVersion: number;
}

/** One file: document and journal together. */
export function encodeWholeSession(session: Pick<WholeSession, 'document' | 'records'>): string {
  const journal = session.records.map((record) => encodeRecord(record).trimEnd());
  return `${JSON.stringify({ ...session.document, journal }, undefined, 1)}\n`;
}

/**
 * Reads an exported session, of this format or an older one.
 * @throws ApplicationError FORMAT with line or record.
 */
export function decodeWholeSession(text: string, file: string): WholeSession {
  if (text.length > MAX_SESSION_BYTES) throw fileError('the file is too large for a session', { file });
  const value = parseJson(text, file);
  const version = checkFormat(value, file);
  if (version === 1) return migrateFromOne(check(versionOneSchema, value, file), file);
  const { journal, ...document } = check(exportedSchema, value, file);
  const records = journal.map((line, at) => {
    const decoded = decodeRecord(line);
    if ('problem' in decoded) throw fileError(`journal line ${at + 1}: ${decoded.problem}`, { file });
    if (decoded.record.seq !== at)
      throw fileError(`journal line ${at + 1} has number ${decoded.record.seq}`, { file });
    return decoded.record;
  });
  const begin = records[0];
  if (begin?.kind !== 'begin' || begin.session !== document.id) {
    throw fileError('the journal in it belongs to another session', { file });
  }
  return { document, records, fromVersion: version };
}

/** The version of what claims to be a session. @throws FORMAT for foreign and for newer ones. */
export function checkFormat(value: unknown, file: string): number {
  const shape = (typeof value === 'object' && value !== null ? value : {}) as {
    format?: unknown;
    version?: unknown;
  };
  if (shape.format !== SESSION_FORMAT) {
    throw fileError(
      'no session of vtdeck ("format" is missing or another)',
      { file },
      'vtdeck session export NAME makes one',
    );
  }
  if (typeof shape.version !== 'number' || shape.version < 1 || !Number.isInteger(shape.version)) {
    throw fileError('"version" is no version number', { file });
  }
  if (shape.version > SESSION_VERSION) {
    throw fileError(
      `it has format version ${shape.version}; this vtdeck reads up to ${SESSION_VERSION}`,
      { file },
      'use the vtdeck that wrote it, or a newer one',
    );
  }
  return shape.version;
}

/** Parses JSON. @throws FORMAT with line and column. */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (thrown) {
    const message = (thrown as Error).message;
    const said = message.replace(/(?: in JSON at position|, [^ ]*").*$/s, '');
    throw fileError(`not JSON: ${said}`, placeInText(text, message, file));
  }
}

function placeInText(text: string, message: string, file: string): Place {
  const match = /position (\d+)/.exec(message);
  if (match === null && !message.includes('end of JSON')) return { file };
  const position = match === null ? text.length : Number(match[1]);
  const before = text.slice(0, position);
  const line = before.split('\n').length;
  return { file, line, column: position - before.lastIndexOf('\n'), offset: Buffer.byteLength(before) };
}

/** Holds a value against a schema. @throws FORMAT that names the field. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  file: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw fileError(`${issue.path.join('.') || 'document'}: ${issue.message}`, { file });
}

/** A list of acts becomes a journal: one act after the other, from the empty host. */
function migrateFromOne(old: z.infer<typeof versionOneSchema>, file: string): WholeSession {
  const id = `migrated-${crc32(JSON.stringify(old)).toString(16).padStart(8, '0')}`;
  const origin: SessionOrigin = { host: old.host, profile: old.profile };
  const records: JournalRecord[] = [{ kind: 'begin', seq: 0, session: id, origin }];
  for (const [at, act] of old.acts.entries()) {
    const line = encodeRecord({
      kind: 'act',
      seq: at + 1,
      parent: at,
      action: act.action,
      args: act.args as Record<string, string>,
      at: 0,
    });
    const decoded = decodeRecord(line.trimEnd());
    if ('problem' in decoded) throw fileError(`acts[${at}]: ${decoded.problem}`, { file });
    records.push(decoded.record);
  }
  return {
    document: {
      format: SESSION_FORMAT,
      version: SESSION_VERSION,
      id,
      title: old.name,
      origin,
      tags: old.tags,
      notes: old.notes,
      createdAt: new Date(0).toISOString(),
      savedAt: new Date(0).toISOString(),
      checkpoint: {
        records: records.length,
        bytes: 0,
        head: records.length - 1,
        acts: old.acts.length,
        digest: '',
      },
    },
    records,
    fromVersion: 1,
  };
}
