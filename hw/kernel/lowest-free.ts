/**
 * Numbers handed out lowest first: page frames, domain ids, PASIDs. Which number comes next depends on what is free
 * and not on the order of releases. Taking and giving cost a few words, whatever the size: a pyramid of bitmaps, one
 * bit a number below, above one bit for each word that has something free.
 */
/** Where the search for runs of one kind goes on: what lies below is known to be taken. Indices. */
interface RunHint {
  readonly count: number;
  readonly alignment: number;
  /** The first index that is aligned. */
  readonly start: number;
  next: number;
}

export class LowestFree {
  /** The numbers are `first` to `first + count - 1`. */
  readonly first: number;
  readonly count: number;
  private readonly levels: Uint32Array[] = [];
  private freeCount: number;
  /** Runs by "count:alignment": no such run starts below where its search goes on. */
  private readonly runHints = new Map<string, RunHint>();

  constructor(first: number, count: number) {
    this.first = first;
    this.count = count;
    this.freeCount = count;
    for (let entries = count; ; ) {
      const words = Math.ceil(entries / 32);
      const level = new Uint32Array(words).fill(0xffffffff);
      if (entries % 32 !== 0) level[words - 1] = 2 ** (entries % 32) - 1;
      this.levels.push(level);
      if (words <= 1) break;
      entries = words;
    }
  }

  get free(): number {
    return this.freeCount;
  }

  get taken(): number {
    return this.count - this.freeCount;
  }

  isTaken(number: number): boolean {
    const index = number - this.first;
    return index >= 0 && index < this.count && ((this.levels[0][index >>> 5] >>> (index & 31)) & 1) === 0;
  }

  /** Takes the lowest free number; undefined when none is left at or below `last`. */
  takeLowest(last = Number.POSITIVE_INFINITY): number | undefined {
    if (this.freeCount === 0) return undefined;
    let index = 0;
    for (let level = this.levels.length - 1; level >= 0; level -= 1) {
      const word = this.levels[level][index];
      index = index * 32 + (31 - Math.clz32(word & -word));
    }
    if (this.first + index > last) return undefined;
    this.clear(index);
    return this.first + index;
  }

  /** Takes the lowest free number from `from` to `last`; undefined when there is none. */
  takeLowestFrom(from: number, last: number): number | undefined {
    const index = this.lowestFrom(Math.max(0, from - this.first));
    if (index === undefined || this.first + index > last) return undefined;
    this.clear(index);
    return this.first + index;
  }

  /** Takes this very number; false when it is taken or out of range. */
  take(number: number): boolean {
    const index = number - this.first;
    if (index < 0 || index >= this.count || this.isTaken(number)) return false;
    this.clear(index);
    return true;
  }

  /**
   * Takes `count` consecutive numbers, the first a multiple of `alignment`: the lowest such run. The first number, or
   * undefined when there is none.
   */
  takeRun(count: number, alignment: number): number | undefined {
    const hint = this.runHint(count, alignment);
    const { start } = hint;
    for (let index = hint.next; index + count <= this.count; ) {
      const taken = this.firstTaken(index, count);
      if (taken === undefined) {
        this.clearRun(index, count);
        hint.next = index + Math.ceil(count / alignment) * alignment;
        return this.first + index;
      }
      index = start + Math.ceil((taken + 1 - start) / alignment) * alignment;
      hint.next = index;
    }
    return undefined;
  }

  /** Gives a number back; false when it was not taken. */
  give(number: number): boolean {
    if (!this.isTaken(number)) return false;
    this.freeCount += 1;
    let at = number - this.first;
    for (const hint of this.runHints.values()) {
      const lowest =
        Math.ceil((at - hint.count + 1 - hint.start) / hint.alignment) * hint.alignment + hint.start;
      if (lowest < hint.next) hint.next = Math.max(hint.start, lowest);
    }
    for (const level of this.levels) {
      const before = level[at >>> 5];
      level[at >>> 5] = before | (1 << (at & 31));
      if (before !== 0) break;
      at >>>= 5;
    }
    return true;
  }

  private runHint(count: number, alignment: number): RunHint {
    const key = `${count}:${alignment}`;
    let hint = this.runHints.get(key);
    if (hint === undefined) {
      const offset = this.first % alignment;
      const start = offset === 0 ? 0 : alignment - offset;
      hint = { count, alignment, start, next: start };
      this.runHints.set(key, hint);
    }
    return hint;
  }

  /** Index of the lowest free number at or after an index: up the pyramid until something is free, and down again. */
  private lowestFrom(from: number): number | undefined {
    let index = from;
    for (let level = 0; level < this.levels.length; level += 1) {
      const word = index >>> 5;
      const bits = this.levels[level][word] & ~((1 << (index & 31)) - 1);
      if (word < this.levels[level].length && bits !== 0) {
        index = word * 32 + (31 - Math.clz32(bits & -bits));
        for (let down = level - 1; down >= 0; down -= 1) {
          const below = this.levels[down][index];
          index = index * 32 + (31 - Math.clz32(below & -below));
        }
        return index;
      }
      index = word + 1;
    }
    return undefined;
  }

  /** Index of the first taken number among `count` from `index`, or undefined. */
  private firstTaken(index: number, count: number): number | undefined {
    const bits = this.levels[0];
    for (let at = index; at < index + count; ) {
      if ((at & 31) === 0 && at + 32 <= index + count && bits[at >>> 5] === 0xffffffff) at += 32;
      else if (((bits[at >>> 5] >>> (at & 31)) & 1) === 0) return at;
      else at += 1;
    }
    return undefined;
  }

  /** Takes free numbers: whole words at once. */
  private clearRun(index: number, count: number): void {
    for (let at = index; at < index + count; ) {
      if ((at & 31) !== 0 || at + 32 > index + count) {
        this.clear(at);
        at += 1;
        continue;
      }
      // All but one bit of the word at once; the last one tells the levels above.
      this.levels[0][at >>> 5] = 1;
      this.freeCount -= 31;
      this.clear(at);
      at += 32;
    }
  }

  private clear(index: number): void {
    this.freeCount -= 1;
    let at = index;
    for (const level of this.levels) {
      level[at >>> 5] &= ~(1 << (at & 31));
      if (level[at >>> 5] !== 0) return;
      at >>>= 5;
    }
  }
}
