import { VirtualClock } from '../../src/terminal/clock.ts';

/**
 * A clock for tests of long work: each look at it takes some time, so that every step of work does. Calls come a
 * millisecond later at the earliest, as a computer's do: one slice of work each.
 */
export class WorkingClock extends VirtualClock {
  /** Milliseconds that a look costs; 0: work takes no time, and all of it is done at once. */
  cost = 0;

  override now(): number {
    this.time += this.cost;
    return this.time;
  }

  override after(milliseconds: number, call: () => void): () => void {
    return super.after(Math.max(1, milliseconds), call);
  }
}
