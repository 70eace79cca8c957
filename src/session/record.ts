/**
 * The journal's records. One line of JSON each, with its number and a checksum over all before the checksum, so that a
 * torn, altered, lost or doubled line is noticed and named.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';

/** Values end up on screens: nothing in them may drive a terminal. */
const plainText = (longest: number): z.ZodString =>
  z
    .string()
    .max(longest)
    .regex(/^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$/, 'holds control characters');

const argumentValues = z.record(
  plainText(64),
  z.union([plainText(16384), z.number(), z.boolean(), z.array(plainText(4096)).max(1024)]),
);

const counting = z.int().min(0);

const recordSchema = z.discriminatedUnion('kind', [
  /** First line: which session it belongs to, and enough to rebuild the snapshot should that be lost. */
  z.object({ kind: z.literal('begin'), seq: z.literal(0), session: z.string().max(64), origin: z.unknown() }),
  /** An act, done after the act `parent` (0: on the empty host). Its number is its id. */
  z.object({
    kind: z.literal('act'),
    seq: counting,
    parent: counting,
    action: plainText(64),
    args: argumentValues,
    at: z.number(),
  }),
  /** Undo, redo: the host is now as after the act `to`. */
  z.object({ kind: z.literal('head'), seq: counting, to: counting }),
  /** The branch worked on is now the one that ends in `tip`. */
  z.object({ kind: z.literal('switch'), seq: counting, tip: counting }),
  /** A branch was given a name. */
  z.object({ kind: z.literal('name'), seq: counting, tip: counting, name: plainText(64) }),
  /** What the host's digest was after the act `head`: what a replay is held against. */
  z.object({ kind: z.literal('digest'), seq: counting, head: counting, digest: z.string().max(128) }),
]);

export type JournalRecord = z.infer<typeof recordSchema>;
export type RecordWithoutNumber = JournalRecord extends infer R
  ? R extends unknown
    ? Omit<R, 'seq'>
    : never
  : never;

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

/** The record as a line, with its line feed. */
export function encodeRecord(record: JournalRecord): string {
  const body = JSON.stringify(record).slice(0, -1);
  return `${body},"sum":"${checksum(body)}"}\n`;
}

/** What is wrong with a line, or the record it holds. */
export type Decoded = { record: JournalRecord } | { problem: string };

const TAIL = /,"sum":"([0-9a-f]{8})"\}$/;

/** Reads one line (without its line feed). */
export function decodeRecord(line: string): Decoded {
  const tail = TAIL.exec(line);
  if (tail === null) return { problem: 'the line does not end in a checksum' };
  const body = line.slice(0, tail.index);
  if (checksum(body) !== tail[1])
    return { problem: `the checksum is ${tail[1]}, the line gives ${checksum(body)}` };
  let value: unknown;
  try {
    value = JSON.parse(`${body}}`);
  } catch (thrown) {
    return { problem: `not JSON: ${(thrown as Error).message}` };
  }
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return { record: parsed.data };
  const issue = parsed.error.issues[0];
  return { problem: `${issue.path.join('.') || 'record'}: ${issue.message}` };
}
