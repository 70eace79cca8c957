/** Asks before a dangerous act: shows what it takes; for the worst the name must be typed. */
import type { InputEvent } from '../../src/terminal/input.ts';
import { type Line, styled, wrapText } from '../format/line.ts';
import { TextField } from '../text-field.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface ConfirmOptions {
  readonly title: string;
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
    const { name, consequences, title } = this.options;
    const width = Math.min(columns, 76);
    const wrapped = consequences.flatMap((text) =>
      wrapText(text, width - 2).map(
        (line, at): Line => (at === 0 ? [styled('warning', '! '), line] : `  ${line}`),
      ),
    );
    const room = Math.max(1, rows - 5);
    const lines: Line[] =
      wrapped.length > room
        ? [...wrapped.slice(0, room - 1), `  and ${wrapped.length - room + 1} lines more`]
        : wrapped;
    if (name !== undefined) {
      const line = this.field.line();
      lines.push('', [
        'Type ',
        styled('strong', name),
        ' to go on: ',
        ...(typeof line === 'string' ? [line] : line),
      ]);
    }
    return {
      title,
      lines: lines.length === 0 ? ['This can be undone with z.'] : lines,
      footer:
        name === undefined
          ? [styled('key', 'y'), ' does it   ', styled('key', 'n'), ' leaves']
          : 'Enter does it once the name is typed   Esc leaves',
      width,
    };
  }
}
