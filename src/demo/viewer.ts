/** Somebody watches: the demo passes at human speed in the terminal, and the keyboard pauses, steps, takes over. */
import type { Pacer } from './player.ts';

/** How often the keyboard is looked at, in milliseconds. */
const TICK = 16;

export class Viewer implements Pacer {
  wish: 'play' | 'take over' | 'stop' = 'play';
  private readonly speed: number;
  private paused = false;
  /** Commands to play while paused. */
  private steps = 0;
  private forward: ((bytes: string) => void) | undefined;

  constructor(speed: number) {
    this.speed = speed;
  }

  /** Space pauses and goes on, `.` goes one step while paused, `t` takes the keyboard, `q` and Ctrl-C stop. */
  start(): void {
    process.stdin.setRawMode(true);
    process.stdin.setEncoding('utf8');
    process.stdin.on('data', this.pressed);
    process.stdin.resume();
  }

  stop(): void {
    process.stdin.off('data', this.pressed);
    process.stdin.pause();
    process.stdin.setRawMode(false);
  }

  /** Where keys go once the viewer has taken the keyboard. */
  takeKeys(forward: (bytes: string) => void): void {
    this.forward = forward;
  }

  show(text: string): void {
    process.stdout.write(text);
  }

  async pass(milliseconds: number): Promise<number> {
    while (this.paused && this.steps === 0 && this.wish === 'play') await rest(TICK);
    const part = Math.min(milliseconds, TICK * this.speed);
    await rest(part / this.speed);
    return part;
  }

  between(): void {
    this.steps = Math.max(0, this.steps - 1);
  }

  private readonly pressed = (chunk: string | Uint8Array): void => {
    const text = String(chunk);
    for (let at = 0; at < text.length; at++) {
      if (this.wish === 'take over') {
        this.forward?.(text.slice(at));
        return;
      }
      this.control(text[at]);
    }
  };

  private control(key: string): void {
    if (key === ' ') this.paused = !this.paused;
    else if (key === '.' && this.paused) this.steps += 1;
    else if (key === 't') {
      this.paused = false;
      this.wish = 'take over';
    } else if (key === 'q' || key === '\u0003') this.wish = 'stop';
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
