/** What a played demo leaves: what the terminal was sent, what was typed, and the screens between, by virtual time. */
import { ApplicationError } from '../errors.ts';
import { TapeLimit } from './tape.ts';

/** One event of a terminal session; times in milliseconds of the demo's own clock. */
export interface RecordedEvent {
  readonly at: number;
  readonly kind: 'output' | 'input' | 'marker' | 'resize';
  readonly data: string;
}

/** A screen at rest. */
export interface Frame {
  readonly at: number;
  readonly columns: number;
  readonly rows: number;
  readonly text: readonly string[];
  readonly painted: readonly string[];
  /** Of a frame that a tape asked for: its file; of a chapter: its title. */
  readonly label: string | undefined;
}

export class Recording {
  readonly columns: number;
  readonly rows: number;
  readonly title: string;
  readonly events: RecordedEvent[] = [];
  /** Each screen that differs from the one before. */
  readonly frames: Frame[] = [];
  private bytes = 0;
  private hiddenSince: number | undefined;
  private hiddenTotal = 0;

  constructor(columns: number, rows: number, title: string) {
    this.columns = columns;
    this.rows = rows;
    this.title = title;
  }

  get hidden(): boolean {
    return this.hiddenSince !== undefined;
  }

  hide(now: number): void {
    this.hiddenSince ??= now;
  }

  show(now: number): void {
    if (this.hiddenSince === undefined) return;
    this.hiddenTotal += now - this.hiddenSince;
    this.hiddenSince = undefined;
  }

  /** The demo's time, without what was hidden. */
  time(now: number): number {
    return (this.hiddenSince ?? now) - this.hiddenTotal;
  }

  add(now: number, kind: RecordedEvent['kind'], data: string): void {
    if (this.hidden || data === '') return;
    this.bytes += data.length;
    if (this.bytes > TapeLimit.recordedBytes) {
      throw new ApplicationError('E2BIG', `the recording has more than ${TapeLimit.recordedBytes} bytes`, {
        rule: 'a demo is bounded',
        remedy: 'make the tape shorter',
      });
    }
    const at = this.time(now);
    const last = this.events[this.events.length - 1];
    if (kind === 'output' && last?.kind === 'output' && last.at === at) {
      this.events[this.events.length - 1] = { at, kind, data: last.data + data };
    } else this.events.push({ at, kind, data });
  }

  addFrame(
    now: number,
    screen: { text: string[]; painted: string[]; columns: number; rows: number },
    label?: string,
  ): void {
    if (this.hidden) return;
    const last = this.frames[this.frames.length - 1];
    const same =
      last !== undefined &&
      last.painted.length === screen.painted.length &&
      last.painted.every((line, at) => line === screen.painted[at]);
    if (same && label === undefined) return;
    this.bytes += screen.painted.reduce((sum, line) => sum + line.length, 0);
    if (this.bytes > TapeLimit.recordedBytes) {
      throw new ApplicationError('E2BIG', 'the frames of the demo take too much memory', {
        rule: 'a demo is bounded',
      });
    }
    this.frames.push({ at: this.time(now), ...screen, label });
  }
}
