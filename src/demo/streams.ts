/** The two ends of a terminal that the console believes in, when a demo plays it. */
import { EventEmitter } from 'node:events';

/** Keys come out of it. */
export class TypedInput extends EventEmitter {
  readonly isTTY = true;

  setRawMode(): this {
    return this;
  }

  setEncoding(): this {
    return this;
  }

  resume(): this {
    return this;
  }

  pause(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  type(bytes: string): void {
    this.emit('data', bytes);
  }
}

/** What is written goes to whoever listens. */
export class WatchedOutput extends EventEmitter {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** Grows with each write: tells whether anything is still going on. */
  written = 0;
  private readonly watch: (text: string) => void;

  constructor(columns: number, rows: number, watch: (text: string) => void) {
    super();
    this.columns = columns;
    this.rows = rows;
    this.watch = watch;
  }

  write(text: string | Uint8Array): boolean {
    const string = typeof text === 'string' ? text : new TextDecoder().decode(text);
    this.written += string.length;
    this.watch(string);
    return true;
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.emit('resize');
  }
}
