/** A question answered with a line of text. */
import type { InputEvent } from '../../src/terminal/input.ts';
import { type Line, styled, wrapLine } from '../format/line.ts';
import { TextField } from '../text-field.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface PromptOptions {
  readonly title: string;
  /** What is asked for, and in which form. */
  readonly lines: readonly Line[];
  readonly value?: string;
  /** What is wrong with an answer; undefined: nothing. */
  check?(value: string): string | undefined;
  onAnswer(value: string): void;
  onCancel(): void;
}

export class Prompt implements Overlay {
  private readonly options: PromptOptions;
  private readonly field: TextField;
  private wrong: string | undefined;

  constructor(options: PromptOptions) {
    this.options = options;
    this.field = new TextField(options.value ?? '');
  }

  handle(event: InputEvent): void {
    if (event.type === 'key') {
      if (event.key === 'Esc' || event.key === 'Ctrl-c') return this.options.onCancel();
      if (event.key === 'Enter') {
        const value = this.field.value.trim();
        this.wrong = this.options.check?.(value);
        if (this.wrong === undefined) this.options.onAnswer(value);
        return;
      }
    }
    if (this.field.handle(event)) this.wrong = undefined;
  }

  view(columns: number, rows: number): OverlayView {
    const width = Math.min(columns, 76);
    const wrong: Line[] =
      this.wrong === undefined ? [''] : wrapLine([styled('bad', `! ${this.wrong}`)], width);
    const asked = this.options.lines.flatMap((line) => wrapLine(line, width));
    return {
      title: this.options.title,
      lines: [
        // Where all does not fit, what is typed stays in sight.
        ...asked.slice(0, Math.max(1, rows - 2 - wrong.length)),
        ['> ', ...this.field.line(width - 2)],
        ...wrong,
      ],
      footer: 'Enter answers   Esc leaves',
      width,
    };
  }
}
