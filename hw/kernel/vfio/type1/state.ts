/**
 * What a type1 container knows (struct vfio_iommu): its mappings, the IOMMU domains they are in, the groups behind
 * each domain, pins by mediated devices, and what the limits and dirty tracking count.
 */

import type { Device } from '../../device.ts';
import { KernelError } from '../../errno.ts';
import type { AuxiliaryDomains, IommuCore, IommuDomain, IommuGroup } from '../../iommu/types.ts';
import type { AddressSpace } from '../../process/address-space.ts';
import type { Process } from '../../process/process.ts';
import { type KernelProfile, quirkOf } from '../../profile.ts';
import type { PageRange } from './iova-ranges.ts';
import { MappingTable } from './mapping-table.ts';

/** Parameters of the module vfio_iommu_type1. */
export interface Type1Parameters {
  /** Mappings a container may hold; taken over when it is set up. */
  dmaEntryLimit: number;
  allowUnsafeInterrupts: boolean;
  disableHugepages: boolean;
}

/** Parameters of the module vfio. */
export interface VfioParameters {
  /** enable_unsafe_noiommu_mode: functions in no IOMMU group may be given to users all the same. */
  unsafeNoIommu: boolean;
}

/** What the back end needs from the rest of the kernel. */
export interface Type1Environment {
  readonly core: IommuCore;
  /** 5.15 only. */
  readonly auxiliary: AuxiliaryDomains | undefined;
  readonly profile: KernelProfile;
  readonly parameters: Type1Parameters;
  readonly vfioParameters: VfioParameters;
  /** An IOMMU driver serves the PCI bus. */
  readonly iommuPresent: boolean;
  /** One line for the kernel log. */
  log(line: string): void;
}

/** A group as the back end sees it. */
export interface ContainerGroup {
  readonly iommuGroup: IommuGroup;
  /** 'emulated': mediated devices whose driver pins pages; no IOMMU stands behind the group. */
  readonly type: 'iommu' | 'emulated';
  /** 5.15: the device whose requester id or PASID isolates the mediated device of this group. */
  readonly isolatingDevice: Device | undefined;
}

/** A group in the container, and whether it reports what it dirties by pinning. */
export interface AttachedGroup {
  readonly group: ContainerGroup;
  pinnedPageDirtyScope: boolean;
}

/** An IOMMU domain of the container with the groups attached to it (struct vfio_domain). */
export interface ContainerDomain {
  readonly domain: IommuDomain;
  readonly groups: AttachedGroup[];
}

/** Who made a mapping, and who is charged for it (task, mm and lock_cap of struct vfio_dma). */
export interface MappingOwner {
  readonly process: Process;
  readonly memory: AddressSpace;
  /** CAP_IPC_LOCK at the time of MAP_DMA: no limit then. */
  readonly unlimited: boolean;
}

/** A page that mediated devices pinned (struct vfio_pfn). */
export interface ExternalPin {
  readonly page: number;
  readonly frame: number;
  readonly reserved: boolean;
  references: number;
}

/** A device that pins pages and must let go when they are unmapped (vfio_device_ops.dma_unmap). Bytes. */
export interface PinningDevice {
  dmaUnmap(iova: bigint, lengthBytes: bigint): void;
}

export class Type1State {
  readonly environment: Type1Environment;
  /** Type1 version 2: unmap never cuts, pins and dirty tracking exist. */
  readonly version2: boolean;
  /** Its domains are to carry tables of a guest (TYPE1_NESTING_IOMMU). */
  readonly nesting: boolean;
  readonly mappings = new MappingTable();
  readonly owners: MappingOwner[] = [];
  readonly domains: ContainerDomain[] = [];
  /** Groups without an IOMMU behind them. */
  readonly emulated: AttachedGroup[] = [];
  readonly pinningDevices: PinningDevice[] = [];
  ranges: readonly PageRange[] = [];
  /** pgsize_bitmap: what every domain supports. */
  pageSizes: bigint;
  /** Mappings that may still be made. */
  mappingsAvailable: number;
  /** Groups that can't tell what they dirty: while there is one, every mapped page counts as dirty. */
  nonPinnedGroups = 0;
  suspendedMappings = 0;
  dirtyTracking = false;
  /** Quirk type1-dirty-stale-bits: see dirty.ts. */
  readonly keepsStaleBits: boolean;
  /** Dirty bits by slot, in 64-bit words held as pairs of 32; there while tracking is on. */
  readonly dirtyBitmaps = new Map<number, Uint32Array>();
  /** Pins by slot and by the address the device named. */
  readonly externalPins = new Map<number, Map<number, ExternalPin>>();

  constructor(environment: Type1Environment, version2: boolean, nesting = false) {
    this.environment = environment;
    this.nesting = nesting;
    this.version2 = version2;
    this.pageSizes = environment.profile.vfioInitialPageSizes;
    this.keepsStaleBits = quirkOf(environment.profile, 'type1-dirty-stale-bits') !== undefined;
    this.mappingsAvailable = environment.parameters.dmaEntryLimit;
  }

  /** Bytes of the smallest page of all domains. */
  get smallestPage(): bigint {
    return this.pageSizes & -this.pageSizes;
  }

  /** The index of an owner, the same for equal ones. */
  ownerIndex(process: Process): number {
    const unlimited = process.capable('CAP_IPC_LOCK');
    const known = this.owners.findIndex(
      (owner) => owner.process === process && owner.unlimited === unlimited,
    );
    if (known >= 0) return known;
    this.owners.push({ process, memory: process.memory, unlimited });
    return this.owners.length - 1;
  }

  ownerOf(slot: number): MappingOwner {
    return this.owners[this.mappings.owner(slot)];
  }

  /**
   * Charges pages to (or gives them back to) the owner of a mapping: mm.locked_vm.
   * @throws KernelError ENOMEM beyond RLIMIT_MEMLOCK.
   */
  charge(owner: MappingOwner, pages: number): void {
    if (pages > 0 && !owner.unlimited && owner.memory.lockedPages + pages > limitPages(owner.process))
      throw memoryLockExceeded(owner.process);
    owner.memory.lockedPages += pages;
  }
}

/** RLIMIT_MEMLOCK in pages. */
export function limitPages(process: Process): number {
  return Math.floor(process.memoryLockLimitBytes / 4096);
}

export function memoryLockExceeded(process: Process): KernelError {
  return new KernelError(
    'ENOMEM',
    'locked-memory limit',
    `process ${process.name} would lock more than its RLIMIT_MEMLOCK of ${process.memoryLockLimitBytes} bytes`,
    'raise RLIMIT_MEMLOCK of the process',
  );
}
