/**
 * Which addresses of an IOAS may be used: what devices and page tables reserve, what the user allows, and the search
 * for a free place in between (drivers/iommu/iommufd/io_pagetable.c).
 */
import { KernelError } from '../errno.ts';
import type { AreaTree } from './area-tree.ts';
import { hex, type IovaRange, IovaRanges, LAST_IOVA } from './iova-ranges.ts';
import { IovaSearch } from './iova-search.ts';

/** A region of a device that must not be mapped, or may be when `relaxable`. */
export interface DeviceRegion {
  readonly start: bigint;
  readonly last: bigint;
  readonly relaxable: boolean;
}

export class IovaLimits {
  private readonly areas: AreaTree;
  private readonly reserved = new IovaRanges();
  private readonly search: IovaSearch;
  private allowed = new IovaRanges();

  constructor(areas: AreaTree) {
    this.areas = areas;
    this.search = new IovaSearch(areas, this.reserved);
  }

  /** What is not reserved: IOAS_IOVA_RANGES. The user's own list of allowed ranges doesn't show here. */
  freeRanges(): IovaRange[] {
    const holes: IovaRange[] = [];
    for (const span of this.reserved.spans(0n, LAST_IOVA)) {
      if (span.isHole) holes.push({ start: span.start, last: span.last });
    }
    return holes;
  }

  /** The first reserved range that shares an address with [start, last]. */
  reservedIn(start: bigint, last: bigint): IovaRange | undefined {
    return this.reserved.firstIntersecting(start, last);
  }

  /** A free place for memory at this address. @throws KernelError as IovaSearch.find */
  find(address: bigint, length: bigint, smallest: bigint): bigint {
    return this.search.find(address, length, this.allowed, smallest);
  }

  /** Addresses from `start` on may be free again. */
  freed(start: bigint): void {
    this.search.freed(start);
  }

  /** @throws KernelError EADDRINUSE when something is mapped there, or the user allowed it. */
  reserve(start: bigint, last: bigint, owner: object | undefined): void {
    const mapped = this.areas.firstIntersecting(start, last);
    const allowed = this.allowed.firstIntersecting(start, last);
    if (mapped !== undefined || allowed !== undefined)
      throw new KernelError(
        'EADDRINUSE',
        'reserved range in use',
        mapped === undefined
          ? `${hex(start)} to ${hex(last)} must be reserved, but the user's list allows part of it`
          : `${hex(start)} to ${hex(last)} must be reserved, but ${hex(mapped.iova)} to ${hex(mapped.last)} is mapped`,
        mapped === undefined ? 'Allow other ranges.' : 'Unmap what lies there first.',
      );
    this.reserved.add(start, last, owner);
  }

  unreserve(owner: object): void {
    this.reserved.removeOwner(owner);
    this.search.freed(0n);
  }

  /**
   * Reserves what a device must not have mapped; relaxable regions are left open.
   * @throws KernelError EADDRINUSE; none of the regions stays reserved then.
   */
  reserveForDevice(regions: readonly DeviceRegion[], owner: object): void {
    try {
      for (const region of regions) {
        if (!region.relaxable) this.reserve(region.start, region.last, owner);
      }
    } catch (error) {
      this.unreserve(owner);
      throw error;
    }
  }

  /** Replaces the list that automatic placement keeps to. @throws KernelError EADDRINUSE: the old list stays. */
  allow(ranges: IovaRanges): void {
    for (const { start, last } of ranges.all) {
      const reserved = this.reserved.firstIntersecting(start, last);
      if (reserved !== undefined)
        throw new KernelError(
          'EADDRINUSE',
          'allowed range is reserved',
          `${hex(reserved.start)} to ${hex(reserved.last)} is reserved`,
        );
    }
    this.allowed = ranges;
  }
}
