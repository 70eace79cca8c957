/**
 * The IOTLB: 4-way set-associative, 4096 translations of 4 KiB, 2 MiB or 1 GiB, replaced in turn within a set. It
 * holds no translation that was refused. VT-d 6.2.4.
 *
 * A set's four names stand in one cache line, 16 words: page key, high part of the page, tag and grants of each way.
 * Its four frames (high and low part) stand apart. A page number is seen in two parts: bits 63:32 and 31:12 of the
 * address.
 *
 * All is one array, with room behind it for the translator's memo: the fast path, which is written out in the
 * translator, then needs one base address.
 */

const SETS = 1024;
const WAYS = 4;
/** Words of a name, and of a set of names. */
export const NAME_WORDS = 4;
const SET_WORDS = WAYS * NAME_WORDS;

/** The frame of the name at word n: bits 51:32 of its address at FRAMES_AT + n / 2, bits 31:12 in the word after. */
export const FRAMES_AT = SETS * SET_WORDS;
/** Where the array's free tail begins. */
export const TAIL_AT = FRAMES_AT + FRAMES_AT / 2;

const PAGE_KEY = 0;
const PAGE_HIGH = 1;
const TAG = 2;
export const GRANTS = 3;

/** In PAGE_KEY: bits 19:0 page, 21:20 size, 22 valid. */
const VALID = 1 << 22;

/** What PAGE_KEY holds beside the page: size and valid bit. */
export function keyBits(size: number): number {
  return VALID | (size << 20);
}

/** The PAGE_KEY of the page of this size (0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB) that holds a page. */
function keyOf(pageLow: number, size: number): number {
  return (pageLow & (-1 << (size * 9))) | keyBits(size);
}

/** Pages of a size, as a mask of the low part of a page number: 4 KiB, 2 MiB, 1 GiB. */
const OFFSET_LOW = Int32Array.of(0, 0x1ff, 0x3ffff);

/** First word of the set that can hold this page. @param shift 9 for each size above 4 KiB. */
export function setOf(tag: number, pageHigh: number, pageLow: number, shift: number): number {
  const page = (pageLow >>> shift) ^ (pageHigh << 2) ^ (pageHigh >>> 9);
  return ((page ^ (tag * 0x9f)) & (SETS - 1)) * SET_WORDS;
}

/** True when the entry is this page's under this tag. */
export function holds(words: Int32Array, entry: number, tag: number, pageHigh: number, key: number): boolean {
  return (
    words[entry + PAGE_KEY] === key && words[entry + PAGE_HIGH] === pageHigh && words[entry + TAG] === tag
  );
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
  readonly words: Int32Array;
  private readonly turn = new Uint8Array(SETS);
  /** By tag: sizes that were cached since the tag was last flushed, one bit each. */
  private sizes = new Uint8Array(256);

  /** @param tailWords Words of the free tail. */
  constructor(tailWords = 0) {
    this.words = new Int32Array(TAIL_AT + tailWords);
  }

  /**
   * The entry that grants this access, or -1.
   * @param except A size of page that needs no looking for; -1: none.
   */
  find(tag: number, pageHigh: number, pageLow: number, access: number, except = -1): number {
    const sizes = this.sizes[tag] & ~(1 << except);
    if ((sizes & 7) === 0) return -1;
    for (let size = 0; size < 3; size += 1) {
      if ((sizes & (1 << size)) === 0) continue;
      const entry = this.probe(tag, pageHigh, keyOf(pageLow, size), size, access);
      if (entry >= 0) return entry;
    }
    return -1;
  }

  private probe(tag: number, pageHigh: number, key: number, size: number, access: number): number {
    const words = this.words;
    const set = setOf(tag, pageHigh, key & 0xfffff, size * 9);
    for (let entry = set; entry < set + SET_WORDS; entry += NAME_WORDS) {
      if (holds(words, entry, tag, pageHigh, key))
        return (words[entry + GRANTS] & access) === access ? entry : -1;
    }
    return -1;
  }

  /** Bits 51:32 of the frame's address. */
  frameHigh(entry: number): number {
    return this.words[FRAMES_AT + (entry >>> 1)];
  }

  /** Bits 31:12 of the address behind this page. */
  frameLow(entry: number, pageLow: number): number {
    const size = (this.words[entry + PAGE_KEY] >>> 20) & 3;
    return this.words[FRAMES_AT + (entry >>> 1) + 1] | (pageLow & OFFSET_LOW[size]);
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
    const key = keyOf(pageLow, size);
    const set = setOf(tag, pageHigh, pageLow, size * 9);
    // One that granted too little is replaced; else the ways take turns.
    let chosen = set;
    while (!holds(words, chosen, tag, pageHigh, key)) {
      chosen += NAME_WORDS;
      if (chosen < set + SET_WORDS) continue;
      const turn = this.turn[set >>> 4];
      this.turn[set >>> 4] = (turn + 1) & (WAYS - 1);
      chosen = set + turn * NAME_WORDS;
      break;
    }
    this.sizes[tag] |= 1 << size;
    words[chosen + TAG] = tag;
    words[chosen + PAGE_HIGH] = pageHigh;
    words[chosen + PAGE_KEY] = key;
    words[chosen + GRANTS] = grants;
    const frame = FRAMES_AT + (chosen >>> 1);
    words[frame] = frameHigh;
    words[frame + 1] = frameLow & (-1 << (size * 9));
  }

  private holdsTag(tag: number): boolean {
    return tag < this.sizes.length && this.sizes[tag] !== 0;
  }

  /** Makes room for a tag; before anything is kept or looked for under it. */
  addTag(tag: number): void {
    if (tag < this.sizes.length) return;
    const wider = new Uint8Array(2 * tag);
    wider.set(this.sizes);
    this.sizes = wider;
  }

  invalidateAll(): void {
    this.words.fill(0, 0, FRAMES_AT);
    this.sizes.fill(0);
  }

  /** Every entry under the tag. */
  invalidateTag(tag: number): void {
    if (!this.holdsTag(tag)) return;
    this.sizes[tag] = 0;
    const words = this.words;
    for (let entry = 0; entry < FRAMES_AT; entry += NAME_WORDS)
      if (words[entry + TAG] === tag) words[entry + PAGE_KEY] = 0;
  }

  /**
   * Every entry under the tag that shares a page with the 2^mask pages at this page: large pages that contain it too.
   * The page is taken as aligned to 2^mask (mask 0 to 52).
   */
  invalidatePages(tag: number, pageHigh: number, pageLow: number, mask: number): void {
    if (!this.holdsTag(tag)) return;
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
    for (let entry = 0; entry < FRAMES_AT; entry += NAME_WORDS) {
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
    for (let entry = 0; entry < FRAMES_AT; entry += NAME_WORDS) {
      if (words[entry + PAGE_KEY] === 0) continue;
      found.push({
        tag: words[entry + TAG],
        pageHigh: words[entry + PAGE_HIGH],
        pageLow: words[entry + PAGE_KEY] & 0xfffff,
        size: this.sizeOf(entry),
        grants: words[entry + GRANTS],
        frameHigh: this.frameHigh(entry),
        frameLow: this.frameLow(entry, 0),
      });
    }
    return found.sort(
      (a, b) => a.tag - b.tag || (a.pageHigh >>> 0) - (b.pageHigh >>> 0) || a.pageLow - b.pageLow,
    );
  }
}
