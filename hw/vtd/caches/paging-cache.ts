/**
 * Paging-structure caches: where the last and the last-but-one table for an address are, with the rights gathered on
 * the way. Direct-mapped. Software that changes an upper level must invalidate without the hint bit. VT-d 6.2.5.
 *
 * An entry is eight 32-bit words: tag, region (high and low part), rights, table address (high and low part).
 */

const ENTRIES = 2048;
const STRIDE = 8;

const TAG = 0;
const PAGE_HIGH = 1;
const KEY = 2;
const RIGHTS = 3;
const TABLE_HIGH = 4;
const TABLE_LOW = 5;

/** In KEY: bits 19:0 the region's first page, 21:20 the level of the table, 22 valid. */
const VALID = 1 << 22;
/** Pages that one table of level 1 and 2 covers, as a mask. */
const COVERS = Int32Array.of(0, 0x1ff, 0x3ffff);

export class PagingCache {
  private readonly words = new Int32Array(ENTRIES * STRIDE);
  private filled = false;

  private entryOf(tag: number, pageHigh: number, pageLow: number, level: number): number {
    const region = (pageLow >>> (9 * level)) ^ (pageHigh << 2) ^ (pageHigh >>> 7) ^ (level << 9);
    return ((region ^ (tag * 0x9f)) & (ENTRIES - 1)) * STRIDE;
  }

  /** The entry for the table of this level (1 or 2) that serves the page, or -1. */
  find(tag: number, pageHigh: number, pageLow: number, level: number): number {
    const words = this.words;
    const entry = this.entryOf(tag, pageHigh, pageLow, level);
    const key = (pageLow & ~COVERS[level]) | VALID | (level << 20);
    return words[entry + KEY] === key && words[entry + PAGE_HIGH] === pageHigh && words[entry + TAG] === tag
      ? entry
      : -1;
  }

  tableHigh(entry: number): number {
    return this.words[entry + TABLE_HIGH];
  }

  tableLow(entry: number): number {
    return this.words[entry + TABLE_LOW];
  }

  rights(entry: number): number {
    return this.words[entry + RIGHTS];
  }

  fill(
    tag: number,
    pageHigh: number,
    pageLow: number,
    level: number,
    rights: number,
    tableHigh: number,
    tableLow: number,
  ): void {
    const words = this.words;
    const entry = this.entryOf(tag, pageHigh, pageLow, level);
    words[entry + TAG] = tag;
    words[entry + PAGE_HIGH] = pageHigh;
    words[entry + KEY] = (pageLow & ~COVERS[level]) | VALID | (level << 20);
    words[entry + RIGHTS] = rights;
    words[entry + TABLE_HIGH] = tableHigh;
    words[entry + TABLE_LOW] = tableLow;
    this.filled = true;
  }

  invalidateAll(): void {
    if (!this.filled) return;
    this.words.fill(0);
    this.filled = false;
  }

  invalidateTag(tag: number): void {
    if (!this.filled) return;
    const words = this.words;
    for (let entry = 0; entry < words.length; entry += STRIDE)
      if (words[entry + TAG] === tag) words[entry + KEY] = 0;
  }

  /** Entries whose region shares a page with the 2^mask pages at this page. */
  invalidatePages(tag: number, pageHigh: number, pageLow: number, mask: number): void {
    if (!this.filled) return;
    const words = this.words;
    if (mask <= 9) {
      for (let level = 1; level <= 2; level += 1) {
        const entry = this.find(tag, pageHigh, pageLow, level);
        if (entry >= 0) words[entry + KEY] = 0;
      }
      return;
    }
    for (let entry = 0; entry < words.length; entry += STRIDE) {
      if (words[entry + TAG] !== tag || words[entry + KEY] === 0) continue;
      const bits = Math.max(mask, ((words[entry + KEY] >>> 20) & 3) * 9);
      const low = bits >= 20 ? 0 : -1 << bits;
      const high = bits <= 20 ? -1 : bits >= 52 ? 0 : -1 << (bits - 20);
      if (((words[entry + PAGE_HIGH] ^ pageHigh) & high) !== 0) continue;
      if (((words[entry + KEY] ^ pageLow) & low & 0xfffff) === 0) words[entry + KEY] = 0;
    }
  }

  /** Entries now held. */
  get count(): number {
    let entries = 0;
    for (let entry = KEY; entry < this.words.length; entry += STRIDE)
      if (this.words[entry] !== 0) entries += 1;
    return entries;
  }
}
