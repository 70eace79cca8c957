/**
 * Dirty bitmaps of a type1 container. The kernel works on bitmaps of 64-bit words and shifts them in place when a
 * mapping doesn't start on a word of the request; bits shifted out behind the mapping's own stay in the bitmap, and
 * come back, further up, in later answers. That is a defect of the kernel (named quirk `type1-dirty-stale-bits`), and
 * it is kept, because callers see it. vfio_iommu_type1.c: update_user_bitmap, vfio_iova_dirty_bitmap.
 */
import { KernelError } from '../../errno.ts';
import { DIRTY_BITMAP_BYTES_MAXIMUM } from '../uapi.ts';
import { MappingFlag, NONE } from './mapping-table.ts';
import type { Type1State } from './state.ts';

/** Where bits go: a range of user memory as the caller sees it. Reads and writes whole 64-bit words. */
export interface UserBitmap {
  /** @throws KernelError EFAULT */
  read(byteOffset: number, bytes: number): Uint8Array;
  /** @throws KernelError EFAULT */
  write(byteOffset: number, bytes: Uint8Array): void;
}

/** Bytes of a bitmap for so many bits: whole 64-bit words. */
function bitmapBytes(bits: number): number {
  return Math.ceil(bits / 64) * 8;
}

/** @throws KernelError EINVAL: no pages, or a size that is 0, too small for them, or above 256 MiB. */
export function verifyBitmapSize(pages: bigint, sizeBytes: bigint): void {
  const needed = ((pages + 63n) / 64n) * 8n;
  if (pages === 0n || sizeBytes === 0n || sizeBytes > DIRTY_BITMAP_BYTES_MAXIMUM || sizeBytes < needed) {
    throw new KernelError(
      'EINVAL',
      'dirty bitmap size',
      `a bitmap of ${sizeBytes} bytes can't hold ${pages} pages (at least ${needed}, at most 256 MiB)`,
    );
  }
}

function setBits(words: Uint32Array, first: number, count: number): void {
  for (let bit = first; bit < first + count; ) {
    if ((bit & 31) === 0 && bit + 32 <= first + count) {
      words[bit >>> 5] = 0xffffffff;
      bit += 32;
    } else {
      words[bit >>> 5] |= 1 << (bit & 31);
      bit += 1;
    }
  }
}

function clearBits(words: Uint32Array, count: number): void {
  words.fill(0, 0, count >>> 5);
  if ((count & 31) !== 0) words[count >>> 5] &= ~(2 ** (count & 31) - 1);
}

/** bitmap_shift_left over the words that hold `bits` bits: whole words move, nothing is masked at the end. */
function shiftLeft(words: Uint32Array, shift: number, bits: number): void {
  const limit = Math.ceil(bits / 64) * 2;
  const whole = shift >>> 5;
  const rest = shift & 31;
  for (let index = limit - 1; index >= 0; index -= 1) {
    const from = index - whole;
    const upper = from >= 0 ? words[from] << rest : 0;
    const lower = rest !== 0 && from >= 1 ? words[from - 1] >>> (32 - rest) : 0;
    words[index] = (upper | lower) >>> 0;
  }
}

/** A bitmap for a mapping, with one 64-bit word to spare as the kernel has it. @throws KernelError ENOMEM */
export function allocateBitmap(state: Type1State, slot: number): void {
  const bytes = bitmapBytes(state.mappings.pages(slot)) + 8;
  try {
    state.dirtyBitmaps.set(slot, new Uint32Array(bytes / 4));
  } catch {
    throw new KernelError('ENOMEM', 'dirty bitmap', `no ${bytes} bytes for the bitmap of a mapping`);
  }
}

/** Bits of pages that mediated devices hold pinned now. */
function addPinned(state: Type1State, slot: number): void {
  for (const pin of state.externalPins.get(slot)?.values() ?? []) markDirty(state, slot, pin.page, 1);
}

/** Sets bits, when tracking is on. */
export function markDirty(state: Type1State, slot: number, page: number, count: number): void {
  const bitmap = state.dirtyBitmaps.get(slot);
  if (bitmap !== undefined) setBits(bitmap, page - state.mappings.start(slot), count);
}

/** START: a bitmap for each mapping. Already on: nothing. @throws KernelError ENOMEM; tracking stays off then. */
export function startTracking(state: Type1State): void {
  if (state.dirtyTracking) return;
  const { mappings } = state;
  try {
    for (let slot = mappings.first(); slot !== NONE; slot = mappings.next(slot)) {
      allocateBitmap(state, slot);
      addPinned(state, slot);
    }
  } catch (error) {
    state.dirtyBitmaps.clear();
    throw error;
  }
  state.dirtyTracking = true;
}

export function stopTracking(state: Type1State): void {
  state.dirtyTracking = false;
  state.dirtyBitmaps.clear();
}

/** A group that dirtied pages without telling has left: whatever was mapped may be dirty. */
export function markAllDirty(state: Type1State): void {
  for (const [slot, bitmap] of state.dirtyBitmaps) setBits(bitmap, 0, state.mappings.pages(slot));
}

/** Copies the bits of one mapping into the caller's bitmap, whose first bit stands for `basePage`. */
export function copyBits(state: Type1State, slot: number, basePage: number, user: UserBitmap): void {
  const { mappings } = state;
  const bitmap = state.dirtyBitmaps.get(slot);
  if (bitmap === undefined) return;
  const bits = mappings.pages(slot);
  const offset = mappings.start(slot) - basePage;
  const wordOffset = Math.floor(offset / 64) * 8;
  const shift = offset % 64;
  if (state.nonPinnedGroups > 0 && (mappings.flags(slot) & MappingFlag.iommuMapped) !== 0)
    setBits(bitmap, 0, bits);
  if (shift !== 0) {
    shiftLeft(bitmap, shift, bits + shift);
    const before = user.read(wordOffset, 8);
    const view = new DataView(before.buffer, before.byteOffset, 8);
    bitmap[0] |= view.getUint32(0, true);
    bitmap[1] |= view.getUint32(4, true);
  }
  user.write(wordOffset, new Uint8Array(bitmap.buffer, 0, bitmapBytes(bits + shift)));
}

/**
 * GET_BITMAP over pages [first, end): copies the bits of every mapping inside, then starts each anew from the pages
 * that are pinned. @throws KernelError EINVAL when the range cuts a mapping, EFAULT.
 */
export function collectDirty(state: Type1State, first: number, end: number, user: UserBitmap): void {
  const { mappings } = state;
  const head = mappings.find(first, first + 1);
  const tail = mappings.find(end - 1, end);
  if ((head !== NONE && mappings.start(head) !== first) || (tail !== NONE && mappings.end(tail) !== end))
    throw new KernelError('EINVAL', 'dirty bitmap range', 'the range cuts a mapping');
  for (
    let slot = mappings.firstFrom(first);
    slot !== NONE && mappings.start(slot) < end;
    slot = mappings.next(slot)
  ) {
    copyBits(state, slot, first, user);
    const bitmap = state.dirtyBitmaps.get(slot);
    if (bitmap !== undefined)
      clearBits(bitmap, state.keepsStaleBits ? mappings.pages(slot) : bitmap.length * 32);
    addPinned(state, slot);
  }
}
