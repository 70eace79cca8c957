/**
 * Somebody watches: the demo passes at human speed in the terminal, and the keyboard pauses, steps, takes over. The last
 * line of the terminal is the viewer's own: how far the demo is, and its keys. The keys of the console, which stand there
 * otherwise, are of no use while the tape has the keyboard.
 */
import { constants } from 'node:os';
import { RESTORE } from '../terminal/terminal.ts';
import { fitText } from '../terminal/width.ts';
import type { Pacer } from './player.ts';

/** How often the keyboard is looked at, in milliseconds. */
const TICK = 16;

export interface ViewerOptions {
  /** How fast time passes: 1 as it is, 2 twice that. */
  readonly speed: number;
  readonly name: string;
  /** Wait for a key at the end, with the last screen in sight. */
  readonly hold?: boolean;
}

export class Viewer implements Pacer {
  wish: 'play' | 'take over' | 'stop' = 'play';
  private readonly options: ViewerOptions;
  private paused = false;
  /** Commands to play while paused. */
  private steps = 0;
  private done = 0;
  private all = 0;
  private ending: string | undefined;
  private forward: ((bytes: string) => void) | undefined;
  private screenTaken = false;

  constructor(options: ViewerOptions) {
    this.options = options;
  }

  /** Space pauses and goes on, `.` goes one step while paused, `t` takes the keyboard, `q` and Ctrl-C stop. */
  start(): void {
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', this.pressed);
    process.stdin.resume();
    process.on('SIGTERM', this.ended);
    process.on('SIGHUP', this.ended);
    process.on('exit', this.giveBack);
  }

  stop(): void {
    this.giveBack();
    process.off('SIGTERM', this.ended);
    process.off('SIGHUP', this.ended);
    process.off('exit', this.giveBack);
    process.stdin.off('data', this.pressed);
    process.stdin.pause();
    process.stdin.setRawMode(false);
  }

  /** Where keys go once the viewer has taken the keyboard. */
  takeKeys(forward: (bytes: string) => void): void {
    this.forward = forward;
  }

  show(text: string): void {
    this.screenTaken = true;
    process.stdout.write(text + this.statusLine);
  }

  async pass(milliseconds: number): Promise<number> {
    while (this.paused && this.steps === 0 && this.wish === 'play') await rest(TICK);
    const { speed } = this.options;
    const part = Math.min(milliseconds, TICK * speed);
    await rest(part / speed);
    return part;
  }

  between(done: number, all: number): void {
    this.steps = Math.max(0, this.steps - 1);
    this.done = done;
    this.all = all;
    this.drawStatus();
  }

  async over(how: string): Promise<void> {
    if (this.options.hold !== true || this.wish !== 'play') return;
    this.ending = how;
    this.drawStatus();
    while (this.ending !== undefined && this.wish === 'play') await rest(TICK);
  }

  private readonly pressed = (chunk: string | Uint8Array): void => {
    const text = String(chunk);
    if (this.ending !== undefined) {
      this.ending = undefined;
      return;
    }
    for (let at = 0; at < text.length; at++) {
      if (this.wish === 'take over') {
        this.forward?.(text.slice(at));
        return;
      }
      this.control(text[at]);
    }
    this.drawStatus();
  };

  private control(key: string): void {
    if (key === ' ') this.paused = !this.paused;
    else if (key === '.' && this.paused) this.steps += 1;
    else if (key === 't') {
      this.paused = false;
      this.wish = 'take over';
      this.forward?.('\u000c'); // the console draws the line that was covered
    } else if (key === 'q' || key === '\u0003') this.wish = 'stop';
  }

  private drawStatus(): void {
    if (this.screenTaken) process.stdout.write(this.statusLine);
  }

  /** What draws it, and leaves the cursor where it was; empty once the viewer is an operator. */
  private get statusLine(): string {
    const { columns, rows } = process.stdout;
    if (this.wish === 'take over' || rows === undefined) return '';
    return `\u001b7\u001b[${rows};1H\u001b[0;7m${fitText(` ${this.status}`, columns)}\u001b[m\u001b8`;
  }

  private get status(): string {
    const name = `demo ${this.options.name}`;
    if (this.ending !== undefined) return `${name}: ${this.ending}. Any key goes back`;
    const state = this.paused ? 'paused' : 'playing';
    const keys = this.paused ? 'Space goes on   . one step' : 'Space pauses';
    return `${name} ${this.done}/${this.all} ${state}   ${keys}   q leaves   t takes the keyboard`;
  }

  private readonly ended = (signal: NodeJS.Signals): void => {
    this.wish = 'stop';
    process.exitCode = 128 + constants.signals[signal];
  };

  private readonly giveBack = (): void => {
    if (!this.screenTaken) return;
    this.screenTaken = false;
    process.stdout.write(RESTORE);
  };
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
