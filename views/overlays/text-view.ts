/** A text to read: help, a result, the tour. */
import type { InputEvent } from '../../src/terminal/input.ts';
import { type Line, wrapLine } from '../format/line.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface TextViewOptions {
  readonly title: string;
  /** The lines for a width. */
  lines(columns: number): readonly Line[];
  /** Keys of its own, apart by three spaces. */
  readonly footer?: string;
  /** Keys of its own; true: handled. */
  onKey?(key: string, event: InputEvent): boolean;
  onClose(): void;
}

export class TextView implements Overlay {
  private readonly options: TextViewOptions;
  private top = 0;
  private page = 10;
  private last = 0;

  constructor(options: TextViewOptions) {
    this.options = options;
  }

  handle(event: InputEvent): void {
    if (event.type === 'mouse') {
      if (event.action === 'wheel-up') this.scroll(-3);
      if (event.action === 'wheel-down') this.scroll(3);
      return;
    }
    if (event.type !== 'key') return;
    // What does not fit must be reachable, whatever else the keys are used for.
    const scrolls = this.last > 0 && ['Down', 'Up', 'PageDown', 'PageUp'].includes(event.key);
    if (!scrolls && this.options.onKey?.(event.key, event) === true) return;
    switch (event.key) {
      case 'Esc':
      case 'q':
      case 'Enter':
      case '?':
      case 'Ctrl-c':
        return this.options.onClose();
      case 'Down':
      case 'j':
        return this.scroll(1);
      case 'Up':
      case 'k':
        return this.scroll(-1);
      case 'PageDown':
      case 'Space':
        return this.scroll(this.page);
      case 'PageUp':
        return this.scroll(-this.page);
      case 'g':
      case 'Home':
        return this.scroll(-this.last);
      case 'G':
      case 'End':
        return this.scroll(this.last);
    }
  }

  /** Another text begins at its first line. */
  toTop(): void {
    this.top = 0;
  }

  view(columns: number, rows: number): OverlayView {
    const width = Math.min(columns, 100);
    const all = this.options.lines(width).flatMap((line) => wrapLine(line, width));
    this.page = Math.max(1, rows - 3);
    this.last = Math.max(0, all.length - this.page);
    this.top = Math.min(this.top, this.last);
    const more =
      this.last > 0
        ? `   arrows scroll   lines ${this.top + 1} to ${Math.min(all.length, this.top + this.page)} of ${all.length}`
        : '';
    return {
      title: this.options.title,
      lines: all.slice(this.top, this.top + this.page),
      footer: `${this.options.footer ?? 'Esc leaves'}${more}`,
      width,
    };
  }

  private scroll(by: number): void {
    this.top = Math.max(0, Math.min(this.last, this.top + by));
  }
}
