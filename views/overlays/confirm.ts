/** Asks before a dangerous act: shows what it takes; for the worst the name must be typed. */
import type { InputEvent } from '../../src/terminal/input.ts';
import { textWidth } from '../../src/terminal/width.ts';
import { type Line, styled, wrapLine, wrapText } from '../format/line.ts';
import { TextField } from '../text-field.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface ConfirmOptions {
  readonly title: string;
  /** What it is done to, as `name value`. */
  readonly about: readonly Line[];
  readonly consequences: readonly string[];
  /** To be typed in full; undefined: `y` is enough. */
  readonly name?: string;
  onYes(): void;
  onCancel(): void;
}

export class Confirm implements Overlay {
  private readonly options: ConfirmOptions;
  private readonly field = new TextField();

  constructor(options: ConfirmOptions) {
    this.options = options;
  }

  handle(event: InputEvent): void {
    const { name, onYes, onCancel } = this.options;
    if (event.type === 'key' && (event.key === 'Esc' || event.key === 'Ctrl-c')) return onCancel();
    if (name === undefined) {
      if (event.type !== 'key') return;
      if (event.key === 'y' || event.key === 'Y') return onYes();
      if (event.key === 'n' || event.key === 'N' || event.key === 'q') return onCancel();
      return;
    }
    if (event.type === 'key' && event.key === 'Enter') {
      if (this.field.value.trim() === name) onYes();
      return;
    }
    this.field.handle(event);
  }

  view(columns: number, rows: number): OverlayView {
    const { name, about, consequences, title } = this.options;
    const width = Math.min(columns, 76);
    const wrapped = about.flatMap((line) => wrapLine(line, width));
    // There may be thousands: what can't be seen is only counted.
    for (const text of consequences.slice(0, rows)) {
      wrapText(text, width - 2).forEach((line, at) => {
        wrapped.push(at === 0 ? [styled('warning', '! '), line] : `  ${line}`);
      });
    }
    if (name === undefined && consequences.length === 0) wrapped.push('z undoes it.');
    const unseen = Math.max(0, consequences.length - rows);
    const room = Math.max(1, rows - (name === undefined ? 3 : 5));
    const lines: Line[] =
      wrapped.length > room
        ? [...wrapped.slice(0, room - 1), `  and ${wrapped.length - room + 1 + unseen} lines more`]
        : wrapped;
    if (name !== undefined) {
      const left = Math.max(4, width - textWidth(`Type ${name} to go on: `));
      lines.push('', ['Type ', styled('strong', name), ' to go on: ', ...this.field.line(left)]);
    }
    return {
      title,
      lines,
      footer:
        name === undefined
          ? [styled('key', 'y'), ' does it   ', styled('key', 'n'), ' leaves']
          : 'Enter does it once the name is typed   Esc leaves',
      width,
    };
  }
}
