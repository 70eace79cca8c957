/** A list to pick one thing from. Typing narrows it; what stands under the cursor is taken with Enter. */
import type { InputEvent } from '../../src/terminal/input.ts';
import { fitText, lineText, textWidth } from '../../src/terminal/width.ts';
import { type Line, styled } from '../format/line.ts';
import { fuzzyScore } from '../list/filter.ts';
import { TextField } from '../text-field.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface PickItem {
  readonly value: string;
  readonly cells: readonly string[];
  /** Why it can't be picked now. */
  readonly disabled?: string;
}

export interface PickerOptions {
  readonly title: string;
  readonly titles: readonly string[];
  readonly items: readonly PickItem[];
  /** What is typed is taken too, when nothing of the list fits. */
  readonly freeText?: boolean;
  readonly note?: string;
  onPick(value: string): void;
  onCancel(): void;
  onRefused(reason: string): void;
}

export class Picker implements Overlay {
  private readonly options: PickerOptions;
  private readonly field = new TextField();
  private shown: readonly PickItem[];
  private cursor = 0;
  private top = 0;

  constructor(options: PickerOptions) {
    this.options = options;
    this.shown = options.items;
    const first = this.shown.findIndex((item) => item.disabled === undefined);
    this.cursor = Math.max(0, first);
  }

  handle(event: InputEvent): void {
    if (event.type === 'mouse') {
      if (event.action === 'wheel-up') this.move(-1);
      if (event.action === 'wheel-down') this.move(1);
      return;
    }
    if (event.type === 'key') {
      switch (event.key) {
        case 'Esc':
        case 'Ctrl-c':
          return this.options.onCancel();
        case 'Up':
        case 'Ctrl-p':
          return this.move(-1);
        case 'Down':
        case 'Ctrl-n':
          return this.move(1);
        case 'PageUp':
          return this.move(-10);
        case 'PageDown':
          return this.move(10);
        case 'Enter':
          return this.take();
        case 'Tab': {
          const item = this.shown[this.cursor];
          if (item !== undefined && this.options.freeText === true) this.field.set(item.value);
          return;
        }
      }
    }
    const before = this.field.value;
    if (this.field.handle(event) && this.field.value !== before) this.narrow();
  }

  view(columns: number, rows: number): OverlayView {
    const { titles, title, note } = this.options;
    const width = Math.min(columns, 110);
    // Borders and padding of the table: a bar before each column and one at the end, a space on both sides.
    const room = width - 3 * titles.length - 5;
    const widths = shareWidths(titles, this.shown, room);
    const visible = Math.max(1, Math.min(this.shown.length, rows - 6 - (note === undefined ? 0 : 1)));
    this.top = Math.max(0, Math.min(this.top, this.cursor, this.shown.length - visible));
    if (this.cursor >= this.top + visible) this.top = this.cursor - visible + 1;
    const window = this.shown.slice(this.top, this.top + visible);
    const lines: Line[] = [
      [
        '> ',
        ...this.field.line(width - 20),
        styled('dim', `   ${this.shown.length} of ${this.options.items.length}`),
      ],
    ];
    if (note !== undefined) lines.push([styled('dim', note)]);
    const current = this.shown[this.cursor];
    const footer: Line =
      current?.disabled === undefined
        ? 'Enter takes it   type to narrow   Esc leaves'
        : [styled('warning', `not now: ${current.disabled}`)];
    if (this.shown.length === 0) {
      lines.push(
        this.options.freeText === true ? 'nothing of that name; Enter takes what was typed' : 'nothing fits',
      );
      return { title, lines, footer, width };
    }
    return {
      title,
      lines,
      table: {
        titles: ['', ...titles],
        widths: [1, ...widths],
        rows: window.map((item, at) => [
          this.top + at === this.cursor ? '>' : item.disabled === undefined ? ' ' : '-',
          ...widths.map((columnWidth, column) => fitText(lineText(item.cells[column] ?? ''), columnWidth)),
        ]),
      },
      footer,
      width,
    };
  }

  private move(by: number): void {
    this.cursor = Math.max(0, Math.min(this.shown.length - 1, this.cursor + by));
  }

  private take(): void {
    const item = this.shown[this.cursor];
    if (item === undefined) {
      const typed = this.field.value.trim();
      if (this.options.freeText === true && typed !== '') this.options.onPick(typed);
      return;
    }
    if (item.disabled !== undefined) return this.options.onRefused(item.disabled);
    this.options.onPick(item.value);
  }

  private narrow(): void {
    const letters = this.field.value.trim().toLowerCase();
    if (letters === '') this.shown = this.options.items;
    else {
      const scored = this.options.items.map((item, at) => ({
        item,
        at,
        score: fuzzyScore(letters, item.cells.join(' ').toLowerCase()),
      }));
      this.shown = scored
        .filter((entry) => entry.score !== undefined)
        .sort((a, b) => (a.score ?? 0) - (b.score ?? 0) || a.at - b.at)
        .map((entry) => entry.item);
    }
    this.cursor = 0;
    this.top = 0;
  }
}

/** Each column as wide as its longest cell, the last one cut when it gets too much. */
function shareWidths(titles: readonly string[], items: readonly PickItem[], room: number): number[] {
  const wanted = titles.map((title, column) =>
    Math.max(
      title.length,
      4,
      ...items.slice(0, 200).map((item) => textWidth(lineText(item.cells[column] ?? ''))),
    ),
  );
  let over = wanted.reduce((sum, width) => sum + width, 0) - room;
  for (let column = wanted.length - 1; column >= 0 && over > 0; column -= 1) {
    const cut = Math.min(over, Math.max(0, wanted[column] - 6));
    wanted[column] -= cut;
    over -= cut;
  }
  return wanted;
}
