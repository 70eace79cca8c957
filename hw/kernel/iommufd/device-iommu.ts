/**
 * What IOMMUFD asks of the IOMMU layer about a device. The real one is the IOMMU core with the driver below it
 * (core-iommu.ts); the kernel's self-test has one of its own (selftest/mock-iommu.ts).
 */
import type { Device } from '../device.ts';
import type { PageRequest, PageResponse } from './fault-queue.ts';
import type { DeviceRegion } from './iova-limits.ts';
import type { PagingDomain } from './paging-domain.ts';

/** A page table that a user manages (first stage of a nested translation). */
export interface NestedDomain {
  /**
   * Invalidates what was cached of the user's table. Entries are handled one by one.
   * @param handled receives the number handled, also when a later one fails.
   * @throws KernelError EINVAL, EOPNOTSUPP
   */
  invalidate(request: InvalidationRequest, handled: { count: number }): void;
  free(): void;
}

/** Entries of an invalidation request, in the format of the driver. */
export interface InvalidationRequest {
  readonly dataType: number;
  readonly entryLength: number;
  readonly entries: readonly Uint8Array[];
}

/** Data that only the driver understands (iommu_user_data). */
export interface UserData {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface PagingFlags {
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  readonly pasid: boolean;
}

/** GET_HW_INFO as the driver fills it. */
export interface HardwareInfo {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Something attached to a group or a PASID. */
export type AttachedDomain = PagingDomain | NestedDomain;

/** Page requests that are answered together. `pasid`: undefined for requests without. */
export interface ReportedGroup {
  readonly pasid: number | undefined;
  readonly requests: readonly PageRequest[];
  respond(code: PageResponse): void;
}

/** Takes a group on (true), or leaves it to be answered "invalid". */
export type PageRequestListener = (group: ReportedGroup) => boolean;

export interface DeviceIommu {
  /** IOMMU_CAP_CACHE_COHERENCY, IOMMU_CAP_ENFORCE_CACHE_COHERENCY, IOMMU_CAP_DIRTY_TRACKING. */
  hasCacheCoherency(device: Device): boolean;
  canEnforceCoherency(device: Device): boolean;
  canTrackDirty(device: Device): boolean;
  /** Identity of the group: equal for devices that cannot be told apart. Undefined: no IOMMU serves the device. */
  groupOf(device: Device): object | undefined;
  /** What the group is called, for messages. */
  groupName(group: object): string;
  hasIsolatedMsi(group: object): boolean;
  /** iommu_device_claim_dma_owner and its reverse. @throws KernelError EPERM, EBUSY */
  claim(device: Device, owner: object): void;
  release(device: Device): void;
  reservedRegions(device: Device): DeviceRegion[];
  /** @throws KernelError EOPNOTSUPP for what the hardware lacks. */
  allocatePaging(device: Device, flags: PagingFlags, data: UserData | undefined): PagingDomain;
  /** Nested page tables on this parent; undefined: the driver has none. */
  allocateNested:
    | ((device: Device, parent: PagingDomain, flags: { pasid: boolean }, data: UserData) => NestedDomain)
    | undefined;
  /** True when the page table was made by the driver that serves the device. */
  ownsDomain(device: Device, domain: PagingDomain): boolean;
  attachGroup(domain: AttachedDomain, group: object, device: Device): void;
  detachGroup(domain: AttachedDomain, group: object): void;
  /** iommu_replace_group_handle: on an error the old one stays. */
  replaceGroup(from: AttachedDomain, to: AttachedDomain, group: object, device: Device): void;
  attachPasid(domain: AttachedDomain, device: Device, pasid: number): void;
  detachPasid(domain: AttachedDomain, device: Device, pasid: number): void;
  replacePasid(from: AttachedDomain, to: AttachedDomain, device: Device, pasid: number): void;
  /** @throws KernelError EOPNOTSUPP for a type the driver doesn't have. */
  hardwareInfo(device: Device, type: number): HardwareInfo;
  /** PASIDs the device may use (0: it has none), and the switches of its PASID capability. */
  pasidSupport(device: Device): { count: number; execute: boolean; privileged: boolean };
  /** Address translation services can be used. */
  hasAts(device: Device): boolean;
  /** Page requests of the device go to `listener` until the returned function is called. */
  listenPageRequests(device: Device, listener: PageRequestListener): () => void;
  /** The device shares its page-request queue with others (a virtual function): it must not stall it. */
  sharesPageRequests(device: Device): boolean;
}
