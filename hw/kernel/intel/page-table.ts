/**
 * A page table of an IOMMU domain, in memory. The hot path of map and unmap: page and frame numbers, entries as two
 * 32-bit halves, no object made per mapping. What exists is in the entries alone; this class keeps the root and counts.
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { MemoryPort } from '../../port.ts';
import { KernelError } from '../errno.ts';
import type { PageAllocator } from '../page-allocator.ts';
import type { PageTableFormat } from './page-table-format.ts';
import { ENTRIES, frameOf, indexOf, PageTableReader, SPAN } from './page-table-reader.ts';

/** A run of pages whose tables gave way to a large page. */
export interface Replaced {
  readonly page: number;
  readonly count: number;
}

/** Told of an entry that was there and stays: first page, what it holds, what would have been written (64 bits each). */
export type KeptListener = (page: number, present: bigint, wanted: bigint) => void;

export class PageTable extends PageTableReader {
  private readonly allocator: PageAllocator;
  private tables = 0;
  private onKept: KeptListener | undefined;
  private keepsCutPages = false;
  private given: Replaced[] = [];
  /** The leaf table used last: its number (page / 512) and frame. */
  private cursor = -1;
  private cursorFrame = 0;

  /** @param levels 3, 4 or 5. @throws KernelError ENOMEM. */
  constructor(memory: MemoryPort, allocator: PageAllocator, format: PageTableFormat, levels: number) {
    super(memory, format, levels);
    this.allocator = allocator;
    this.rootFrame = this.newTable();
  }

  /** From now on entries are written so; those that are there stay. */
  changeFormat(format: PageTableFormat): void {
    this.entryFormat = format;
  }

  /** Tables in use, root included: 4 KiB each. */
  get tableCount(): number {
    return this.tables;
  }

  /**
   * Removes the top level: what lies in its first entry becomes the whole table (a unit that walks fewer levels). With
   * an empty first entry the root page stays and is walked one level lower.
   */
  dropTopLevel(): void {
    const words = this.words(this.rootFrame);
    const base = this.base(this.rootFrame);
    if ((words[base] & this.format.presentMask) !== 0) {
      const below = frameOf(words[base], words[base + 1]);
      this.freeTable(this.rootFrame);
      this.rootFrame = below;
    }
    this.topLevel -= 1;
    this.cursor = -1;
  }

  /**
   * Maps `count` pages to consecutive frames, with the largest pages up to `largestLevel` that alignment allows.
   * @param onKept 5.15: what is mapped already stays, and this is told of it; absent: such a map is refused.
   * @throws KernelError EADDRINUSE over something mapped, ENOMEM: then nothing has changed.
   */
  map(
    page: Page,
    frame: Frame,
    count: number,
    prot: number,
    largestLevel: number,
    onKept?: KeptListener,
  ): void {
    this.onKept = onKept;
    if (this.given.length > 0) this.given = [];
    if (onKept === undefined) {
      const taken = this.firstMapped(page, count);
      if (taken !== undefined) {
        throw new KernelError(
          'EADDRINUSE',
          'address already mapped',
          `IOVA 0x${(taken * 4096).toString(16)} is mapped already.`,
          'Unmap it first.',
        );
      }
    }
    const leaf = this.format.leafLow(prot);
    let done = 0;
    try {
      while (done < count) {
        const level = largestFitting(page + done, frame + done, count - done, largestLevel);
        done +=
          level === 1
            ? this.fillLeaves(page + done, frame + done, count - done, leaf)
            : this.setLarge(page + done, frame + done, level, leaf);
      }
    } catch (error) {
      if (done > 0) this.unmap(page, done);
      this.pruneEmpty(page, count);
      throw error;
    }
  }

  /**
   * Where the last map put a large page in the place of a table: the unit may have the way through that table cached,
   * so these pages must be flushed although nothing was mapped there (switch_to_super_page).
   */
  get replaced(): readonly Replaced[] {
    return this.given;
  }

  /**
   * Unmaps `count` pages from `page`; holes are skipped, a large page that is hit goes as a whole. Tables that lie
   * wholly inside the range are freed. Number of pages that were mapped and are no longer.
   * @param keepsCutPages 5.15: a large page that the range cuts stays.
   */
  unmap(page: Page, count: number, keepsCutPages = false): number {
    const within = page % ENTRIES;
    if (within + count <= ENTRIES && count < ENTRIES && this.seekLeafTable(page)) {
      return this.clearLeaves(this.cursorFrame, within, count);
    }
    this.cursor = -1;
    this.keepsCutPages = keepsCutPages;
    return this.unmapIn(this.rootFrame, this.topLevel, 0, page, page + count);
  }

  /** First mapped page at or after `page`, before `page + count`; undefined: all free. Skips empty tables whole. */
  firstMapped(page: number, count: number): number | undefined {
    const end = page + count;
    let at = page;
    while (at < end) {
      if (Math.floor(at / ENTRIES) === this.cursor) {
        const found = this.firstInLeafTable(this.cursorFrame, at, end);
        if (found !== undefined) return found;
        at = (this.cursor + 1) * ENTRIES;
        continue;
      }
      let table = this.rootFrame as number;
      let level = this.topLevel;
      for (; level > 1; level -= 1) {
        const words = this.words(table);
        const entry = this.base(table) + indexOf(at, level) * 2;
        const low = words[entry];
        if ((low & this.format.presentMask) === 0) break;
        if ((low & this.format.largeBit) !== 0) return at;
        table = frameOf(low, words[entry + 1]);
      }
      if (level === 1) {
        this.cursor = Math.floor(at / ENTRIES);
        this.cursorFrame = table;
      } else {
        at = (Math.floor(at / SPAN[level]) + 1) * SPAN[level];
      }
    }
    return undefined;
  }

  /** Gives all tables back. */
  free(): void {
    this.freeBelow(this.rootFrame, this.topLevel);
    this.freeTable(this.rootFrame);
    this.cursor = -1;
  }

  /** Makes the cursor point to the leaf table of a page. False: there is none, or a large page in its place. */
  private seekLeafTable(page: number): boolean {
    const number = Math.floor(page / ENTRIES);
    if (number === this.cursor) return true;
    let table = this.rootFrame as number;
    for (let level = this.topLevel; level > 1; level -= 1) {
      const words = this.words(table);
      const at = this.base(table) + indexOf(page, level) * 2;
      const low = words[at];
      if ((low & this.format.presentMask) === 0 || (low & this.format.largeBit) !== 0) return false;
      table = frameOf(low, words[at + 1]);
    }
    this.cursor = number;
    this.cursorFrame = table;
    return true;
  }

  private clearLeaves(table: number, index: number, count: number): number {
    const words = this.words(table);
    const base = this.base(table);
    let cleared = 0;
    for (let at = base + index * 2; at < base + (index + count) * 2; at += 2) {
      if ((words[at] & this.format.presentMask) === 0) continue;
      words[at] = 0;
      words[at + 1] = 0;
      cleared += 1;
    }
    return cleared;
  }

  private firstInLeafTable(table: number, from: number, end: number): number | undefined {
    const words = this.words(table);
    const base = this.base(table);
    const first = from - (from % ENTRIES);
    const last = Math.min(end - first, ENTRIES);
    for (let index = from - first; index < last; index += 1) {
      if ((words[base + index * 2] & this.format.presentMask) !== 0) return first + index;
    }
    return undefined;
  }

  /** Fills 4 KiB leaves up to the end of the leaf table or of the range; how many. */
  private fillLeaves(page: number, frame: number, count: number, leaf: number): number {
    const index = page % ENTRIES;
    const fill = Math.min(count, ENTRIES - index);
    // 5.15 follows a large page as if it were a table: what is mapped does not change.
    if (this.onKept !== undefined && (this.lookup(page)?.level ?? 1) > 1) return fill;
    const table = this.leafTableFor(page);
    const words = this.words(table);
    let at = this.base(table) + index * 2;
    let low = ((frame << 12) | leaf) >>> 0;
    let high = Math.floor(frame / 0x100000) | this.format.leafHigh;
    // The low half wraps into the high one every 2^20 frames.
    const keeps = this.onKept !== undefined;
    for (let each = 0, next = frame; each < fill; each += 1) {
      if (keeps && (words[at] & this.format.presentMask) !== 0) {
        this.tellKept(page + each, words, at, low, high);
      } else {
        words[at] = low;
        words[at + 1] = high;
      }
      at += 2;
      next += 1;
      low = (low + 0x1000) >>> 0;
      if (next % 0x100000 === 0) high += 1;
    }
    return fill;
  }

  private setLarge(page: number, frame: number, level: number, leaf: number): number {
    const table = this.tableAt(page, level);
    const words = this.words(table);
    const at = this.base(table) + indexOf(page, level) * 2;
    const low = words[at];
    const wanted = ((frame << 12) | leaf | this.format.largeBit) >>> 0;
    const high = (Math.floor(frame / 0x100000) | this.format.leafHigh) >>> 0;
    if ((low & this.format.presentMask) !== 0 && (low & this.format.largeBit) !== 0) {
      this.tellKept(page, words, at, wanted, high);
      return SPAN[level];
    }
    if ((low & this.format.presentMask) !== 0) {
      // Tables below are given up: empty ones, or what an overwriting map replaces.
      const below = frameOf(low, words[at + 1]);
      this.freeBelow(below, level - 1);
      this.freeTable(below);
      this.cursor = -1;
      this.given.push({ page, count: SPAN[level] });
    }
    words[at] = wanted;
    words[at + 1] = high;
    return SPAN[level];
  }

  private tellKept(page: number, words: Uint32Array, at: number, low: number, high: number): void {
    const quad = (lowHalf: number, highHalf: number): bigint =>
      BigInt(lowHalf >>> 0) | (BigInt(highHalf >>> 0) << 32n);
    this.onKept?.(page, quad(words[at], words[at + 1]), quad(low, high));
  }

  private leafTableFor(page: number): number {
    const number = Math.floor(page / ENTRIES);
    if (number === this.cursor) return this.cursorFrame;
    const table = this.tableAt(page, 1);
    this.cursor = number;
    this.cursorFrame = table;
    return table;
  }

  /** The table of this level for a page; missing ones are made, a large page in the way is split. */
  private tableAt(page: number, wanted: number): number {
    let table = this.rootFrame as number;
    for (let level = this.topLevel; level > wanted; level -= 1) {
      const words = this.words(table);
      const at = this.base(table) + indexOf(page, level) * 2;
      const low = words[at];
      if ((low & this.format.presentMask) === 0) {
        table = this.newTable();
        this.link(words, at, table);
      } else if ((low & this.format.largeBit) !== 0) {
        table = this.split(words, at, level);
      } else {
        table = frameOf(low, words[at + 1]);
      }
    }
    return table;
  }

  /** A large page becomes a table of the next smaller pages with the same rights. */
  private split(words: Uint32Array, at: number, level: number): number {
    const frame = frameOf(words[at], words[at + 1]);
    const bits = words[at] & 0xfff;
    const leaf = level === 2 ? bits & ~this.format.largeBit : bits;
    const table = this.newTable();
    const below = this.words(table);
    const base = this.base(table);
    for (let index = 0; index < ENTRIES; index += 1) {
      const each = frame + index * SPAN[level - 1];
      below[base + index * 2] = (each << 12) | leaf;
      below[base + index * 2 + 1] = Math.floor(each / 0x100000) | this.format.leafHigh;
    }
    this.link(words, at, table);
    return table;
  }

  private link(words: Uint32Array, at: number, table: number): void {
    words[at] = (table << 12) | this.format.tableLow;
    words[at + 1] = Math.floor(table / 0x100000) | this.format.tableHigh;
  }

  private unmapIn(table: number, level: number, first: number, start: number, end: number): number {
    const words = this.words(table);
    const base = this.base(table);
    const span = SPAN[level];
    const from = Math.max(0, Math.floor((start - first) / span));
    const to = Math.min(ENTRIES, Math.ceil((end - first) / span));
    let unmapped = 0;
    for (let index = from; index < to; index += 1) {
      const at = base + index * 2;
      const low = words[at];
      if ((low & this.format.presentMask) === 0) continue;
      if (level === 1 || (low & this.format.largeBit) !== 0) {
        const cut = first + index * span < start || first + (index + 1) * span > end;
        if (cut && this.keepsCutPages) continue;
        words[at] = 0;
        words[at + 1] = 0;
        unmapped += span;
        continue;
      }
      const entryFirst = first + index * span;
      const below = frameOf(low, words[at + 1]);
      unmapped += this.unmapIn(below, level - 1, entryFirst, start, end);
      if (start <= entryFirst && end >= entryFirst + span) {
        words[at] = 0;
        words[at + 1] = 0;
        this.freeTable(below);
      }
    }
    return unmapped;
  }

  /** Frees tables in the range that hold nothing: what a failed map left. */
  private pruneEmpty(page: number, count: number): void {
    this.cursor = -1;
    const prune = (table: number, level: number, first: number): boolean => {
      const words = this.words(table);
      const base = this.base(table);
      const span = SPAN[level];
      if (level > 1) {
        const from = Math.max(0, Math.floor((page - first) / span));
        const to = Math.min(ENTRIES, Math.ceil((page + count - first) / span));
        for (let index = from; index < to; index += 1) {
          const at = base + index * 2;
          if ((words[at] & this.format.presentMask) === 0 || (words[at] & this.format.largeBit) !== 0)
            continue;
          const below = frameOf(words[at], words[at + 1]);
          if (prune(below, level - 1, first + index * span)) {
            words[at] = 0;
            words[at + 1] = 0;
            this.freeTable(below);
          }
        }
      }
      for (let at = base; at < base + ENTRIES * 2; at += 2) if (words[at] !== 0) return false;
      return true;
    };
    prune(this.rootFrame, this.topLevel, 0);
  }

  private freeBelow(table: number, level: number): void {
    if (level === 1) return;
    const words = this.words(table);
    const base = this.base(table);
    for (let at = base; at < base + ENTRIES * 2; at += 2) {
      const low = words[at];
      if ((low & this.format.presentMask) === 0 || (low & this.format.largeBit) !== 0) continue;
      const below = frameOf(low, words[at + 1]);
      this.freeBelow(below, level - 1);
      this.freeTable(below);
    }
  }

  private newTable(): Frame {
    const frame = this.allocator.allocate();
    const base = this.base(frame);
    this.words(frame).fill(0, base, base + ENTRIES * 2);
    this.tables += 1;
    return frame;
  }

  private freeTable(frame: number): void {
    this.tables -= 1;
    this.allocator.release(frame as Frame);
  }
}

/** Highest level whose page fits here: aligned IOVA and frame, and enough left. */
function largestFitting(page: number, frame: number, count: number, largestLevel: number): number {
  for (let level = largestLevel; level > 1; level -= 1) {
    const span = SPAN[level];
    if (count >= span && page % span === 0 && frame % span === 0) return level;
  }
  return 1;
}
