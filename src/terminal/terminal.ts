/**
 * The terminal itself: takes it over and gives it back as it was, whichever way the program ends. Raw mode, alternate
 * screen, cursor, bracketed paste and mouse go on together and off together.
 */
import { type Clock, systemClock } from './clock.ts';
import { type InputEvent, InputParser } from './input.ts';
import { Screen, type TerminalOutput } from './screen.ts';

/** What is needed of an input stream. */
export interface TerminalInput {
  readonly isTTY?: boolean;
  setRawMode?(on: boolean): unknown;
  setEncoding?(encoding: 'utf8'): unknown;
  resume?(): unknown;
  pause?(): unknown;
  on(event: 'data', listener: (chunk: string | Uint8Array) => void): unknown;
  off(event: 'data', listener: (chunk: string | Uint8Array) => void): unknown;
}

export interface TerminalOptions {
  readonly input: TerminalInput;
  readonly output: TerminalOutput;
  readonly mouse?: boolean;
  readonly clock?: Clock;
  /** Leave the screen as it is, and write nothing to it: somebody else draws (a screen reader's lines). */
  readonly plain?: boolean;
}

/** How long a lone escape waits for the rest of a sequence. Milliseconds; terminals send a sequence at once. */
const ESCAPE_WAIT = 40;
/** A process that is stopped does not notice time: if this passes, the stop did not happen. Milliseconds. */
const STOP_WAIT = 300;
/** A signal that has arrived is handled well within this. Milliseconds. */
const SIGNAL_WAIT = 50;

export class Terminal {
  readonly screen: Screen;
  onInput: (events: readonly InputEvent[]) => void = () => {};
  private readonly options: TerminalOptions;
  private readonly clock: Clock;
  private readonly parser = new InputParser();
  private cancelFlush: (() => void) | undefined;
  private taken = false;
  private mouse: boolean;
  private readonly decoder = new TextDecoder();

  constructor(options: TerminalOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.mouse = options.mouse === true;
    this.screen = new Screen(options.output);
  }

  /** Takes the terminal over. */
  enter(): void {
    if (this.taken) return;
    this.taken = true;
    const { input, output, plain } = this.options;
    input.setEncoding?.('utf8');
    input.setRawMode?.(true);
    input.on('data', this.received);
    input.resume?.();
    if (plain === true) return;
    // Alternate screen, cleared once; no cursor; bracketed paste.
    output.write(`\u001b[?1049h\u001b[2J\u001b[?25l\u001b[?2004h${this.mouse ? MOUSE_ON : ''}`);
    this.screen.start();
  }

  /** Gives the terminal back. Can be called at any time, more than once. */
  leave(): void {
    if (!this.taken) return;
    this.taken = false;
    this.screen.stop();
    this.cancelFlush?.();
    const { input, output, plain } = this.options;
    input.off('data', this.received);
    try {
      if (plain !== true) output.write(RESTORE);
      input.setRawMode?.(false);
    } catch {
      // The window is gone: nothing to give back.
    }
    input.pause?.();
  }

  /**
   * Stops the process as Ctrl-Z does for others, and takes the terminal again when it is continued. The whole process
   * group stops, so that a parent such as npm does not go on holding the terminal. Where nothing can stop it (no job
   * control), it comes back at once; `resumed` is told which.
   */
  suspend(resumed: (stopped: boolean) => void): void {
    this.leave();
    let done = false;
    const resume = (stopped: boolean): void => {
      if (done) return;
      done = true;
      process.off('SIGCONT', continued);
      cancel();
      this.enter();
      this.screen.repaint();
      resumed(stopped);
    };
    const continued = (): void => resume(true);
    process.on('SIGCONT', continued);
    // After a stop the timer is long due when the process goes on; the signal that continued it gets its turn first.
    let cancel = systemClock.after(STOP_WAIT, () => {
      cancel = systemClock.after(SIGNAL_WAIT, () => resume(false));
    });
    process.kill(0, 'SIGTSTP');
  }

  /** Lets another program have the terminal (a pager), then takes it again. */
  lend(use: () => void): void {
    this.leave();
    try {
      use();
    } finally {
      this.enter();
      this.screen.repaint();
    }
  }

  /** Writes the whole frame anew, whatever the terminal shows. */
  repaint(): void {
    if (!this.taken || this.options.plain === true) return;
    this.options.output.write('\u001b[2J');
    this.screen.repaint();
  }

  setMouse(on: boolean): void {
    this.mouse = on;
    if (this.taken && this.options.plain !== true) this.options.output.write(on ? MOUSE_ON : MOUSE_OFF);
  }

  /** Puts text into the clipboard of the terminal's user (OSC 52), also across ssh. */
  copy(text: string): void {
    if (!this.taken) return;
    this.options.output.write(`\u001b]52;c;${Buffer.from(text).toString('base64')}\u0007`);
  }

  private readonly received = (chunk: string | Uint8Array): void => {
    const text = typeof chunk === 'string' ? chunk : this.decoder.decode(chunk, { stream: true });
    this.cancelFlush?.();
    this.cancelFlush = undefined;
    const events = this.parser.push(text);
    if (this.parser.pending) {
      this.cancelFlush = this.clock.after(ESCAPE_WAIT, () => {
        const late = this.parser.flush();
        if (late.length > 0) this.onInput(late);
      });
    }
    if (events.length > 0) this.onInput(events);
  };
}

/** Buttons and drags, reported in SGR form. */
const MOUSE_ON = '\u001b[?1002h\u001b[?1006h';
const MOUSE_OFF = '\u001b[?1002l\u001b[?1006l';
/** An unfinished frame shown, attributes off, mouse off, bracketed paste off, cursor shown, alternate screen left. */
export const RESTORE = `\u001b[?2026l\u001b[m${MOUSE_OFF}\u001b[?2004l\u001b[?25h\u001b[?1049l`;
