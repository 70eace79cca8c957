/**
 * The PASID table of one device: a directory in one run of pages, leaf tables of 64 entries below (pasid.c). The
 * directory is a page at least; leaf tables come when first needed and stay until the table goes.
 */
import type { Frame } from '../../memory/types.ts';
import { PasidDirectoryEntry, PasidTableEntry } from '../../vtd/layouts.ts';
import type { TableWriter } from './table-writer.ts';

const ENTRY_WORDS = 16;
const LEAF_ENTRIES = 64;
const NOTHING = new Uint32Array(ENTRY_WORDS);

/** An entry that holds anything, as `entries` lists it. */
export interface FoundPasidEntry {
  readonly pasid: number;
  readonly words: Uint32Array;
}

export class PasidTable {
  private readonly tables: TableWriter;
  private readonly name: string;
  private readonly directory: Frame;
  private readonly pages: number;
  private readonly leaves = new Map<number, number>();

  /**
   * @param maximumPasids What device and driver together allow; 0 for a device without PASID, which still needs entry 0.
   * @throws KernelError ENOMEM.
   */
  constructor(tables: TableWriter, name: string, maximumPasids: number) {
    this.tables = tables;
    this.name = name;
    const bytes = maximumPasids / 8;
    let pages = 1;
    while (pages * 4096 < bytes) pages *= 2;
    this.pages = pages;
    this.directory = tables.allocate(pages);
  }

  /** PASIDs that the table can hold: at least 32,768. */
  get capacity(): number {
    return this.pages * 32768;
  }

  get address(): number {
    return this.directory * 4096;
  }

  /** The size code of the context entry: the directory has 2^(value + 7) entries. */
  get sizeCode(): number {
    return Math.max(0, Math.log2(this.capacity / LEAF_ENTRIES) - 7);
  }

  get leafTables(): number {
    return this.leaves.size;
  }

  /** The entry's words, or undefined when its leaf table is not there or the PASID is out of range. */
  read(pasid: number): Uint32Array | undefined {
    const leaf = this.leaves.get(pasid >>> 6);
    return leaf === undefined ? undefined : this.tables.read(leaf + (pasid & 63) * 64, ENTRY_WORDS);
  }

  isPresent(pasid: number): boolean {
    const words = this.read(pasid);
    return words !== undefined && PasidTableEntry.fields.present.isSet(words);
  }

  /** Makes room for the entry. False: the PASID is beyond the table. @throws KernelError ENOMEM. */
  reserve(pasid: number): boolean {
    if (pasid >= this.capacity) return false;
    const index = pasid >>> 6;
    if (!this.leaves.has(index)) {
      const leaf = this.tables.allocate() * 4096;
      this.leaves.set(index, leaf);
      const entry = PasidDirectoryEntry.encode({ present: 1, pasidTablePointer: leaf });
      this.tables.write(this.address + index * 8, entry, `${this.name} PASID directory entry ${index}`);
    }
    return true;
  }

  /** Writes the entry; its leaf table must be there. */
  write(pasid: number, words: Uint32Array): void {
    const leaf = this.leaves.get(pasid >>> 6);
    if (leaf === undefined) throw new RangeError(`PASID ${pasid} of ${this.name} has no leaf table`);
    this.tables.write(leaf + (pasid & 63) * 64, words, `${this.name} PASID entry ${pasid}`);
  }

  clear(pasid: number): void {
    this.write(pasid, NOTHING);
  }

  /** Entries with any bit set, ascending. */
  entries(): FoundPasidEntry[] {
    const found: FoundPasidEntry[] = [];
    for (const [index, leaf] of [...this.leaves].sort((a, b) => a[0] - b[0])) {
      for (let each = 0; each < LEAF_ENTRIES; each += 1) {
        const words = this.tables.read(leaf + each * 64, ENTRY_WORDS);
        if (words.some((word) => word !== 0)) found.push({ pasid: index * LEAF_ENTRIES + each, words });
      }
    }
    return found;
  }

  /** Gives directory and leaves back. */
  free(): void {
    for (const leaf of this.leaves.values()) this.tables.free((leaf / 4096) as Frame);
    this.leaves.clear();
    this.tables.free(this.directory, this.pages);
  }
}
