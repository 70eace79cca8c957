/**
 * HWPT_GET_DIRTY_BITMAP: written ranges as bits of the user's page size (drivers/iommu/iommufd/iova_bitmap.c).
 */

/** Number of trailing zero bits: the shift that a page size gives, also one that is no power of two (__ffs). */
function shiftOf(pageSize: bigint): bigint {
  let shift = 0n;
  while (((pageSize >> shift) & 1n) === 0n) shift += 1n;
  return shift;
}

export class IovaBitmap {
  /** 64-bit words, bit k of word w for the page 64 w + k from the start of the range. */
  readonly words: BigUint64Array;
  private readonly iova: bigint;
  private readonly shift: bigint;

  /** `pageSize` > 0; the range is a multiple of it. */
  constructor(iova: bigint, length: bigint, pageSize: bigint) {
    this.iova = iova;
    this.shift = shiftOf(pageSize);
    this.words = new BigUint64Array(Number((length / pageSize + 63n) / 64n));
  }

  /**
   * Sets the bits of a range; bits beyond the words are dropped. A range of no bytes at the very start sets everything:
   * its last bit is computed from the byte before it, as the kernel does.
   */
  record(iova: bigint, length: bigint): void {
    const first = Number((iova - this.iova) >> this.shift);
    const last = Number(BigInt.asUintN(64, iova + length - 1n - this.iova) >> this.shift);
    for (let bit = first; bit <= last && bit < this.words.length * 64; bit += 1)
      this.words[bit >>> 6] |= 1n << BigInt(bit & 63);
  }
}
