/**
 * Lines that are painted already, and the characters that stand for them while Ink lays the frame out.
 *
 * Ink takes text apart into cells, character by character, measures it, and remembers every text it ever measured: at
 * 200x60 that is most of the time of a frame, and with 100,000 rows it is memory that never comes back. A painted line
 * has its width by construction, so Ink is given one private-use character in its place and decides only where it
 * stands; here the line takes its place again. What Ink draws itself (tables) lies on top.
 */
import { type Cell, cellsToLine, parseCells } from './cells.ts';

/** Supplementary Private Use Area A: no text that is shown has these, and they are one column wide. */
const FIRST = 0xf0000;
const TOKEN = /[\u{f0000}-\u{fffff}]/u;

export class Slots {
  private readonly lines = new Map<number, string>();

  /** Puts a line into a slot (0 to 65,000); the character that stands for it. */
  fill(slot: number, line: string): string {
    this.lines.set(slot, line);
    return String.fromCodePoint(FIRST + slot);
  }

  /** A row as Ink has laid it out, with the lines in place of their characters. */
  expand(row: string): string {
    if (!TOKEN.test(row)) return row;
    const only = row.codePointAt(0) as number;
    if (row.length === 2 && only >= FIRST) return this.lines.get(only - FIRST) ?? '';
    const laid = parseCells(row);
    const cells: Cell[] = [];
    const place = (at: number, placed: readonly Cell[]): void => {
      while (cells.length < at) cells.push({ text: ' ', style: '' });
      placed.forEach((cell, offset) => {
        cells[at + offset] = cell;
      });
    };
    laid.forEach((cell, at) => {
      const point = cell.text === '' ? 0 : (cell.text.codePointAt(0) as number);
      if (point >= FIRST) place(at, parseCells(this.lines.get(point - FIRST) ?? ''));
    });
    laid.forEach((cell, at) => {
      if (cell.text.trim() !== '' && (cell.text.codePointAt(0) as number) < FIRST) place(at, [cell]);
    });
    return cellsToLine(cells);
  }
}
