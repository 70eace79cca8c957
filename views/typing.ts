/**
 * Keys while long work goes on. Until its progress is shown it is as if it were done at once: what is typed waits its turn.
 * Once it is shown, `Esc` stops it, one can move about, and what would change the session is refused.
 */
import type { InputEvent } from '../src/terminal/input.ts';
import type { Console } from './console.ts';
import type { Job } from './work/jobs.ts';

/** These never wait. */
const ALWAYS = new Set(['quit', 'suspend', 'redraw']);

export class Typing {
  private readonly console: Console;
  private waiting: InputEvent[] = [];

  constructor(console: Console) {
    this.console = console;
  }

  take(event: InputEvent): void {
    const { console } = this;
    const job = this.inTheWay;
    const stops = event.type === 'key' && event.key === 'Esc' && console.overlays.length === 0;
    if (stops && console.jobs.of('detail')?.visible === true) {
      console.jobs.cancel('detail');
      return;
    }
    if (job === undefined && this.waiting.length === 0) return console.handleNow(event);
    if (event.type === 'key') {
      const command = console.commandOf(event.key);
      if (command !== undefined && ALWAYS.has(command.id)) return console.handleNow(event);
      if (job?.visible === true) {
        if (event.key === 'Esc') return this.cancel();
        if (command?.changes === true)
          return console.warn(`not while this goes on: ${job.what}. Esc cancels it.`);
        if (command?.id.startsWith('go.') === true) {
          // What waited for the rows of this screen was not meant for another.
          if (console.jobs.of('act') === undefined) this.waiting = [];
          return console.handleNow(event);
        }
      }
    }
    // In a list that has no rows yet there is nothing to move in.
    const moves = this.waiting.length === 0 && console.lists.absence === undefined;
    if (job?.visible === true && moves) return console.handleNow(event);
    this.waiting.push(event);
  }

  /** Work ended or became visible: what waited for it has its turn. */
  settle(): void {
    // Who pressed Esc before there was anything to see meant this.
    if (
      this.inTheWay?.visible === true &&
      this.waiting.some((event) => event.type === 'key' && event.key === 'Esc')
    )
      return this.cancel();
    while (this.waiting.length > 0 && this.inTheWay === undefined) {
      const event = this.waiting.shift();
      if (event !== undefined) this.console.handleNow(event);
    }
  }

  /** The work that keys wait for; none where an overlay or the filter takes them. */
  private get inTheWay(): Job | undefined {
    const { console } = this;
    if (console.overlays.length > 0 || console.filterField !== undefined) return undefined;
    void console.list; // begins what the list lacks
    return console.jobs.of('act') ?? console.jobs.of('list');
  }

  private cancel(): void {
    const { jobs } = this.console;
    this.waiting = [];
    if (jobs.of('act') === undefined) jobs.cancel('list');
    else jobs.cancel('act');
  }
}
