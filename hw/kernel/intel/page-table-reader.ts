/**
 * Reading a page table in memory: what a walk finds, every leaf, the dirty ones. Page and frame numbers; entries as two
 * 32-bit halves.
 */
import type { Frame } from '../../memory/types.ts';
import type { MemoryPort } from '../../port.ts';
import type { PageTableFormat } from './page-table-format.ts';

export const ENTRIES = 512;
/** Pages below one entry, by level (1 = leaf table). */
export const SPAN = [0, 1, 512, 512 ** 2, 512 ** 3, 512 ** 4];

/** A leaf as found by a walk. */
export interface FoundLeaf {
  readonly frame: Frame;
  /** Level of the entry: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB. */
  readonly level: number;
  /** IommuProt.read, IommuProt.write. */
  readonly rights: number;
  readonly low: number;
}

export abstract class PageTableReader {
  protected entryFormat: PageTableFormat;
  protected rootFrame = 0 as Frame;
  protected topLevel: number;
  private readonly memory: MemoryPort;

  constructor(memory: MemoryPort, format: PageTableFormat, levels: number) {
    this.memory = memory;
    this.entryFormat = format;
    this.topLevel = levels;
  }

  get format(): PageTableFormat {
    return this.entryFormat;
  }

  get root(): Frame {
    return this.rootFrame;
  }

  get levels(): number {
    return this.topLevel;
  }

  /** First mapped page at or after `page`, before `page + count`; undefined: all free. */
  abstract firstMapped(page: number, count: number): number | undefined;

  /** The leaf that translates the page, or undefined. */
  lookup(page: number): FoundLeaf | undefined {
    let table = this.rootFrame;
    for (let level = this.topLevel; level >= 1; level -= 1) {
      const words = this.words(table);
      const at = this.base(table) + indexOf(page, level) * 2;
      const low = words[at];
      if ((low & this.format.presentMask) === 0) return undefined;
      const frame = frameOf(low, words[at + 1]);
      if (level === 1 || (low & this.format.largeBit) !== 0) {
        return {
          frame: (frame + (page % SPAN[level])) as Frame,
          level,
          rights: this.format.rightsOf(low),
          low,
        };
      }
      table = frame;
    }
    return undefined;
  }

  /** Level of the entry at which a walk to this page ends: a leaf, or the first that is not present. */
  stopLevel(page: number): number {
    let table = this.rootFrame;
    for (let level = this.topLevel; level > 1; level -= 1) {
      const words = this.words(table);
      const at = this.base(table) + indexOf(page, level) * 2;
      const low = words[at];
      if ((low & this.format.presentMask) === 0 || (low & this.format.largeBit) !== 0) return level;
      table = frameOf(low, words[at + 1]);
    }
    return 1;
  }

  /** Every leaf in order of address. */
  forEachLeaf(visit: (page: number, leaf: FoundLeaf) => void): void {
    this.visitIn(this.rootFrame, this.topLevel, 0, visit);
  }

  /**
   * Collects and, with `clear`, clears the dirty bit of the leaves in a range: `visit` gets the first page and the
   * number of pages of each dirty leaf.
   */
  forEachDirty(
    page: number,
    count: number,
    dirtyBit: number,
    clear: boolean,
    visit: (page: number, count: number) => void,
  ): void {
    const end = page + count;
    let at = page;
    while (at < end) {
      const found = this.firstMapped(at, end - at);
      if (found === undefined) return;
      let table = this.rootFrame as number;
      for (let level = this.topLevel; level >= 1; level -= 1) {
        const words = this.words(table);
        const entry = this.base(table) + indexOf(found, level) * 2;
        if (level > 1 && (words[entry] & this.format.largeBit) === 0) {
          table = frameOf(words[entry], words[entry + 1]);
          continue;
        }
        const start = found - (found % SPAN[level]);
        if ((words[entry] & dirtyBit) !== 0) {
          visit(start, SPAN[level]);
          if (clear) words[entry] &= ~dirtyBit;
        }
        at = start + SPAN[level];
        break;
      }
    }
  }

  private visitIn(
    table: number,
    level: number,
    first: number,
    visit: (page: number, leaf: FoundLeaf) => void,
  ): void {
    const words = this.words(table);
    const base = this.base(table);
    for (let index = 0; index < ENTRIES; index += 1) {
      const low = words[base + index * 2];
      if ((low & this.format.presentMask) === 0) continue;
      const frame = frameOf(low, words[base + index * 2 + 1]);
      const page = first + index * SPAN[level];
      if (level === 1 || (low & this.format.largeBit) !== 0) {
        visit(page, { frame, level, rights: this.format.rightsOf(low), low });
      } else {
        this.visitIn(frame, level - 1, page, visit);
      }
    }
  }

  protected words(frame: number): Uint32Array {
    return this.memory.chunkForWrite(Math.floor(frame / ENTRIES));
  }

  protected base(frame: number): number {
    return (frame % ENTRIES) * (ENTRIES * 2);
  }
}

/** Frame number in bits 51:12. */
export function frameOf(low: number, high: number): Frame {
  return ((high & 0xfffff) * 0x100000 + (low >>> 12)) as Frame;
}

/** Index of a page in a table of this level. */
export function indexOf(page: number, level: number): number {
  if (level <= 3) return ((page % 0x8000000) >>> (9 * (level - 1))) & 511;
  return (Math.floor(page / 0x8000000) >>> (9 * (level - 4))) & 511;
}
