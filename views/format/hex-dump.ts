/** Bytes as lspci -xxxx and xxd show them. */
import { type Line, styled } from './line.ts';
import { hexDigits } from './values.ts';

export const BYTES_PER_LINE = 16;

/** One line of a dump; `mark` is the offset of the byte under the cursor, if it is on this line. */
export function hexDumpLine(bytes: Uint8Array, offset: number, mark = -1): Line {
  const parts: (string | ReturnType<typeof styled>)[] = [
    styled('dim', `${hexDigits(offset, bytes.length > 256 ? 3 : 2)}: `),
  ];
  let text = '';
  for (let at = offset; at < offset + BYTES_PER_LINE; at += 1) {
    if (at >= bytes.length) {
      parts.push('   ');
      continue;
    }
    const byte = bytes[at];
    const digits = hexDigits(byte, 2);
    // The byte under the cursor stands in brackets: visible without colour.
    const before = at === mark ? '[' : at === mark + 1 && at > offset ? ']' : ' ';
    parts.push(
      before,
      at === mark ? styled('selected', digits) : byte === 0 ? styled('dim', digits) : digits,
    );
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  }
  const closed = mark === offset + BYTES_PER_LINE - 1 || mark === bytes.length - 1;
  parts.push(
    closed && mark >= offset && mark < offset + BYTES_PER_LINE ? ']' : ' ',
    ' ',
    styled('dim', text),
  );
  return parts;
}
