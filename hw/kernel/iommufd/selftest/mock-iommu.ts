/** The IOMMU layer of the self-test's devices: each is alone in its group, attaching does nothing. */
import type { Device } from '../../device.ts';
import { KernelError } from '../../errno.ts';
import type { AttachedDomain, DeviceIommu, HardwareInfo, PagingFlags, UserData } from '../device-iommu.ts';
import type { DeviceRegion } from '../iova-limits.ts';
import type { PagingDomain } from '../paging-domain.ts';
import { MockDomain, MockNestedDomain, readMockData } from './mock-domain.ts';

/** MOCK_FLAGS_DEVICE_*. */
export const MockDeviceFlag = { noDirty: 1, hugeIova: 2, pasid: 4 } as const;
export const MOCK_DEVICE_FLAGS = 7;

/** IOMMU_HW_INFO_TYPE_SELFTEST, and the register it shows. */
const HARDWARE_INFO_TYPE = 0xfeedbeef;
const HARDWARE_INFO_REGISTER = 0xdeadbeef;
const PASID_COUNT = 1 << 20;
/** Kinds of page table that the data may name beyond the default one. */
const LAST_KIND = 2;

export class MockIommu implements DeviceIommu {
  private readonly flags = new Map<Device, number>();

  add(device: Device, flags: number): void {
    this.flags.set(device, flags);
  }

  remove(device: Device): void {
    this.flags.delete(device);
  }

  hasCacheCoherency(): boolean {
    return true;
  }

  canEnforceCoherency(): boolean {
    return false;
  }

  canTrackDirty(device: Device): boolean {
    return !this.has(device, MockDeviceFlag.noDirty);
  }

  groupOf(device: Device): object {
    return device;
  }

  groupName(group: object): string {
    return (group as Device).name;
  }

  hasIsolatedMsi(): boolean {
    return true;
  }

  claim(): void {}

  release(): void {}

  reservedRegions(): DeviceRegion[] {
    return [];
  }

  allocatePaging(device: Device, flags: PagingFlags, data: UserData | undefined): PagingDomain {
    if (flags.dirtyTracking && !this.canTrackDirty(device))
      throw new KernelError('EOPNOTSUPP', 'no dirty tracking', `${device.name} was made without it`);
    if (data !== undefined && readMockData(data).kind > LAST_KIND)
      throw new KernelError('EOPNOTSUPP', 'page table kind', 'the self-test has no such page table');
    return new MockDomain(flags);
  }

  allocateNested = (
    _device: Device,
    _parent: PagingDomain,
    _flags: { pasid: boolean },
    data: UserData,
  ): MockNestedDomain => {
    return new MockNestedDomain(data);
  };

  ownsDomain(_device: Device, domain: PagingDomain): boolean {
    return domain instanceof MockDomain;
  }

  attachGroup(domain: AttachedDomain, _group: object, device: Device): void {
    if (domain instanceof MockDomain && domain.dirty !== undefined && !this.canTrackDirty(device))
      throw new KernelError('EINVAL', 'no dirty tracking', `${device.name} was made without it`);
  }

  detachGroup(): void {}

  replaceGroup(_from: AttachedDomain, to: AttachedDomain, group: object, device: Device): void {
    this.attachGroup(to, group, device);
  }

  attachPasid(domain: AttachedDomain, device: Device, pasid: number): void {
    if (pasid >= this.pasidSupport(device).count)
      throw new KernelError('EINVAL', 'PASID out of range', `${device.name} has no PASID ${pasid}`);
    this.attachGroup(domain, device, device);
  }

  detachPasid(): void {}

  replacePasid(_from: AttachedDomain, to: AttachedDomain, device: Device, pasid: number): void {
    this.attachPasid(to, device, pasid);
  }

  hardwareInfo(_device: Device, type: number): HardwareInfo {
    if (type !== 0 && type !== HARDWARE_INFO_TYPE)
      throw new KernelError('EOPNOTSUPP', 'hardware information', `no information of type ${type}`);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(4, HARDWARE_INFO_REGISTER, true);
    return { type: HARDWARE_INFO_TYPE, bytes };
  }

  pasidSupport(device: Device): { count: number; execute: boolean; privileged: boolean } {
    const count = this.has(device, MockDeviceFlag.pasid) ? PASID_COUNT : 0;
    return { count, execute: false, privileged: false };
  }

  hasAts(): boolean {
    return false;
  }

  /** Mock devices ask for no pages. */
  listenPageRequests(): () => void {
    return () => {};
  }

  sharesPageRequests(): boolean {
    return false;
  }

  private has(device: Device, flag: number): boolean {
    return ((this.flags.get(device) ?? 0) & flag) !== 0;
  }
}
