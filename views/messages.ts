/** What the console says on its message line, one thing at a time. */
import type { ApplicationError } from '../src/errors.ts';
import type { Clock } from '../src/terminal/clock.ts';
import { lineText } from '../src/terminal/width.ts';
import { fades, type Message } from './console-setup.ts';

/** How long a message that asks for nothing stays. Milliseconds. */
const FADE = 6000;

export abstract class Messages {
  message: Message | undefined;
  private fade: (() => void) | undefined;
  private readonly clock: Clock;
  private readonly changed: () => void;

  constructor(clock: Clock, changed: () => void) {
    this.clock = clock;
    this.changed = changed;
  }

  /** Something was done. */
  say(text: string): void {
    this.tell({ kind: 'done', text, remedy: undefined });
  }

  /** Something to know, and nothing was done. */
  note(text: string): void {
    this.tell({ kind: 'note', text, remedy: undefined });
  }

  warn(text: string): void {
    this.tell({ kind: 'warning', text, remedy: undefined });
  }

  fail(text: string, remedy?: string): void {
    this.tell({ kind: 'error', text, remedy });
  }

  failWith(error: ApplicationError, before = ''): void {
    this.fail(`${before}${error.message} (${error.code})`, error.remedy);
  }

  protected stopFading(): void {
    this.fade?.();
    this.fade = undefined;
  }

  private tell(told: Message): void {
    this.stopFading();
    // Names of what was imported may be in it.
    const safe = (text: string): string => text.split('\n').map(lineText).join('\n');
    const { kind, text, remedy } = told;
    const message = { kind, text: safe(text), remedy: remedy === undefined ? undefined : safe(remedy) };
    this.message = message;
    if (fades(message)) {
      this.fade = this.clock.after(FADE, () => {
        this.message = undefined;
        this.changed();
      });
    }
    this.changed();
  }
}
