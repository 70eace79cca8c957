/** What lies on top of a screen and takes the keys: a question, a list to pick from, a text to read. */
import type { InputEvent } from '../../src/terminal/input.ts';
import type { Line } from '../format/line.ts';

/** A small table of an overlay; drawn by ink-table. Only the rows that are shown, already cut. */
export interface OverlayTable {
  readonly titles: readonly string[];
  readonly widths: readonly number[];
  readonly rows: readonly (readonly string[])[];
}

export interface OverlayView {
  readonly title: string;
  /** Lines above the table, or all there is. */
  readonly lines: readonly Line[];
  readonly table?: OverlayTable;
  /** Keys for the moment. */
  readonly footer: Line;
  /** Width wanted inside the border, in columns. */
  readonly width: number;
}

export interface Overlay {
  handle(event: InputEvent): void;
  /** What to draw within so many columns and rows (inside the border). */
  view(columns: number, rows: number): OverlayView;
}
