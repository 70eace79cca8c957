/**
 * Page tables of the kernel's IOMMUFD self-test (drivers/iommu/iommufd/selftest.c): an AMD v1 format with pages of
 * 2 KiB and an aperture of its own, so that sub-page mappings and limits show without hardware.
 */
import { KernelError } from '../../errno.ts';
import type { InvalidationRequest, NestedDomain, UserData } from '../device-iommu.ts';
import { checkAligned, type DirtyRecorder, type DirtyTracking, type PagingDomain } from '../paging-domain.ts';

const PAGE_SHIFT = 11;
/** Smallest page: half of the CPU's. */
export const MOCK_PAGE_BYTES = 1 << PAGE_SHIFT;
/** MOCK_APERTURE_START, MOCK_APERTURE_LAST. */
const FIRST_IOVA = 0x1000000n;
const LAST_IOVA = 0x7fffffffn;
/** Entries of a table: each level has this many bits. */
const LEVEL_BITS = 9;
/** Every power of two from the smallest page up to what three levels hold. */
const LARGEST_SHIFT = PAGE_SHIFT + 2 * LEVEL_BITS;

const PAGE_SIZES = ((1n << BigInt(LARGEST_SHIFT + 1)) - 1n) & ~BigInt(MOCK_PAGE_BYTES - 1);

/** A leaf: one entry, or a run of entries of one level that say the same size. */
interface Leaf {
  /** First and one past the last smallest page. */
  readonly first: number;
  readonly end: number;
  readonly shift: number;
  readonly physical: number;
  dirty: boolean;
}

export class MockDomain implements PagingDomain {
  readonly pageSizes = PAGE_SIZES;
  readonly firstIova = FIRST_IOVA;
  readonly lastIova = LAST_IOVA;
  readonly enforcesCoherency = false;
  readonly nestParent: boolean;
  readonly dirty: DirtyTracking | undefined;
  private tracking = false;
  /** Leaf of every smallest page. */
  private readonly leaves = new Map<number, Leaf>();

  constructor(options: { nestParent: boolean; dirtyTracking: boolean }) {
    this.nestParent = options.nestParent;
    this.dirty = options.dirtyTracking
      ? {
          setTracking: (enable) => {
            this.tracking = enable;
          },
          readAndClear: (iova, length, record, keep) => this.readAndClear(iova, length, record, keep),
        }
      : undefined;
  }

  get tracksDirty(): boolean {
    return this.tracking;
  }

  enforceCacheCoherency(): boolean {
    return false;
  }

  map(iova: bigint, physical: number, lengthBytes: number): void {
    checkAligned(iova, physical, lengthBytes, MOCK_PAGE_BYTES);
    let page = Number(iova) >>> PAGE_SHIFT;
    let at = physical / MOCK_PAGE_BYTES;
    const end = page + lengthBytes / MOCK_PAGE_BYTES;
    while (page < end) {
      let shift = PAGE_SHIFT;
      for (let pages = 2; shift < LARGEST_SHIFT && page + pages <= end; pages *= 2, shift += 1) {
        if (page % pages !== 0 || at % pages !== 0) break;
      }
      const pages = 2 ** (shift - PAGE_SHIFT);
      const leaf = { first: page, end: page + pages, shift, physical: at * MOCK_PAGE_BYTES, dirty: false };
      for (let each = page; each < leaf.end; each += 1) this.leaves.set(each, leaf);
      page += pages;
      at += pages;
    }
  }

  unmap(iova: bigint, lengthBytes: bigint): void {
    const first = Number(iova) >>> PAGE_SHIFT;
    const end = first + Number(lengthBytes) / MOCK_PAGE_BYTES;
    for (let page = first; page < end; page += 1) this.leaves.delete(page);
  }

  iovaToPhysical(iova: bigint): number | undefined {
    const page = Number(iova >> BigInt(PAGE_SHIFT));
    const leaf = this.leaves.get(page);
    if (leaf === undefined) return undefined;
    return leaf.physical + (page - leaf.first) * MOCK_PAGE_BYTES + (Number(iova) % MOCK_PAGE_BYTES);
  }

  /** A device wrote: the leaf behind the address is marked. */
  markDirty(iova: bigint): void {
    const leaf = this.leaves.get(Number(iova >> BigInt(PAGE_SHIFT)));
    if (leaf !== undefined) leaf.dirty = true;
  }

  free(): void {
    this.leaves.clear();
  }

  private readAndClear(iova: bigint, lengthBytes: bigint, record: DirtyRecorder, keep: boolean): void {
    const end = Number((iova + lengthBytes) >> BigInt(PAGE_SHIFT));
    let page = Number(iova >> BigInt(PAGE_SHIFT));
    while (page < end) {
      const leaf = this.leaves.get(page);
      if (leaf === undefined) {
        page += 1;
        continue;
      }
      if (leaf.dirty) {
        record(BigInt(page) << BigInt(PAGE_SHIFT), BigInt(dirtyPages(leaf, page, end) * MOCK_PAGE_BYTES));
        if (!keep) leaf.dirty = false;
      }
      page += leaf.end - leaf.first;
    }
  }
}

/**
 * Smallest pages that a written leaf reports from `page` on. A run of entries reports one entry less than it has: the
 * generic page table code takes the index of the run's last entry for the one after it.
 */
function dirtyPages(leaf: Leaf, page: number, end: number): number {
  const unitShift = PAGE_SHIFT + Math.floor((leaf.shift - PAGE_SHIFT) / LEVEL_BITS) * LEVEL_BITS;
  const unit = 2 ** (unitShift - PAGE_SHIFT);
  if (leaf.shift === unitShift) return unit;
  return (Math.min(leaf.end / unit - 1, Math.ceil(end / unit)) - Math.floor(page / unit)) * unit;
}

/** IOMMU_HWPT_DATA_SELFTEST, IOMMU_HWPT_INVALIDATE_DATA_SELFTEST. */
const DATA_TYPE = 0xdead;
const INVALIDATION_TYPE = 0xdeadbeef;
/** struct iommu_hwpt_selftest {iotlb, page table kind}; struct iommu_hwpt_invalidate_selftest {flags, iotlb number}. */
const DATA_BYTES = 8;
const INVALIDATION_BYTES = 8;
const IOTLB_ENTRIES = 4;
const INVALIDATE_ALL = 1;

/**
 * iommu_copy_struct_from_user: the rules for data that only the driver reads.
 * @throws KernelError EINVAL for another type, less than `minimum`, or more than `size` bytes.
 */
function checkUserData(data: UserData, type: number, minimum: number, size: number): void {
  if (data.type !== type || data.bytes.length < minimum || data.bytes.length > size)
    throw new KernelError(
      'EINVAL',
      'driver data',
      `data of type 0x${data.type.toString(16)} with ${data.bytes.length} bytes, wanted 0x${type.toString(16)} with ${size}`,
    );
}

/**
 * The data of a page table: 4 bytes at least, the kind of page table may be missing.
 * @throws KernelError EOPNOTSUPP for the data of another driver, EINVAL for another size.
 */
export function readMockData(data: UserData): { iotlb: number; kind: number } {
  if (data.type !== DATA_TYPE)
    throw new KernelError(
      'EOPNOTSUPP',
      'driver data',
      `data of type 0x${data.type.toString(16)} is not the self-test's`,
    );
  checkUserData(data, DATA_TYPE, 4, DATA_BYTES);
  const view = new DataView(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength);
  return { iotlb: view.getUint32(0, true), kind: data.bytes.length >= 8 ? view.getUint32(4, true) : 0 };
}

/** A nested page table: four IOTLB entries to invalidate. */
export class MockNestedDomain implements NestedDomain {
  readonly iotlb: number[];

  constructor(data: UserData) {
    this.iotlb = new Array<number>(IOTLB_ENTRIES).fill(readMockData(data).iotlb);
  }

  invalidate(request: InvalidationRequest, handled: { count: number }): void {
    if (request.dataType !== INVALIDATION_TYPE)
      throw new KernelError(
        'EINVAL',
        'invalidation type',
        `type 0x${request.dataType.toString(16)} is not the driver's`,
      );
    for (const bytes of request.entries) {
      checkUserData(
        { type: request.dataType, bytes },
        INVALIDATION_TYPE,
        INVALIDATION_BYTES,
        INVALIDATION_BYTES,
      );
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const flags = view.getUint32(0, true);
      const entry = view.getUint32(4, true);
      if ((flags & ~INVALIDATE_ALL) !== 0)
        throw new KernelError('EOPNOTSUPP', 'unknown flags', `invalidation flags 0x${flags.toString(16)}`);
      if (entry >= IOTLB_ENTRIES)
        throw new KernelError('EINVAL', 'invalidation entry', `there is no IOTLB entry ${entry}`);
      if (flags === INVALIDATE_ALL) this.iotlb.fill(0);
      else this.iotlb[entry] = 0;
      handled.count += 1;
    }
  }

  free(): void {}
}
