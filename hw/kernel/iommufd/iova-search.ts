/**
 * Finding a free place for a mapping without a fixed address (iopt_alloc_iova): the lowest hole in what is allowed,
 * aligned so that large pages stay possible.
 */
import { KernelError } from '../errno.ts';
import type { AreaTree } from './area-tree.ts';
import type { IovaRanges } from './iova-ranges.ts';
import { LAST_IOVA } from './iova-ranges.ts';

const PAGE = 4096n;
/** Alignment beyond that of a large page gains nothing (HPAGE_SIZE). */
const LARGE_PAGE = 1n << 21n;

/** Never the first page, and never the last. */
const SEARCH_START = PAGE;
const SEARCH_LAST = LAST_IOVA - PAGE;

function roundUpToPowerOfTwo(value: bigint): bigint {
  return 1n << BigInt((value - 1n).toString(2).length * (value > 1n ? 1 : 0));
}

/**
 * The alignment a mapping of this length at this address of memory gets: that of the length rounded up to a power of
 * two, or that of the address if it is less, at most a large page.
 */
export function iovaAlignmentFor(address: bigint, length: bigint): bigint {
  let alignment = roundUpToPowerOfTwo(length);
  if (address !== 0n) {
    const ofAddress = address & -address;
    if (ofAddress < alignment) alignment = ofAddress;
  }
  return alignment > LARGE_PAGE ? LARGE_PAGE : alignment;
}

/** Where a mapping may start inside [start, last], or undefined when it doesn't fit. */
function placeIn(
  start: bigint,
  last: bigint,
  length: bigint,
  alignment: bigint,
  pageOffset: bigint,
): bigint | undefined {
  const up = start + alignment - 1n;
  if (up > LAST_IOVA) return undefined;
  const aligned = (up & ~(alignment - 1n)) | pageOffset;
  if (aligned >= last || last - aligned < length - 1n) return undefined;
  return aligned;
}

/** Remembers how far the address space is used without a hole, so that a search need not walk there again. */
export class IovaSearch {
  private readonly areas: AreaTree;
  private readonly reserved: IovaRanges;
  /** No hole in [SEARCH_START, fullUpTo). */
  private fullUpTo = SEARCH_START;

  constructor(areas: AreaTree, reserved: IovaRanges) {
    this.areas = areas;
    this.reserved = reserved;
  }

  /** Addresses from `start` on may be free again. */
  freed(start: bigint): void {
    if (start < this.fullUpTo) this.fullUpTo = start < SEARCH_START ? SEARCH_START : start;
  }

  /**
   * @param address of the memory to be shown: its offset in the page is kept, its alignment aimed at.
   * @param allowed what the user allows; none: everything.
   * @param smallest alignment the IOAS asks for.
   * @throws KernelError EOVERFLOW for half the address space and more, EINVAL when memory and page size don't fit
   * together, ENOSPC.
   */
  find(address: bigint, length: bigint, allowed: IovaRanges, smallest: bigint): bigint {
    if (length === 0n || length >= LAST_IOVA / 2n)
      throw new KernelError('EOVERFLOW', 'iova length', `a mapping of ${length} bytes has no place`);
    const alignment = iovaAlignmentFor(address, length);
    if (alignment < smallest)
      throw new KernelError(
        'EINVAL',
        'iova alignment',
        `memory at 0x${address.toString(16)} is aligned to ${alignment} bytes, the page tables want ${smallest}`,
      );
    const pageOffset = address % PAGE;
    const spans = allowed.empty
      ? [{ start: SEARCH_START, last: SEARCH_LAST, isHole: false }]
      : allowed.spans(SEARCH_START, SEARCH_LAST);
    for (const span of spans) {
      if (span.isHole) continue;
      const start = placeIn(span.start, span.last, length, alignment, pageOffset);
      if (start === undefined) continue;
      const found = this.search(start, span.last, length, alignment, pageOffset);
      if (found !== undefined) return found;
    }
    throw new KernelError(
      'ENOSPC',
      'iova space',
      `no free and allowed place for 0x${length.toString(16)} bytes`,
    );
  }

  private search(
    first: bigint,
    last: bigint,
    length: bigint,
    alignment: bigint,
    pageOffset: bigint,
  ): bigint | undefined {
    const known = first <= this.fullUpTo;
    let at = known && this.fullUpTo > first ? this.fullUpTo : first;
    let seenHole = false;
    while (at <= last) {
      const area = this.areas.firstIntersecting(at, last);
      if (area !== undefined && area.iova <= at) {
        at = area.last + 1n;
        continue;
      }
      const reserved = this.reserved.firstIntersecting(at, last);
      if (reserved !== undefined && reserved.start <= at) {
        at = reserved.last + 1n;
        continue;
      }
      if (known && !seenHole) this.fullUpTo = at;
      seenHole = true;
      let end = last;
      if (area !== undefined && area.iova - 1n < end) end = area.iova - 1n;
      if (reserved !== undefined && reserved.start - 1n < end) end = reserved.start - 1n;
      const found = placeIn(at, end, length, alignment, pageOffset);
      if (found !== undefined) return found;
      at = end + 1n;
    }
    return undefined;
  }
}
