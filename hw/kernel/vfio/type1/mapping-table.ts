/**
 * The user mappings of a container (the dma_list of vfio_iommu): non-overlapping page ranges, found by address. A
 * mapping is a row of four numbers, addressed by its slot; a directory of sorted leaves of up to 512 starts finds
 * it. Typed arrays throughout: a mapping costs some 40 bytes and no object, so that a million of them are no burden.
 *
 * Pages are iova >> 12 as Numbers: up to 2^52, exact.
 */

const LEAF = 512;
const CHUNK_SHIFT = 12;
const CHUNK = 1 << CHUNK_SHIFT;

/** What a mapping's flags byte holds beside the two rights of IommuProt (read 1, write 2). */
export const MappingFlag = {
  /** Present in every IOMMU domain of the container, its pages pinned. */
  iommuMapped: 4,
  /** The user address is suspended (UNMAP_FLAG_VADDR). */
  vaddrInvalid: 8,
} as const;

interface Leaf {
  count: number;
  readonly starts: Float64Array;
  readonly slots: Int32Array;
}

/** Numbers of a row, side by side so that a mapping is one cache line: start, pages, user page, owner and flags. */
const ROW = 4;
const START = 0;
const PAGES = 1;
const USER_PAGE = 2;
/** owner * 256 + flags. */
const META = 3;

function newLeaf(): Leaf {
  return { count: 0, starts: new Float64Array(LEAF), slots: new Int32Array(LEAF) };
}

/** No mapping. */
export const NONE = -1;

export class MappingTable {
  private readonly leaves: Leaf[] = [newLeaf()];
  /** The first start of each leaf, side by side: a search touches these and one leaf. */
  private firsts = new Float64Array(64);
  private readonly chunks: Float64Array[] = [];
  private readonly freeSlots: number[] = [];
  private nextSlot = 0;
  private size = 0;

  /** Mappings now held. */
  get count(): number {
    return this.size;
  }

  /** First page of a mapping. */
  start(slot: number): number {
    return this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + START];
  }

  /** Length in pages. */
  pages(slot: number): number {
    return this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + PAGES];
  }

  /** The page after the last. */
  end(slot: number): number {
    const rows = this.chunks[slot >>> CHUNK_SHIFT];
    const row = (slot & (CHUNK - 1)) * ROW;
    return rows[row + START] + rows[row + PAGES];
  }

  /** User page (vaddr >> 12) of the first page. */
  userPage(slot: number): number {
    return this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + USER_PAGE];
  }

  flags(slot: number): number {
    return this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + META] & 0xff;
  }

  /** Index of the owner in the container's list of owners. */
  owner(slot: number): number {
    return this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + META] >>> 8;
  }

  setFlag(slot: number, flag: number, on: boolean): void {
    const flags = this.flags(slot);
    this.setMeta(slot, this.owner(slot), on ? flags | flag : flags & ~flag);
  }

  setUserPage(slot: number, userPage: number): void {
    this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + USER_PAGE] = userPage;
  }

  setOwner(slot: number, owner: number): void {
    this.setMeta(slot, owner, this.flags(slot));
  }

  /** The mapping with the lowest address that ends after `page`, or NONE: the first that [page, …) can meet. */
  firstFrom(page: number): number {
    const at = this.leafFor(page);
    const leaf = this.leaves[at];
    const index = this.position(leaf, page);
    if (index < leaf.count && leaf.starts[index] === page) return leaf.slots[index];
    // The one before may reach over `page`.
    if (index > 0) {
      const before = leaf.slots[index - 1];
      if (this.end(before) > page) return before;
    }
    if (index < leaf.count) return leaf.slots[index];
    const next = this.leaves[at + 1];
    return next === undefined || next.count === 0 ? NONE : next.slots[0];
  }

  /** The first mapping that meets the pages [first, end), or NONE. */
  find(first: number, end: number): number {
    const at = this.leafFor(first);
    const leaf = this.leaves[at];
    const index = this.position(leaf, first);
    // Answered from the leaf alone where it can be: rows lie scattered.
    if (index < leaf.count && leaf.starts[index] === first) return leaf.slots[index];
    if (index > 0) {
      const before = leaf.slots[index - 1];
      if (this.end(before) > first) return before;
    }
    if (index < leaf.count) return leaf.starts[index] < end ? leaf.slots[index] : NONE;
    if (at + 1 === this.leaves.length) return NONE;
    return this.firsts[at + 1] < end ? this.leaves[at + 1].slots[0] : NONE;
  }

  /** The mapping after this one, or NONE. */
  next(slot: number): number {
    return this.firstFrom(this.end(slot));
  }

  first(): number {
    return this.leaves[0].count === 0 ? NONE : this.leaves[0].slots[0];
  }

  last(): number {
    const leaf = this.leaves[this.leaves.length - 1];
    return leaf.count === 0 ? NONE : leaf.slots[leaf.count - 1];
  }

  /** Adds a mapping that meets no other; the caller has looked. */
  insert(start: number, pages: number, userPage: number, flags: number, owner: number): number {
    const slot = this.freeSlots.pop() ?? this.newSlot();
    const rows = this.chunks[slot >>> CHUNK_SHIFT];
    const row = (slot & (CHUNK - 1)) * ROW;
    rows[row + START] = start;
    rows[row + PAGES] = pages;
    rows[row + USER_PAGE] = userPage;
    rows[row + META] = owner * 256 + flags;
    let at = this.leafFor(start);
    let leaf = this.leaves[at];
    if (leaf.count === LEAF) {
      this.split(at, start);
      at = this.leafFor(start);
      leaf = this.leaves[at];
    }
    const index = this.position(leaf, start);
    leaf.starts.copyWithin(index + 1, index, leaf.count);
    leaf.slots.copyWithin(index + 1, index, leaf.count);
    leaf.starts[index] = start;
    leaf.slots[index] = slot;
    leaf.count += 1;
    if (index === 0) this.firsts[at] = start;
    this.size += 1;
    return slot;
  }

  remove(slot: number): void {
    const start = this.start(slot);
    const at = this.leafFor(start);
    const leaf = this.leaves[at];
    const index = this.position(leaf, start);
    leaf.starts.copyWithin(index, index + 1, leaf.count);
    leaf.slots.copyWithin(index, index + 1, leaf.count);
    leaf.count -= 1;
    this.size -= 1;
    if (leaf.count === 0) {
      if (this.leaves.length > 1) this.dropLeaf(at);
    } else {
      if (index === 0) this.firsts[at] = leaf.starts[0];
      this.joinNeighbour(at);
    }
    this.freeSlots.push(slot);
  }

  /** Bytes that the table holds: what a benchmark reports. */
  get bytes(): number {
    return (
      this.chunks.length * CHUNK * ROW * 8 +
      this.leaves.length * LEAF * 12 +
      this.firsts.length * 8 +
      this.freeSlots.length * 8
    );
  }

  private newSlot(): number {
    const slot = this.nextSlot++;
    if (slot >>> CHUNK_SHIFT === this.chunks.length) {
      this.chunks.push(new Float64Array(CHUNK * ROW));
    }
    return slot;
  }

  private setMeta(slot: number, owner: number, flags: number): void {
    this.chunks[slot >>> CHUNK_SHIFT][(slot & (CHUNK - 1)) * ROW + META] = owner * 256 + flags;
  }

  /** Index of the last leaf whose first start is not above `page` (the first leaf when all are). */
  private leafFor(page: number): number {
    let low = 0;
    let high = this.leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.firsts[middle] <= page) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Index of the first start in the leaf that is not below `page`. */
  private position(leaf: Leaf, page: number): number {
    let low = 0;
    let high = leaf.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (leaf.starts[middle] < page) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Halves a full leaf; when the new start goes behind everything, the leaf stays full and a fresh one follows. */
  private split(at: number, start: number): void {
    const leaf = this.leaves[at];
    const right = newLeaf();
    const appending = at === this.leaves.length - 1 && start > leaf.starts[LEAF - 1];
    const keep = appending ? LEAF - 1 : LEAF / 2;
    right.starts.set(leaf.starts.subarray(keep));
    right.slots.set(leaf.slots.subarray(keep));
    right.count = LEAF - keep;
    leaf.count = keep;
    this.leaves.splice(at + 1, 0, right);
    if (this.leaves.length > this.firsts.length) {
      const grown = new Float64Array(this.firsts.length * 2);
      grown.set(this.firsts);
      this.firsts = grown;
    }
    this.firsts.copyWithin(at + 2, at + 1, this.leaves.length - 1);
    this.firsts[at + 1] = right.starts[0];
  }

  private dropLeaf(at: number): void {
    this.leaves.splice(at, 1);
    this.firsts.copyWithin(at, at + 1, this.leaves.length + 1);
  }

  /** Joins a leaf with its right neighbour when both are sparse, so that removals give memory back. */
  private joinNeighbour(at: number): void {
    const leaf = this.leaves[at];
    const right = this.leaves[at + 1];
    if (right === undefined || leaf.count + right.count > LEAF / 3) return;
    leaf.starts.set(right.starts.subarray(0, right.count), leaf.count);
    leaf.slots.set(right.slots.subarray(0, right.count), leaf.count);
    leaf.count += right.count;
    this.dropLeaf(at + 1);
  }
}
