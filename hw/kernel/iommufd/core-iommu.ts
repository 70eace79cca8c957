/** The IOMMU layer of real devices: the IOMMU core, and what only the driver below it knows. */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { LinuxIommuCore } from '../iommu/core.ts';
import type { IommuDomain, IommuGroup } from '../iommu/types.ts';
import type {
  AttachedDomain,
  DeviceIommu,
  HardwareInfo,
  PageRequestListener,
  PagingFlags,
  UserData,
} from './device-iommu.ts';
import { type IntelHardware, IntelNested } from './intel-hardware.ts';
import type { DeviceRegion } from './iova-limits.ts';
import { CorePagingDomain, type PagingDomain } from './paging-domain.ts';

/** IOMMU_HW_INFO_TYPE_NONE: the driver has nothing to tell. */
const NO_INFORMATION: HardwareInfo = { type: 0, bytes: new Uint8Array(0) };

export class CoreIommu implements DeviceIommu {
  private readonly core: LinuxIommuCore;
  private readonly intel: IntelHardware | undefined;

  /** `intel`: present when the VT-d driver serves the machine. */
  constructor(core: LinuxIommuCore, intel: IntelHardware | undefined) {
    this.core = core;
    this.intel = intel;
  }

  /** x86 IOMMUs keep DMA coherent with the caches. */
  hasCacheCoherency(device: Device): boolean {
    return this.core.groupOf(device)?.driver !== undefined;
  }

  canEnforceCoherency(device: Device): boolean {
    return this.intel?.canEnforceCoherency(device) ?? true;
  }

  canTrackDirty(device: Device): boolean {
    return this.intel?.canTrackDirty(device) ?? false;
  }

  groupOf(device: Device): object | undefined {
    return this.core.groupOf(device);
  }

  groupName(group: object): string {
    return `group ${(group as IommuGroup).id}`;
  }

  hasIsolatedMsi(group: object): boolean {
    return this.core.hasIsolatedMsi(group as IommuGroup);
  }

  claim(device: Device, owner: object): void {
    this.core.claimDevice(device, owner);
  }

  release(device: Device): void {
    this.core.releaseDevice(device);
  }

  reservedRegions(device: Device): DeviceRegion[] {
    const regions = this.core.groupOf(device)?.driver?.reservedRegions(device) ?? [];
    return regions.map(({ start, end, type }) => ({
      start,
      last: end,
      relaxable: type === 'direct-relaxable',
    }));
  }

  allocatePaging(device: Device, flags: PagingFlags, data: UserData | undefined): PagingDomain {
    if (data !== undefined)
      throw new KernelError(
        'EOPNOTSUPP',
        'page table data',
        'the IOMMU driver takes no data for a page table that IOMMUFD fills',
      );
    const { nestParent, dirtyTracking } = flags;
    const domain = this.core.allocateDomain(device, { nestParent, dirtyTracking });
    return this.intel?.pagingDomain(domain, dirtyTracking) ?? new CorePagingDomain(domain);
  }

  get allocateNested(): DeviceIommu['allocateNested'] {
    return this.intel?.allocateNested;
  }

  ownsDomain(device: Device, domain: PagingDomain): boolean {
    return (
      domain instanceof CorePagingDomain &&
      'driver' in domain.domain &&
      domain.domain.driver === this.core.groupOf(device)?.driver
    );
  }

  attachGroup(domain: AttachedDomain, group: object): void {
    this.core.attachGroup(coreDomain(domain), group as IommuGroup);
  }

  detachGroup(domain: AttachedDomain, group: object): void {
    this.core.detachGroup(coreDomain(domain), group as IommuGroup);
  }

  replaceGroup(_from: AttachedDomain, to: AttachedDomain, group: object): void {
    this.core.replaceGroupDomain(group as IommuGroup, coreDomain(to));
  }

  attachPasid(domain: AttachedDomain, device: Device, pasid: number): void {
    // Each attachment has a handle of its own: a replacement must bring another one.
    this.core.attachDevicePasid(coreDomain(domain), device, pasid, { pasid });
  }

  detachPasid(domain: AttachedDomain, device: Device, pasid: number): void {
    this.core.detachDevicePasid(coreDomain(domain), device, pasid);
  }

  replacePasid(_from: AttachedDomain, to: AttachedDomain, device: Device, pasid: number): void {
    this.core.replaceDevicePasid(coreDomain(to), device, pasid, { pasid });
  }

  hardwareInfo(device: Device, type: number): HardwareInfo {
    if (this.intel !== undefined) return this.intel.hardwareInfo(device, type);
    return NO_INFORMATION;
  }

  pasidSupport(device: Device): { count: number; execute: boolean; privileged: boolean } {
    return this.intel?.pasidSupport(device) ?? { count: 0, execute: false, privileged: false };
  }

  hasAts(device: Device): boolean {
    return this.intel?.hasAts(device) ?? false;
  }

  listenPageRequests(device: Device, listener: PageRequestListener): () => void {
    return this.intel?.listenPageRequests(device, listener) ?? (() => {});
  }

  sharesPageRequests(device: Device): boolean {
    return device.pci?.isVirtualFunction === true && this.intel?.hasPageRequests(device) === true;
  }
}

/** The IOMMU core's domain behind a page table. */
function coreDomain(domain: AttachedDomain): IommuDomain {
  if (domain instanceof CorePagingDomain || domain instanceof IntelNested) return domain.domain;
  throw new KernelError('EINVAL', 'page table of another driver', 'the page table is not one of this IOMMU');
}
