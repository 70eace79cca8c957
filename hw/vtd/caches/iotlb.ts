/**
 * The IOTLB: 4-way set-associative, 4096 translations of 4 KiB, 2 MiB or 1 GiB, replaced in turn within a set. It
 * holds no translation that was refused. VT-d 6.2.4.
 *
 * An entry is eight 32-bit words: tag, page (high and low part, the low part with size and a valid bit), grants, frame
 * (high and low part). A page number is seen in two parts: bits 63:32 and 31:12 of the address.
 */

const SETS = 1024;
const WAYS = 4;
const STRIDE = 8;
const SET_WORDS = WAYS * STRIDE;

const TAG = 0;
const PAGE_HIGH = 1;
const PAGE_KEY = 2;
const GRANTS = 3;
const FRAME_HIGH = 4;
const FRAME_LOW = 5;

/** In PAGE_KEY: bits 19:0 page, 21:20 size, 22 valid. */
const VALID = 1 << 22;

/** Pages of a size, as a mask of the low part of a page number: 4 KiB, 2 MiB, 1 GiB. */
const OFFSET_LOW = Int32Array.of(0, 0x1ff, 0x3ffff);

function setOf(tag: number, pageHigh: number, pageKey: number, size: number): number {
  const page = ((pageKey & 0xfffff) >>> (size * 9)) ^ (pageHigh << 2) ^ (pageHigh >>> 9);
  return ((page ^ (tag * 0x9f)) & (SETS - 1)) * SET_WORDS;
}

/** A cached translation, for the screens. */
export interface CachedTranslation {
  readonly tag: number;
  readonly pageHigh: number;
  readonly pageLow: number;
  readonly size: number;
  readonly grants: number;
  readonly frameHigh: number;
  readonly frameLow: number;
}

export class Iotlb {
  private readonly words = new Int32Array(SETS * SET_WORDS);
  private readonly turn = new Uint8Array(SETS);
  /** By tag: sizes that were cached since the tag was last flushed, one bit each. */
  private readonly sizes: number[] = [];
  /** The entry that grants this access, or -1. */
  find(tag: number, pageHigh: number, pageLow: number, access: number): number {
    const sizes = this.sizes[tag];
    if ((sizes & 1) !== 0) {
      const entry = this.probe(tag, pageHigh, pageLow | VALID, 0, access);
      if (entry >= 0) return entry;
    }
    if ((sizes & 6) === 0) return -1;
    return this.findLarge(tag, pageHigh, pageLow, access, sizes);
  }

  private findLarge(tag: number, pageHigh: number, pageLow: number, access: number, sizes: number): number {
    if ((sizes & 2) !== 0) {
      const entry = this.probe(tag, pageHigh, (pageLow & ~0x1ff) | VALID | (1 << 20), 1, access);
      if (entry >= 0) return entry;
    }
    if ((sizes & 4) === 0) return -1;
    return this.probe(tag, pageHigh, (pageLow & ~0x3ffff) | VALID | (2 << 20), 2, access);
  }

  private probe(tag: number, pageHigh: number, pageKey: number, size: number, access: number): number {
    const words = this.words;
    const set = setOf(tag, pageHigh, pageKey, size);
    for (let entry = set; entry < set + SET_WORDS; entry += STRIDE) {
      if (
        words[entry + PAGE_KEY] === pageKey &&
        words[entry + PAGE_HIGH] === pageHigh &&
        words[entry + TAG] === tag
      )
        return (words[entry + GRANTS] & access) === access ? entry : -1;
    }
    return -1;
  }

  /** Bits 51:32 of the frame's address. */
  frameHigh(entry: number): number {
    return this.words[entry + FRAME_HIGH];
  }

  /** Bits 31:12 of the address behind this page. */
  frameLow(entry: number, pageLow: number): number {
    const words = this.words;
    const size = (words[entry + PAGE_KEY] >>> 20) & 3;
    return words[entry + FRAME_LOW] | (pageLow & OFFSET_LOW[size]);
  }

  /** Bytes of the page behind an entry, as a size: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB. */
  sizeOf(entry: number): number {
    return (this.words[entry + PAGE_KEY] >>> 20) & 3;
  }

  /** Stores a translation; the frame is the first of a large page. */
  fill(
    tag: number,
    pageHigh: number,
    pageLow: number,
    size: number,
    grants: number,
    frameHigh: number,
    frameLow: number,
  ): void {
    const words = this.words;
    const pageKey = (pageLow & ~OFFSET_LOW[size]) | VALID | (size << 20);
    const set = setOf(tag, pageHigh, pageKey, size);
    this.noteSize(tag, size);
    let chosen = -1;
    for (let entry = set; entry < set + SET_WORDS; entry += STRIDE) {
      if (words[entry + PAGE_KEY] === 0) {
        if (chosen < 0) chosen = entry;
      } else if (
        words[entry + PAGE_KEY] === pageKey &&
        words[entry + PAGE_HIGH] === pageHigh &&
        words[entry + TAG] === tag
      ) {
        chosen = entry;
        break;
      }
    }
    if (chosen < 0) {
      const number = set / SET_WORDS;
      chosen = set + this.turn[number] * STRIDE;
      this.turn[number] = (this.turn[number] + 1) & (WAYS - 1);
    }
    words[chosen + TAG] = tag;
    words[chosen + PAGE_HIGH] = pageHigh;
    words[chosen + PAGE_KEY] = pageKey;
    words[chosen + GRANTS] = grants;
    words[chosen + FRAME_HIGH] = frameHigh;
    words[chosen + FRAME_LOW] = frameLow & ~OFFSET_LOW[size];
  }

  private noteSize(tag: number, size: number): void {
    while (this.sizes.length <= tag) this.sizes.push(0);
    this.sizes[tag] |= 1 << size;
  }

  invalidateAll(): void {
    this.words.fill(0);
    this.sizes.fill(0);
  }

  /** Every entry under the tag. */
  invalidateTag(tag: number): void {
    if (!this.sizes[tag]) return;
    this.sizes[tag] = 0;
    const words = this.words;
    for (let entry = 0; entry < words.length; entry += STRIDE)
      if (words[entry + TAG] === tag) words[entry + PAGE_KEY] = 0;
  }

  /**
   * Every entry under the tag that shares a page with the 2^mask pages at this page: large pages that contain it too.
   * The page is taken as aligned to 2^mask (mask 0 to 52).
   */
  invalidatePages(tag: number, pageHigh: number, pageLow: number, mask: number): void {
    if (!this.sizes[tag]) return;
    const words = this.words;
    if (mask === 0) {
      for (let size = 0; size < 3; size += 1) {
        const entry = this.probe(
          tag,
          pageHigh,
          (pageLow & ~OFFSET_LOW[size]) | VALID | (size << 20),
          size,
          0,
        );
        if (entry >= 0) words[entry + PAGE_KEY] = 0;
      }
      return;
    }
    for (let entry = 0; entry < words.length; entry += STRIDE) {
      if (words[entry + TAG] !== tag || words[entry + PAGE_KEY] === 0) continue;
      const size = (words[entry + PAGE_KEY] >>> 20) & 3;
      const bits = Math.max(mask, size * 9);
      const low = bits >= 20 ? 0 : -1 << bits;
      const high = bits <= 20 ? -1 : bits >= 52 ? 0 : -1 << (bits - 20);
      if (((words[entry + PAGE_HIGH] ^ pageHigh) & high) !== 0) continue;
      if (((words[entry + PAGE_KEY] ^ pageLow) & low & 0xfffff) === 0) words[entry + PAGE_KEY] = 0;
    }
  }

  /** What it holds, in order of page within each tag. */
  contents(): CachedTranslation[] {
    const found: CachedTranslation[] = [];
    const words = this.words;
    for (let entry = 0; entry < words.length; entry += STRIDE) {
      if (words[entry + PAGE_KEY] === 0) continue;
      found.push({
        tag: words[entry + TAG],
        pageHigh: words[entry + PAGE_HIGH],
        pageLow: words[entry + PAGE_KEY] & 0xfffff,
        size: this.sizeOf(entry),
        grants: words[entry + GRANTS],
        frameHigh: words[entry + FRAME_HIGH],
        frameLow: words[entry + FRAME_LOW],
      });
    }
    return found.sort(
      (a, b) => a.tag - b.tag || (a.pageHigh >>> 0) - (b.pageHigh >>> 0) || a.pageLow - b.pageLow,
    );
  }
}
