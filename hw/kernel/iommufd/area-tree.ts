/**
 * The areas of an IOAS in order of their addresses (area_itree). Areas never overlap, so a sorted map by first address
 * finds what an interval tree finds. Addresses are bytes up to 2^64 - 1: before a page table asks for more, an area
 * may start anywhere.
 */
import BTreeModule from 'sorted-btree';
import type { SharedPages } from './pages.ts';

/** struct iopt_area: addresses [iova, last] show a slice of a pages object. */
export interface Area {
  readonly iova: bigint;
  readonly last: bigint;
  readonly pages: SharedPages;
  /** First byte of the slice, counted from the start of the first page. */
  readonly startByte: bigint;
  /** IommuProt.read, IommuProt.write. */
  readonly prot: number;
  /** Pages and page tables are filled (there is at least one page table). */
  filled: boolean;
  /** Pins by accesses. */
  accesses: number;
  /** Being unmapped: no new pins. */
  preventAccess: boolean;
}

export function areaLength(area: Area): bigint {
  return area.last - area.iova + 1n;
}

/** Index of the page that shows at an address of the area. */
export function pageIndexAt(area: Area, iova: bigint): number {
  return Number((area.startByte + (iova - area.iova)) >> 12n);
}

// The package is CommonJS: Node shows its exports as one object, bundlers unwrap the default export.
const BTree = BTreeModule.default ?? (BTreeModule as unknown as typeof BTreeModule.default);

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

export class AreaTree {
  private readonly areas = new BTree<bigint, Area>(undefined, compare);

  get size(): number {
    return this.areas.size;
  }

  insert(area: Area): void {
    this.areas.set(area.iova, area);
  }

  remove(area: Area): void {
    this.areas.delete(area.iova);
  }

  /** The lowest area that shares an address with [start, last]. */
  firstIntersecting(start: bigint, last: bigint): Area | undefined {
    const below = this.areas.getPairOrNextLower(start)?.[1];
    if (below !== undefined && below.last >= start) return below;
    const above = this.areas.nextHigherPair(start)?.[1];
    return above !== undefined && above.iova <= last ? above : undefined;
  }

  /** The area after this one. */
  next(area: Area): Area | undefined {
    return this.areas.nextHigherPair(area.iova)?.[1];
  }

  /** All areas in ascending order. */
  all(): IterableIterator<Area> {
    return this.areas.values();
  }

  /**
   * The areas that show [start, last] one after the other without a gap, each with the part of it that lies inside.
   * @returns undefined when a part of the range is not covered (iopt_area_contig_done is false).
   */
  contiguous(start: bigint, last: bigint): AreaSlice[] | undefined {
    const { slices, done } = this.contiguousPrefix(start, last);
    return done ? slices : undefined;
  }

  /** The same as far as there is no gap: `done` says whether that is everything. */
  contiguousPrefix(start: bigint, last: bigint): { slices: AreaSlice[]; done: boolean } {
    const slices: AreaSlice[] = [];
    let at = start;
    let area = this.firstIntersecting(start, start);
    while (area !== undefined && area.iova <= at) {
      const end = area.last < last ? area.last : last;
      slices.push({ area, iova: at, last: end });
      if (end === last) return { slices, done: true };
      at = end + 1n;
      area = this.next(area);
    }
    return { slices, done: false };
  }
}

/** A part of an area. */
export interface AreaSlice {
  readonly area: Area;
  readonly iova: bigint;
  readonly last: bigint;
}
