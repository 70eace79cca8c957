/** Time as the console sees it: real in a terminal, virtual when a demo or a test plays it. */
export interface Clock {
  /** Milliseconds; only differences mean something. */
  now(): number;
  /** Calls once after so many milliseconds. The returned function takes it back. */
  after(milliseconds: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  // `performance` would say the same, but Node loads all its measuring for it.
  now: () => process.uptime() * 1000,
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until it is told to advance. */
export class VirtualClock implements Clock {
  protected time = 0;
  private readonly waiting = new Set<{ readonly at: number; readonly call: () => void }>();

  now(): number {
    return this.time;
  }

  after(milliseconds: number, call: () => void): () => void {
    const entry = { at: this.time + Math.max(0, milliseconds), call };
    this.waiting.add(entry);
    return () => this.waiting.delete(entry);
  }

  /** Lets so many milliseconds pass; calls come in the order of their time. */
  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      let next: { readonly at: number; readonly call: () => void } | undefined;
      for (const entry of this.waiting) {
        if (entry.at <= end && (next === undefined || entry.at < next.at)) next = entry;
      }
      if (next === undefined) break;
      this.waiting.delete(next);
      this.time = Math.max(this.time, next.at);
      next.call();
    }
    this.time = Math.max(this.time, end);
  }
}
