/**
 * Ranges of I/O virtual addresses with owners, as an IOAS keeps them: what is reserved (by a device, by the aperture
 * of a page table) and what the user allows. Ends included, byte addresses to 2^64 - 1. There are few of them (some
 * per device), so a sorted list serves.
 */

/** The highest address, ULONG_MAX. */
export const LAST_IOVA = (1n << 64n) - 1n;

export const hex = (value: bigint): string => `0x${value.toString(16)}`;

export interface IovaRange {
  readonly start: bigint;
  readonly last: bigint;
}

interface OwnedRange extends IovaRange {
  readonly owner: object | undefined;
}

/** A stretch of the address space: used by one or more ranges, or a hole. */
export interface IovaSpan extends IovaRange {
  readonly isHole: boolean;
}

export class IovaRanges {
  private readonly ranges: OwnedRange[] = [];

  get empty(): boolean {
    return this.ranges.length === 0;
  }

  /** In order of their starts. */
  get all(): readonly IovaRange[] {
    return this.ranges;
  }

  /** Adds a range; it may overlap those that are there. */
  add(start: bigint, last: bigint, owner?: object): void {
    let at = this.ranges.length;
    while (at > 0 && this.ranges[at - 1].start > start) at -= 1;
    this.ranges.splice(at, 0, { start, last, owner });
  }

  /** Takes away every range of this owner. */
  removeOwner(owner: object): void {
    for (let at = this.ranges.length - 1; at >= 0; at -= 1) {
      if (this.ranges[at].owner === owner) this.ranges.splice(at, 1);
    }
  }

  /** The first range that shares an address with [start, last]. */
  firstIntersecting(start: bigint, last: bigint): IovaRange | undefined {
    for (const range of this.ranges) {
      if (range.start > last) return undefined;
      if (range.last >= start) return range;
    }
    return undefined;
  }

  /** Used stretches and holes of [first, last] in order; ranges that touch or overlap make one stretch. */
  *spans(first: bigint, last: bigint): Generator<IovaSpan> {
    let at = first;
    let index = 0;
    while (at <= last) {
      while (index < this.ranges.length && this.ranges[index].last < at) index += 1;
      const next = this.ranges[index];
      if (next === undefined || next.start > last) {
        yield { start: at, last, isHole: true };
        return;
      }
      if (next.start > at) {
        yield { start: at, last: next.start - 1n, isHole: true };
        at = next.start;
      }
      let end = next.last;
      for (index += 1; index < this.ranges.length && this.ranges[index].start <= end + 1n; index += 1) {
        if (this.ranges[index].last > end) end = this.ranges[index].last;
      }
      if (end > last) end = last;
      yield { start: at, last: end, isHole: false };
      at = end + 1n;
    }
  }
}
