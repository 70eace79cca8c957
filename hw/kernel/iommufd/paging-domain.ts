/**
 * What an IOAS fills: a page table that translates I/O addresses to memory. Unlike the IOMMU core's domains it is
 * measured in bytes, because IOMMUFD also serves page tables with pages smaller than the CPU's (its self-test has
 * pages of 2 KiB).
 */
import type { Frame, Page } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import type { IommuDomain } from '../iommu/types.ts';
import { IommuProt } from '../iommu/types.ts';
import { LAST_IOVA } from './iova-ranges.ts';

/** Receives the ranges that were written since the last reading, in ascending order. Bytes. */
export type DirtyRecorder = (iova: bigint, lengthBytes: bigint) => void;

/** iommu_dirty_ops: page tables whose entries say that they were written. */
export interface DirtyTracking {
  /** Switches the marking on or off. */
  setTracking(enable: boolean): void;
  /** Tells `record` of each written range in [iova, iova + length); clears the marks unless `keep`. */
  readAndClear(iova: bigint, lengthBytes: bigint, record: DirtyRecorder, keep: boolean): void;
}

export interface PagingDomain {
  /** pgsize_bitmap: bit n set = pages of 2^n bytes. */
  readonly pageSizes: bigint;
  /** First and last address it can translate. */
  readonly firstIova: bigint;
  readonly lastIova: bigint;
  /** enforce_cache_coherency was switched on. */
  readonly enforcesCoherency: boolean;
  readonly dirty: DirtyTracking | undefined;
  enforceCacheCoherency(): boolean;
  /** Maps `lengthBytes` from `iova` to consecutive memory from byte address `physical`. @throws KernelError */
  map(iova: bigint, physical: number, lengthBytes: number, prot: number): void;
  unmap(iova: bigint, lengthBytes: bigint): void;
  /** Byte address behind an I/O address, or undefined. */
  iovaToPhysical(iova: bigint): number | undefined;
  free(): void;
}

/** iommu_map: addresses and length are multiples of the smallest page. @throws KernelError EINVAL */
export function checkAligned(iova: bigint, physical: number, lengthBytes: number, page: number): void {
  if (iova % BigInt(page) === 0n && physical % page === 0 && lengthBytes % page === 0) return;
  throw new KernelError(
    'EINVAL',
    'unaligned mapping',
    `0x${iova.toString(16)} → 0x${physical.toString(16)}, ${lengthBytes} bytes: not made of pages of ${page} bytes`,
  );
}

/** A domain of the IOMMU core, as IOMMUFD fills it: all addresses are whole pages by then (iova_alignment ≥ 4096). */
export class CorePagingDomain implements PagingDomain {
  readonly domain: IommuDomain;
  readonly dirty: DirtyTracking | undefined;

  /** `dirty`: present when the driver made the domain for dirty tracking. */
  constructor(domain: IommuDomain, dirty?: DirtyTracking) {
    this.domain = domain;
    this.dirty = dirty;
  }

  get pageSizes(): bigint {
    return this.domain.pageSizes;
  }

  get firstIova(): bigint {
    return BigInt(this.domain.aperture.first) << 12n;
  }

  get lastIova(): bigint {
    const last = (BigInt(this.domain.aperture.last) << 12n) | 0xfffn;
    return last > LAST_IOVA ? LAST_IOVA : last;
  }

  get enforcesCoherency(): boolean {
    return this.domain.enforcesCoherency;
  }

  enforceCacheCoherency(): boolean {
    return this.domain.enforceCacheCoherency();
  }

  map(iova: bigint, physical: number, lengthBytes: number, prot: number): void {
    checkAligned(iova, physical, lengthBytes, 4096);
    // Since IOMMUFD offers no way to restore coherency afterwards, every mapping is a cached one.
    this.domain.map(
      Number(iova >> 12n) as Page,
      (physical / 4096) as Frame,
      lengthBytes / 4096,
      prot | IommuProt.cache,
    );
  }

  unmap(iova: bigint, lengthBytes: bigint): void {
    const end = Number((iova + lengthBytes) >> 12n);
    let page = Number(iova >> 12n);
    while (page < end) {
      const done = this.domain.unmap(page as Page, end - page);
      if (done === 0) return;
      page += done;
    }
  }

  iovaToPhysical(iova: bigint): number | undefined {
    const frame = this.domain.iovaToFrame(Number(iova >> 12n) as Page);
    return frame === undefined ? undefined : frame * 4096 + Number(iova & 0xfffn);
  }

  free(): void {
    this.domain.free();
  }
}
