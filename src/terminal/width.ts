/** How many columns text takes on a terminal. ASCII, which nearly all of it is, never reaches the tables. */
import { eastAsianWidth } from 'get-east-asian-width';

/** Marks that stand on the character before them, and characters that only format: no column of their own. */
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}\p{Cs}]$/u;

const known = new Map<number, number>();

/** Columns of one code point: 0 for combining marks and controls, 2 for wide ones. */
export function characterWidth(point: number): number {
  if (point >= 0x20 && point < 0x7f) return 1;
  // Punctuation, arrows, box drawing, marks: what the program itself draws with.
  if ((point >= 0xa0 && point < 0x300 && point !== 0xad) || (point >= 0x2500 && point < 0x25fd)) return 1;
  let width = known.get(point);
  if (width === undefined) {
    width = NO_WIDTH.test(String.fromCodePoint(point)) ? 0 : eastAsianWidth(point);
    known.set(point, width);
  }
  return width;
}

/** Columns of a text without control characters. */
export function textWidth(text: string): number {
  let width = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 0x20 && code < 0x7f) {
      width += 1;
      continue;
    }
    const point = text.codePointAt(at) as number;
    if (point > 0xffff) at += 1;
    width += characterWidth(point);
  }
  return width;
}

/** The text cut or padded with spaces to exactly so many columns; a cut is marked by `mark`, one column wide. */
export function fitText(text: string, columns: number, mark = '…'): string {
  if (columns <= 0) return '';
  const width = textWidth(text);
  if (width === columns) return text;
  if (width < columns) return text + ' '.repeat(columns - width);
  let taken = '';
  let used = 0;
  for (const character of text) {
    const step = characterWidth(character.codePointAt(0) as number);
    if (used + step > columns - 1) break;
    taken += character;
    used += step;
  }
  return taken + mark + ' '.repeat(columns - 1 - used);
}

/** The same, padded on the left. */
export function fitTextRight(text: string, columns: number, mark = '…'): string {
  const width = textWidth(text);
  return width < columns ? ' '.repeat(columns - width) + text : fitText(text, columns, mark);
}

/** What could drive the terminal, turn the rest of a line over, or stand for a painted line (see slots.ts). */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\u{f0000}-\u{fffff}]/gu;
/** What joins or changes a pictograph: some terminals then draw one in two columns, others several. */
const JOINERS = /(?<=\p{Extended_Pictographic}|\ufe0f)[\u200d\ufe0f\u{1f3fb}-\u{1f3ff}]+|\ufe0f/gu;

/**
 * Text as it may stand on a line, in as many columns on every terminal: no control characters, no marks that change the
 * direction of what follows, and pictographs one by one.
 */
export function lineText(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return text
    .replace(UNSAFE, (character) =>
      character === '\t' || character === '\n'
        ? ' '
        : `\\x${(character.codePointAt(0) as number).toString(16).padStart(2, '0')}`,
    )
    .replace(JOINERS, '');
}
