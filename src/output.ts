/** What commands print: text for people, or one JSON document with `--json`. */
import { writeSync } from 'node:fs';
import { printable } from './errors.ts';

/** bigint as hex, absent as null, bytes as hex: the JSON that others rely on has no surprises. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
}

/** Writes all of a text to a descriptor, also when it is a pipe that takes it in parts. */
export function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code;
      if (code === 'EAGAIN') continue;
      if (code === 'EPIPE') return;
      throw thrown;
    }
  }
}

export function printJson(value: unknown): void {
  writeAll(1, `${JSON.stringify(value, plain, 2)}\n`);
}

/** A line, or several, for people. Control characters from data never reach the terminal. */
export function printText(text: string): void {
  writeAll(1, `${printable(text)}\n`);
}

export function printError(text: string): void {
  writeAll(2, `${text}\n`);
}
