/**
 * The append-only journal of a session. An act is one write of one line, whatever came before: its cost does not grow.
 * A line is there wholly or it is torn, and a torn last line is the act under way when the machine stopped.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { finish, type Work } from '../../hw/index.ts';
import { ApplicationError, ExitCode } from '../errors.ts';
import { decodeRecord, encodeRecord, type JournalRecord, type RecordWithoutNumber } from './record.ts';

/** Beyond this a file is no journal of ours (100,000 acts are some 20 MB). */
const MAX_JOURNAL_BYTES = 1 << 30;

/** Read between two pauses. */
const LINES_A_STEP = 128;

/** Something in a journal that is not as it was written. */
export interface Damage {
  /** From 1. */
  readonly line: number;
  /** Bytes before the line. */
  readonly offset: number;
  readonly problem: string;
  /** Only the last line, unfinished: the act under way when the machine stopped. */
  readonly torn: boolean;
}

export interface JournalContent {
  readonly records: JournalRecord[];
  /** Bytes of the good lines. */
  readonly bytes: number;
  /** What stands after the good lines, if anything. */
  readonly damage: Damage | undefined;
}

/** Reads as far as the lines are good. @throws system errors, and FORMAT when it is far too large. */
export function readJournal(path: string): JournalContent {
  return finish(readJournalInSteps(path));
}

/** The same in steps of some lines. */
export function* readJournalInSteps(path: string): Work<JournalContent> {
  const content = readFileSync(path);
  if (content.length > MAX_JOURNAL_BYTES) {
    throw new ApplicationError(
      'FORMAT',
      `the journal has ${content.length} bytes, more than ${MAX_JOURNAL_BYTES}`,
      {
        place: { file: path },
        exitCode: ExitCode.usage,
      },
    );
  }
  return yield* parseJournal(content);
}

export function* parseJournal(content: Buffer): Work<JournalContent> {
  const records: JournalRecord[] = [];
  let offset = 0;
  while (offset < content.length) {
    const newline = content.indexOf(0x0a, offset);
    const end = newline < 0 ? content.length : newline;
    const decoded = decodeRecord(content.toString('utf8', offset, end));
    const line = records.length + 1;
    const last = newline < 0 || newline === content.length - 1;
    if (newline < 0) {
      return {
        records,
        bytes: offset,
        damage: { line, offset, problem: 'the last line is unfinished', torn: true },
      };
    }
    if ('problem' in decoded) {
      return {
        records,
        bytes: offset,
        damage: { line, offset, problem: decoded.problem, torn: last && line > 1 },
      };
    }
    if (decoded.record.seq !== records.length) {
      const problem = `record ${decoded.record.seq} stands where ${records.length} belongs: lines are lost or doubled`;
      return { records, bytes: offset, damage: { line, offset, problem, torn: false } };
    }
    records.push(decoded.record);
    if (records.length % LINES_A_STEP === 0) yield { done: 0, total: undefined };
    offset = end + 1;
  }
  return { records, bytes: offset, damage: undefined };
}

/** An open journal to append to. The holder of the session's lock is the only one that has one. */
export class JournalWriter {
  private readonly path: string;
  private readonly descriptor: number;
  private nextSequence: number;
  private size: number;
  private unsynced = false;

  private constructor(path: string, descriptor: number, nextSequence: number, size: number) {
    this.path = path;
    this.descriptor = descriptor;
    this.nextSequence = nextSequence;
    this.size = size;
  }

  /** Starts a journal. @throws EEXIST when there is one. */
  static create(path: string, begin: RecordWithoutNumber): JournalWriter {
    const writer = new JournalWriter(path, openSync(path, 'wx', 0o600), 0, 0);
    writer.append(begin);
    writer.sync();
    return writer;
  }

  /** Goes on after the good lines; what stands after them (a torn line) is cut off. */
  static resume(
    path: string,
    content: { readonly records: readonly unknown[]; readonly bytes: number },
  ): JournalWriter {
    const descriptor = openSync(path, 'r+');
    if (fstatSync(descriptor).size > content.bytes) ftruncateSync(descriptor, content.bytes);
    return new JournalWriter(path, descriptor, content.records.length, content.bytes);
  }

  /** Bytes on disk. */
  get bytes(): number {
    return this.size;
  }

  /** Records on disk. */
  get length(): number {
    return this.nextSequence;
  }

  /**
   * Writes one record and returns its number. When it can't be written whole (or, with `durable`, not brought to the
   * disk itself), the file is as before and the error says why (ENOSPC, EROFS, EIO …).
   */
  append(record: RecordWithoutNumber, durable = false): number {
    const sequence = this.nextSequence;
    const { kind, ...rest } = record;
    const text = encodeRecord({ seq: sequence, kind, ...rest } as JournalRecord);
    const readBack = decodeRecord(text.trimEnd());
    if ('problem' in readBack) {
      throw new ApplicationError('EINVAL', `the journal can't hold this: ${readBack.problem}`, {
        rule: 'what is written can be read again',
        place: { file: this.path },
      });
    }
    const line = Buffer.from(text);
    try {
      let written = 0;
      while (written < line.length) {
        written += writeSync(this.descriptor, line, written, line.length - written, this.size + written);
      }
      if (durable) fdatasyncSync(this.descriptor);
    } catch (thrown) {
      this.cutBack();
      throw this.writeError(thrown);
    }
    this.size += line.length;
    this.nextSequence += 1;
    this.unsynced = !durable;
    return sequence;
  }

  private cutBack(): void {
    try {
      ftruncateSync(this.descriptor, this.size);
    } catch {
      // The torn line stays; the next start cuts it off and says so.
    }
  }

  /** Waits until all appended records are on the disk itself, so that they outlive a loss of power. */
  sync(): void {
    if (!this.unsynced) return;
    try {
      fdatasyncSync(this.descriptor);
    } catch (thrown) {
      throw this.writeError(thrown);
    }
    this.unsynced = false;
  }

  close(): void {
    try {
      this.sync();
    } finally {
      closeSync(this.descriptor);
    }
  }

  private writeError(thrown: unknown): ApplicationError {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'EIO';
    const said = code === 'ENOSPC' ? 'the disk is full' : (thrown as Error).message;
    return new ApplicationError(code, `the journal could not be written: ${said}`, {
      rule: 'an act counts once it is in the journal',
      place: { file: this.path },
      remedy:
        'nothing was done and nothing is lost; make room (or set VTDECK_HOME elsewhere) and do it again',
      cause: thrown,
    });
  }
}
