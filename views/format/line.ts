/** Lines of text with meaning, and how they become exactly one row of the terminal. */
import { characterWidth, fitText, lineText, textWidth } from '../../src/terminal/width.ts';
import type { StyleName, Theme } from '../theme.ts';

export interface Segment {
  readonly text: string;
  readonly style: StyleName;
}

/** Text, or text in parts that mean different things. */
export type Line = string | readonly (string | Segment)[];

export interface Paint {
  readonly theme: Theme;
  /** Draw with ASCII only. */
  readonly ascii: boolean;
}

export function styled(style: StyleName, text: string): Segment {
  return { text, style };
}

export function plainOf(line: Line): string {
  if (typeof line === 'string') return line;
  return line.map((part) => (typeof part === 'string' ? part : part.text)).join('');
}

/**
 * The line as exactly `columns` columns, cut or padded, with the styles of its parts on top of `base`, which ends
 * after `until` columns.
 */
export function paintLine(
  line: Line,
  columns: number,
  paint: Paint,
  base: StyleName = 'plain',
  until = columns,
): string {
  if (columns <= 0) return '';
  if (until < columns) {
    const [left, right] = splitLine(line, until);
    return paintLine(left, until, paint, base) + paintLine(right, columns - until, paint);
  }
  const ground = paint.theme[base];
  const cutMark = paint.ascii ? '~' : '…';
  if (typeof line === 'string') {
    return wrap(fitText(drawable(line, paint.ascii), columns, cutMark), ground);
  }
  let painted = '';
  let left = columns;
  for (let at = 0; at < line.length && left > 0; at += 1) {
    const part = line[at];
    const text = drawable(typeof part === 'string' ? part : part.text, paint.ascii);
    const own = typeof part === 'string' ? '' : paint.theme[part.style];
    const width = textWidth(text);
    const more =
      width === left && at + 1 < line.length && line.slice(at + 1).some((next) => plainOf([next]) !== '');
    const fitted = width > left || more ? fitText(width > left ? text : `${text} `, left, cutMark) : text;
    painted += wrap(fitted, join(ground, own));
    left -= Math.min(width, left);
  }
  if (left > 0) painted += wrap(' '.repeat(left), ground);
  return painted;
}

/** The line in two at a column; a wide character on the edge goes to the right. */
function splitLine(line: Line, columns: number): [Line, Line] {
  const left: (string | Segment)[] = [];
  const right: (string | Segment)[] = [];
  let used = 0;
  for (const part of typeof line === 'string' ? [line] : line) {
    const text = typeof part === 'string' ? part : part.text;
    const again = (piece: string): string | Segment =>
      typeof part === 'string' ? piece : { ...part, text: piece };
    const width = textWidth(text);
    if (used >= columns) right.push(part);
    else if (used + width <= columns) left.push(part);
    else {
      let piece = '';
      let taken = used;
      for (const character of text) {
        taken += characterWidth(character.codePointAt(0) as number);
        if (taken > columns) break;
        piece += character;
      }
      left.push(again(piece));
      right.push(again(text.slice(piece.length)));
    }
    used += width;
  }
  return [left, right];
}

function join(ground: string, own: string): string {
  if (ground === '') return own;
  return own === '' ? ground : `${ground};${own}`;
}

function wrap(text: string, style: string): string {
  return style === '' ? text : `\u001b[${style}m${text}\u001b[0m`;
}

const ASCII: Readonly<Record<string, string>> = {
  '…': '~',
  '│': '|',
  '─': '-',
  '┌': '+',
  '┐': '+',
  '└': '+',
  '┘': '+',
  '╭': '+',
  '╮': '+',
  '╰': '+',
  '╯': '+',
  '├': '+',
  '┤': '+',
  '▸': '>',
  '▾': 'v',
  '›': '>',
  '·': '.',
  '•': '*',
  '✓': '+',
  '✗': 'x',
  '→': '>',
  '←': '<',
  '↑': '^',
  '↓': 'v',
  '●': '*',
  '○': 'o',
  '█': '#',
  '▒': '-',
  '░': '.',
  '▏': '|',
  '×': 'x',
  '≥': '>',
  '≤': '<',
  '–': '-',
  '—': '-',
  '“': '"',
  '”': '"',
  '’': "'",
};

/** The line with its texts as they may stand on one, so that they are measured as they will be drawn. */
export function safeLine(line: Line): Line {
  if (typeof line === 'string') return lineText(line);
  return line.map((part) =>
    typeof part === 'string' ? lineText(part) : { ...part, text: lineText(part.text) },
  );
}

/** Text that can stand on a line: no control characters, and in ASCII mode nothing but ASCII, of the same width. */
export function drawable(text: string, ascii: boolean): string {
  let plain = true;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code >= 0x7f) {
      plain = false;
      break;
    }
  }
  if (plain) return text;
  const safe = lineText(text);
  if (!ascii) return safe;
  let result = '';
  for (const character of safe) {
    const code = character.codePointAt(0) as number;
    if (code < 0x7f) result += character;
    else result += ASCII[character] ?? '?'.repeat(characterWidth(code));
  }
  return result;
}

/** Breaks text into lines of at most `columns`, at spaces where there are any. */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      const candidate = line === '' ? word : `${line} ${word}`;
      if (textWidth(candidate) <= columns) {
        line = candidate;
        continue;
      }
      if (line !== '') lines.push(line);
      line = word;
      while (textWidth(line) > columns && columns > 0) {
        const piece = fitText(line, columns + 1, '')
          .trimEnd()
          .slice(0, Math.max(1, columns));
        lines.push(piece);
        line = line.slice(piece.length);
      }
    }
    lines.push(line);
  }
  return lines;
}

/** The line, and below it what did not fit, indented to where its value began. */
export function wrapLine(line: Line, columns: number): Line[] {
  const text = plainOf(line);
  if (textWidth(text) <= columns || columns < 20) return [line];
  const parts = typeof line === 'string' ? [line] : line;
  const indent = Math.min(Math.floor(columns / 2), valueColumn(parts));
  const lines: Line[] = [];
  let open: (string | Segment)[] = [];
  let used = 0;
  const close = (): void => {
    lines.push(open);
    open = [' '.repeat(indent)];
    used = indent;
  };
  for (const part of parts) {
    const style = typeof part === 'string' ? undefined : part.style;
    const add = (piece: string): void => {
      if (piece === '') return;
      open.push(style === undefined ? piece : { text: piece, style });
      used += textWidth(piece);
    };
    for (const word of (typeof part === 'string' ? part : part.text).split(/(?<=\s)(?=\S)/)) {
      let rest = word;
      if (used + textWidth(rest.trimEnd()) > columns && used > indent) close();
      while (textWidth(rest.trimEnd()) > columns - used) {
        const piece = fitText(rest, columns - used + 1, '').trimEnd();
        if (piece === '') break;
        add(piece);
        rest = rest.slice(piece.length);
        close();
      }
      add(used + textWidth(rest) > columns ? rest.trimEnd() : rest);
    }
  }
  lines.push(open);
  return lines;
}

/** Where the value of a `name  value` line begins: after the first part that ends in a space. */
function valueColumn(parts: readonly (string | Segment)[]): number {
  let at = 0;
  for (const part of parts) {
    const text = typeof part === 'string' ? part : part.text;
    at += textWidth(text);
    if (typeof part !== 'string' && text.endsWith(' ')) return at;
  }
  return 4;
}
