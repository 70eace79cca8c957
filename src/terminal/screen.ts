/**
 * The terminal as Ink sees it. Ink (in debug mode) hands over whole frames; this writes only what changed, onto the
 * alternate screen: per line the run of cells between the first and the last that differ. So moving a cursor costs a
 * few hundred bytes at any size, nothing flickers, and a frame can be as tall as the terminal without scrolling it.
 */
import { EventEmitter } from 'node:events';
import { type Cell, cellsToLine, parseCells } from './cells.ts';
import { Slots } from './slots.ts';

/** What is needed of an output stream: a terminal's, or a test's. */
export interface TerminalOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
  on(event: 'resize' | 'drain', listener: () => void): unknown;
  off(event: 'resize' | 'drain', listener: () => void): unknown;
}

const SYNCHRONISED_START = '\u001b[?2026h';
const SYNCHRONISED_END = '\u001b[?2026l';
/** A gap of equal cells shorter than this is written again: moving over it would take as many bytes. */
const GAP = 8;

export class Screen extends EventEmitter {
  /** Ink must not show or hide the cursor, nor ask how the terminal does things: that is done here. */
  readonly isTTY = false;
  /** Columns that Ink lays out: as many as `reach` said the frame needs. */
  columns: number;
  /** Columns and rows of the terminal. */
  width: number;
  rows: number;
  /** Painted lines that Ink knows only by a character. */
  readonly slots = new Slots();
  /** Called with each frame that is shown. */
  onFrame: ((lines: readonly string[]) => void) | undefined;
  private readonly output: TerminalOutput;
  private shown: (string | undefined)[] = [];
  private latest: readonly string[] = [];
  private active = false;
  private blocked = false;

  constructor(output: TerminalOutput) {
    super();
    this.output = output;
    this.width = output.columns || 80;
    this.columns = this.width;
    this.rows = output.rows || 24;
  }

  /** The lines of the last frame, painted, at most as many as the terminal has. */
  get lines(): readonly string[] {
    return this.latest;
  }

  /** Starts writing; what the terminal shows is not known, so the next frame is written whole. */
  start(): void {
    this.active = true;
    const { width, rows } = this;
    this.measure();
    this.forget();
    this.output.on('resize', this.resized);
    this.output.on('drain', this.drained);
    // While somebody else had the terminal nobody told of another size.
    if (this.width !== width || this.rows !== rows) this.emit('resize');
  }

  /** Stops writing; frames are remembered but not shown. */
  stop(): void {
    this.active = false;
    this.output.off('resize', this.resized);
    this.output.off('drain', this.drained);
  }

  /** Writes the next frame whole. */
  forget(): void {
    this.shown = new Array(this.rows).fill(undefined);
  }

  /**
   * Says up to which column the next frame holds more than characters that stand for painted lines. Ink makes an object
   * of every cell of every frame; what it need not see it need not make.
   */
  reach(columns: number): void {
    this.columns = Math.max(1, Math.min(columns, this.width));
  }

  /** Shows the last frame again, whole. */
  repaint(): void {
    this.forget();
    this.present();
  }

  /** Ink's way in: a whole frame. */
  write(frame: string): boolean {
    this.latest = frame
      .split('\n')
      .slice(0, this.rows)
      .map((row) => this.slots.expand(row));
    this.onFrame?.(this.latest);
    this.present();
    return true;
  }

  private measure(): void {
    this.width = this.output.columns || this.width;
    this.columns = this.width;
    this.rows = this.output.rows || this.rows;
  }

  private readonly resized = (): void => {
    this.measure();
    // What a terminal makes of its lines when it changes size is its own affair: begin from nothing.
    this.forget();
    if (this.active) this.output.write('\u001b[2J');
    this.emit('resize');
  };

  private readonly drained = (): void => {
    this.blocked = false;
    this.present();
  };

  private present(): void {
    // A terminal that is slower than we are gets the newest frame when it is ready, not all those between.
    if (!this.active || this.blocked) return;
    const text = this.difference();
    if (text === '') return;
    this.blocked = this.output.write(SYNCHRONISED_START + text + SYNCHRONISED_END) === false;
  }

  private difference(): string {
    let text = '';
    for (let row = 0; row < this.rows; row += 1) {
      const line = this.latest[row] ?? '';
      const before = this.shown[row];
      if (before === line) continue;
      this.shown[row] = line;
      text += lineDifference(before, line, row, this.width);
    }
    return text;
  }
}

/** Characters of whose width terminals are not of one mind: pictographs and flags. */
const DISPUTED = /\p{Extended_Pictographic}|[\u{1f1e6}-\u{1f1ff}]/u;

/** A line with such characters: nothing of what stood there stays, and what follows each begins where it belongs. */
function disputedLine(cells: readonly Cell[], row: number): string {
  let text = `\u001b[${row + 1}H\u001b[2K`;
  let start = 0;
  cells.forEach((cell, at) => {
    if (!DISPUTED.test(cell.text)) return;
    const end = cells[at + 1]?.text === '' ? at + 2 : at + 1;
    text += `${cellsToLine(cells, start, end)}\u001b[${row + 1};${end + 1}H`;
    start = end;
  });
  return text + cellsToLine(cells, start, cells.length);
}

/** What turns a line on screen into another. `before` undefined: what stands there isn't known. */
function lineDifference(before: string | undefined, line: string, row: number, columns: number): string {
  const next = trimmed(parseCells(line), columns);
  if (DISPUTED.test(line) || (before !== undefined && DISPUTED.test(before))) return disputedLine(next, row);
  if (before === undefined) {
    return `\u001b[${row + 1}H${cellsToLine(next, 0, next.length)}${next.length < columns ? '\u001b[K' : ''}`;
  }
  const last = trimmed(parseCells(before), columns);
  let text = '';
  let at = 0;
  while (at < next.length) {
    if (same(last[at], next[at])) {
      at += 1;
      continue;
    }
    const start = wholeCharacter(next, last, at);
    let end = at + 1;
    let equal = 0;
    for (let look = end; look < next.length && equal < GAP; look += 1) {
      if (same(last[look], next[look])) equal += 1;
      else {
        equal = 0;
        end = look + 1;
      }
    }
    // The right half of a wide character goes with its left one.
    while (end < next.length && (next[end].text === '' || last[end]?.text === '')) end += 1;
    text += `\u001b[${row + 1};${start + 1}H${cellsToLine(next, start, end)}`;
    at = end;
  }
  if (last.length > next.length) text += `\u001b[${row + 1};${next.length + 1}H\u001b[K`;
  return text;
}

function wholeCharacter(next: readonly Cell[], last: readonly Cell[], at: number): number {
  let start = at;
  while (start > 0 && (next[start].text === '' || last[start]?.text === '')) start -= 1;
  return start;
}

function same(a: Cell | undefined, b: Cell): boolean {
  return a === undefined ? b.text === ' ' && b.style === '' : a.text === b.text && a.style === b.style;
}

/** Plain spaces at the end need not be there; cells beyond the edge must not. */
function trimmed(cells: Cell[], columns: number): Cell[] {
  let length = Math.min(cells.length, columns);
  if (length < cells.length && cells[length].text === '' && length > 0) length -= 1;
  while (length > 0 && cells[length - 1].text === ' ' && cells[length - 1].style === '') length -= 1;
  cells.length = length;
  return cells;
}
