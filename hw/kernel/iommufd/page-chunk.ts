/**
 * Frames and holds of up to 512 pages that follow each other. Memory in 2 MiB pages, held alike throughout, costs three
 * numbers for each 2 MiB; arrays with a place for each page come when pages lie scattered or are held differently.
 */

/** Below this many pages plain arrays take less memory than typed ones. */
const FEW_PAGES = 16;

interface Places {
  readonly frames: Float64Array | number[];
  readonly users: Uint32Array | number[];
}

export class PageChunk {
  /** Number of the first page within its SharedPages. */
  readonly first: number;
  readonly count: number;
  /** Without places: the frame of the first page, the others follow; and how often each is held. */
  private firstFrame = 0;
  private usersOfEach = 0;
  private places: Places | undefined;

  constructor(first: number, count: number) {
    this.first = first;
    this.count = count;
  }

  /** How many page table ranges and accesses hold the page at this place. */
  users(at: number): number {
    return this.places === undefined ? this.usersOfEach : this.places.users[at];
  }

  /** Frame of a page that is held. */
  frame(at: number): number {
    return this.places === undefined ? this.firstFrame + at : this.places.frames[at];
  }

  /** Places from `at` on, at most `max`, that are all held, or all held by nobody. */
  heldAlike(at: number, max: number): number {
    const end = Math.min(this.count, at + max);
    if (this.places === undefined) return end - at;
    const { users } = this.places;
    const held = users[at] > 0;
    let next = at + 1;
    while (next < end && users[next] > 0 === held) next += 1;
    return next - at;
  }

  /** Places from `at` on, at most `max`, whose frames follow each other. */
  run(at: number, max: number): number {
    const end = Math.min(this.count, at + max);
    if (this.places === undefined) return end - at;
    const { frames } = this.places;
    let next = at + 1;
    while (next < end && frames[next] === frames[next - 1] + 1) next += 1;
    return next - at;
  }

  /** As `run`, and held equally often. */
  equalRun(at: number, max: number): number {
    const run = this.run(at, max);
    if (this.places === undefined) return run;
    const { users } = this.places;
    let next = 1;
    while (next < run && users[at + next] === users[at]) next += 1;
    return next;
  }

  /** Pages that nobody held are pinned now: `count` frames from `frame` on, each held once. */
  fill(at: number, frame: number, count: number): void {
    if (this.places === undefined && count === this.count) {
      this.firstFrame = frame;
      this.usersOfEach = 1;
      return;
    }
    const { frames, users } = this.spread();
    for (let index = 0; index < count; index += 1) {
      frames[at + index] = frame + index;
      users[at + index] = 1;
    }
  }

  /** Adds `by` to the holds of `count` pages. */
  change(at: number, count: number, by: number): void {
    if (this.places === undefined && count === this.count) {
      this.usersOfEach += by;
      return;
    }
    const { users } = this.spread();
    for (let index = at; index < at + count; index += 1) users[index] += by;
  }

  private spread(): Places {
    if (this.places !== undefined) return this.places;
    const { count, firstFrame, usersOfEach } = this;
    const few = count < FEW_PAGES;
    const frames = few ? new Array<number>(count) : new Float64Array(count);
    for (let index = 0; index < count; index += 1) frames[index] = firstFrame + index;
    const users = few ? new Array<number>(count) : new Uint32Array(count);
    users.fill(usersOfEach);
    this.places = { frames, users };
    return this.places;
  }
}
