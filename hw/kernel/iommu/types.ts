/**
 * The IOMMU core as the rest of the kernel half sees it: what include/linux/iommu.h is to Linux. Addresses are page
 * and frame numbers (iova >> 12, physical >> 12) so that the hot path stays on integers; bigint belongs to the ioctl edge.
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';

/** What sysfs prints in `type`, plus the kinds that never show there. */
export type DomainType = 'blocked' | 'identity' | 'unmanaged' | 'DMA' | 'DMA-FQ' | 'nested' | 'sva';

/** Rights of a mapping, as IOMMU_READ, IOMMU_WRITE. */
export const IommuProt = { read: 1, write: 2, cache: 4, noExec: 8 } as const;

/** A run of pages an IOMMU domain can translate, ends included. */
export interface Aperture {
  readonly first: Page;
  readonly last: Page;
}

/** struct iommu_domain with its operations. */
export interface IommuDomain {
  readonly type: DomainType;
  /** For people and for transcripts: stable within a run ("domain 7"). */
  readonly name: string;
  /** pgsize_bitmap: bit n set = pages of 2^n bytes. */
  readonly pageSizes: bigint;
  readonly aperture: Aperture;
  /** iommu_domain.enforce_cache_coherency, once switched on. */
  readonly enforcesCoherency: boolean;
  enforceCacheCoherency(): boolean;
  /**
   * Maps `count` pages from `page` to consecutive frames. Larger pages are used where alignment allows.
   * @throws KernelError EFAULT beyond the width, EEXIST/EPERM over an existing mapping, ENOMEM.
   */
  map(page: Page, frame: Frame, count: number, prot: number): void;
  /** Unmaps up to `count` pages from `page`; the number of pages unmapped (a large page that is hit goes as a whole). */
  unmap(page: Page, count: number): number;
  /** The frame behind a page, or undefined. */
  iovaToFrame(page: Page): Frame | undefined;
  /** The leaf behind a page: its frame, and how many pages from this one on the same leaf covers; undefined: unmapped. */
  leafAt?(page: Page): DomainLeaf | undefined;
  /** Frees the page table. @throws KernelError EBUSY while attached. */
  free(): void;
}

/** A leaf of a domain's page table, seen from one page of it. */
export interface DomainLeaf {
  readonly frame: Frame;
  readonly pages: number;
}

export type ReservedType = 'direct' | 'direct-relaxable' | 'reserved' | 'msi' | 'software-msi';

/** struct iommu_resv_region. Byte addresses, end included. */
export interface ReservedRegion {
  readonly start: bigint;
  readonly end: bigint;
  readonly type: ReservedType;
  /** The member that causes it, for people. */
  readonly because?: string;
}

/** struct iommu_group. */
export interface IommuGroup {
  /** Number in /sys/kernel/iommu_groups. */
  readonly id: number;
  name: string | undefined;
  readonly devices: readonly Device[];
  readonly defaultDomain: IommuDomain | undefined;
  readonly blockingDomain: IommuDomain | undefined;
  /** What is attached to every member now (requests without PASID). */
  readonly domain: IommuDomain | undefined;
  /** dma-ownership: users and the claimant (undefined: kernel use). */
  readonly ownerCount: number;
  readonly owner: object | undefined;
  /** PASID → domain attached by PASID (6.x). */
  readonly pasids: ReadonlyMap<number, IommuDomain>;
}

/** The calls of drivers/iommu/iommu.c. All throw KernelError with the errno of the profile. */
export interface IommuCore {
  readonly groups: readonly IommuGroup[];
  groupOf(device: Device): IommuGroup | undefined;
  /** iommu_group_alloc: an empty group with the lowest free number (mdev, no-IOMMU). */
  allocateGroup(name?: string): IommuGroup;
  addDevice(group: IommuGroup, device: Device): void;
  removeDevice(device: Device): void;
  /** iommu_paging_domain_alloc / iommu_domain_alloc for the unit behind this device. */
  allocateDomain(
    device: Device,
    options?: { nestParent?: boolean; dirtyTracking?: boolean; nesting?: boolean; type?: DomainType },
  ): IommuDomain;
  attachGroup(domain: IommuDomain, group: IommuGroup): void;
  detachGroup(domain: IommuDomain, group: IommuGroup): void;
  attachDevice(domain: IommuDomain, device: Device): void;
  detachDevice(domain: IommuDomain, device: Device): void;
  attachDevicePasid(domain: IommuDomain, device: Device, pasid: number): void;
  detachDevicePasid(domain: IommuDomain, device: Device, pasid: number): void;
  /** Requests without PASID as the unit would see them now. */
  domainForDevice(device: Device): IommuDomain | undefined;
  useDefaultDomain(device: Device): void;
  unuseDefaultDomain(device: Device): void;
  claimGroup(group: IommuGroup, owner: object): void;
  releaseGroup(group: IommuGroup): void;
  claimDevice(device: Device, owner: object): void;
  releaseDevice(device: Device): void;
  dmaOwnerClaimed(group: IommuGroup): boolean;
  reservedRegions(group: IommuGroup): ReservedRegion[];
  /** Interrupts of every member are remapped (type1's isolated-MSI test). */
  hasIsolatedMsi(group: IommuGroup): boolean;
  /** Change of the default type through sysfs; `type` is the word written. */
  setDefaultType(group: IommuGroup, type: string): void;
}

/** Auxiliary domains, profile 5.15 only (IOMMU_DEV_FEAT_AUX and friends). */
export interface AuxiliaryDomains {
  hasFeature(device: Device): boolean;
  enableFeature(device: Device): void;
  disableFeature(device: Device): void;
  featureEnabled(device: Device): boolean;
  attach(domain: IommuDomain, device: Device): void;
  detach(domain: IommuDomain, device: Device): void;
  /** The domain's default PASID. @throws KernelError EINVAL when it has none. */
  pasidOf(domain: IommuDomain, device: Device): number;
}
