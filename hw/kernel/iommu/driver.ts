/**
 * What an IOMMU driver (Intel, AMD, a platform one) offers to the core: struct iommu_ops. The core decides who may
 * attach what; the driver makes it true in hardware.
 */
import type { Device } from '../device.ts';
import type { DomainType, IommuDomain, ReservedRegion } from './types.ts';

export interface DomainOptions {
  readonly type?: DomainType;
  /** Second stage that a guest's own tables will sit on (IOMMU_HWPT_ALLOC_NEST_PARENT). */
  readonly nestParent?: boolean;
  readonly dirtyTracking?: boolean;
  /** Second level whatever else there is, for tables of a guest on top (iommu_enable_nesting, before 6.12). */
  readonly nesting?: boolean;
}

/** A domain that knows its driver: attaching it to a device of another one is EINVAL. */
export interface DriverDomain extends IommuDomain {
  readonly driver: IommuDriver;
  /** Changes once at most: a flush queue can be added to a domain of type DMA. */
  type: DomainType;
}

export interface IommuDriver {
  readonly name: string;
  /** A blocking domain that all groups share; undefined: the core makes an empty paging domain for each group. */
  readonly blockingDomain: DriverDomain | undefined;
  /** A device with direct mappings can't be put on a blocking domain (later kernels); before, attach refuses it. */
  readonly refusesBlockingDirect: boolean;
  /** Its domains can be attached to PASIDs (set_dev_pasid). */
  readonly attachesPasids: boolean;
  /** Takes the device on. @throws KernelError ENODEV: no unit is responsible for it. */
  probe(device: Device): void;
  /** After the device has its domain: what may be switched on only now. */
  finalize(device: Device): void;
  /** The device goes: nothing of it stays in the tables. */
  release(device: Device): void;
  /** 'identity' or 'DMA' when the device can't have anything else (def_domain_type). */
  requiredDomainType(device: Device): 'identity' | 'DMA' | undefined;
  /** @throws KernelError EOPNOTSUPP: the unit has no table that can do what is asked. */
  allocate(device: Device, options: DomainOptions): DriverDomain;
  /** Requests without PASID go through this domain from now on. On failure the device has no domain. */
  attach(domain: DriverDomain, device: Device): void;
  /** Requests without PASID are blocked from now on. */
  detach(domain: DriverDomain, device: Device): void;
  /** Highest PASID plus 1 that the device may use; 0: it can't tag requests. */
  maximumPasids(device: Device): number;
  /** @param old What the PASID has now, to be replaced. */
  attachPasid(domain: DriverDomain, device: Device, pasid: number, old: DriverDomain | undefined): void;
  detachPasid(domain: DriverDomain, device: Device, pasid: number): void;
  /** Gives the page table back. @throws KernelError EBUSY while attached. */
  freeDomain(domain: DriverDomain): void;
  reservedRegions(device: Device): readonly ReservedRegion[];
  /** Firmware wants a 1:1 mapping at all times (a direct, non-relaxable region). */
  requiresDirect(device: Device): boolean;
}
