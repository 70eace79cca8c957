/** A painted line (text with SGR sequences) as cells, for comparing, for pictures and for plain text. */
import { characterWidth } from './width.ts';

export interface Cell {
  /** A character with its combining marks. Empty: the right half of a wide one. */
  text: string;
  /** Canonical SGR parameters, such as `1;38;5;75`; empty for plain. */
  readonly style: string;
}

/** Attributes in the order in which they are written: bold, dim, italic, underline, inverse, strike, colours. */
interface Pen {
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
  strike: boolean;
  foreground: string;
  background: string;
}

const SGR = /\u001b\[([0-9;:]*)m/y;
const OTHER = /\u001b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|.)/y;

export function parseCells(line: string): Cell[] {
  const cells: Cell[] = [];
  const pen = newPen();
  let style = '';
  let at = 0;
  while (at < line.length) {
    const code = line.charCodeAt(at);
    if (code === 0x1b) {
      SGR.lastIndex = at;
      const match = SGR.exec(line);
      if (match !== null) {
        applySgr(pen, match[1]);
        style = styleOf(pen);
        at = SGR.lastIndex;
        continue;
      }
      OTHER.lastIndex = at;
      at = OTHER.exec(line) === null ? at + 1 : OTHER.lastIndex;
      continue;
    }
    if (code >= 0x20 && code < 0x7f) {
      cells.push({ text: line[at], style });
      at += 1;
      continue;
    }
    const point = line.codePointAt(at) as number;
    const character = String.fromCodePoint(point);
    at += character.length;
    const width = characterWidth(point);
    if (width === 0) {
      const last = lastWithText(cells);
      if (last !== undefined) last.text += character;
      continue;
    }
    cells.push({ text: character, style });
    if (width === 2) cells.push({ text: '', style });
  }
  return cells;
}

function lastWithText(cells: readonly Cell[]): Cell | undefined {
  for (let at = cells.length - 1; at >= 0; at -= 1) if (cells[at].text !== '') return cells[at];
  return undefined;
}

/** A painted line with another laid over it from column `left` on. What is left of a wide character cut in half is blank. */
export function layOver(line: string, left: number, over: string): string {
  const cells = parseCells(line);
  while (cells.length < left) cells.push(blank());
  if (cells[left]?.text === '' && left > 0) cells[left - 1] = blank();
  const placed = parseCells(over);
  cells.splice(left, placed.length, ...placed);
  if (cells[left + placed.length]?.text === '') cells[left + placed.length] = blank();
  return cellsToLine(cells);
}

function blank(): Cell {
  return { text: ' ', style: '' };
}

/** Cells, or a run of them, as a painted line again; styles are closed at the end. */
export function cellsToLine(cells: readonly Cell[], start = 0, end = cells.length): string {
  let text = '';
  let style = '';
  for (let at = start; at < end; at += 1) {
    const cell = cells[at];
    if (cell.style !== style) {
      text +=
        cell.style === '' ? '\u001b[m' : style === '' ? `\u001b[${cell.style}m` : `\u001b[0;${cell.style}m`;
      style = cell.style;
    }
    text += cell.text;
  }
  return style === '' ? text : `${text}\u001b[m`;
}

/** The text of a painted line without its styles. */
export function plainText(line: string): string {
  return line.includes('\u001b')
    ? parseCells(line)
        .map((cell) => cell.text)
        .join('')
    : line;
}

function newPen(): Pen {
  return {
    bold: false,
    dim: false,
    italic: false,
    underline: false,
    inverse: false,
    strike: false,
    foreground: '',
    background: '',
  };
}

function applySgr(pen: Pen, parameters: string): void {
  const codes = parameters === '' ? [0] : parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) Object.assign(pen, newPen());
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = true;
    else if (code === 7) pen.inverse = true;
    else if (code === 9) pen.strike = true;
    else if (code === 22) pen.bold = pen.dim = false;
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code === 27) pen.inverse = false;
    else if (code === 29) pen.strike = false;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) pen.foreground = String(code);
    else if (code === 39) pen.foreground = '';
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) pen.background = String(code);
    else if (code === 49) pen.background = '';
    else if (code === 38 || code === 48) {
      const length = codes[at + 1] === 5 ? 3 : codes[at + 1] === 2 ? 5 : 1;
      const colour = length === 1 ? '' : codes.slice(at, at + length).join(';');
      if (code === 38) pen.foreground = colour;
      else pen.background = colour;
      at += length - 1;
    }
  }
}

function styleOf(pen: Pen): string {
  const codes: string[] = [];
  if (pen.bold) codes.push('1');
  if (pen.dim) codes.push('2');
  if (pen.italic) codes.push('3');
  if (pen.underline) codes.push('4');
  if (pen.inverse) codes.push('7');
  if (pen.strike) codes.push('9');
  if (pen.foreground !== '') codes.push(pen.foreground);
  if (pen.background !== '') codes.push(pen.background);
  return codes.join(';');
}
