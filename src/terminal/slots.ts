/**
 * Lines that are painted already, and the characters that stand for them while Ink lays the frame out.
 *
 * Ink takes text apart into cells, character by character, measures it, and remembers every text it ever measured: at
 * 200x60 that is most of the time of a frame, and with 100,000 rows it is memory that never comes back. A painted line
 * has its width by construction, so Ink is given one private-use character in its place and decides only where it
 * stands; here the line takes its place again. What Ink draws itself (tables) lies on top.
 */
import { cellsToLine, parseCells } from './cells.ts';

/** Supplementary Private Use Area A: no text that is shown has these, and they are one column wide. */
const FIRST = 0xf0000;

export class Slots {
  private readonly lines = new Map<number, string>();

  /** Puts a line into a slot (0 to 65,000); the character that stands for it at the start of a row. */
  fill(slot: number, line: string): string {
    this.lines.set(slot, line);
    return String.fromCodePoint(FIRST + slot);
  }

  /**
   * A row as Ink has laid it out, with the line in place of its character, which stands in the first column, and over
   * it what Ink has drawn itself.
   */
  expand(row: string): string {
    const point = row.codePointAt(0) ?? 0;
    if (point < FIRST) return row;
    const line = this.lines.get(point - FIRST) ?? '';
    if (row.length === 2) return line;
    const cells = parseCells(line);
    const drawn = parseCells(row);
    for (let at = 1; at < drawn.length; at += 1) {
      if (drawn[at].text.trim() === '') continue;
      while (cells.length < at) cells.push({ text: ' ', style: '' });
      cells[at] = drawn[at];
    }
    return cellsToLine(cells);
  }
}
