/** The domain of the kernel's own DMA: which type a group gets, its direct mappings, and the change through sysfs. */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { KernelProfile } from '../profile.ts';
import type { DriverDomain, IommuDriver } from './driver.ts';
import type { Group } from './group.ts';
import { switchGroup } from './group-switch.ts';
import { IommuProt } from './types.ts';

export type DefaultDomainType = 'DMA' | 'DMA-FQ' | 'identity';

export class DefaultDomains {
  /** iommu_def_domain_type: what the command line chose. */
  readonly systemType: DefaultDomainType;
  private readonly profile: KernelProfile;
  private readonly log: KernelLog;

  constructor(profile: KernelProfile, systemType: DefaultDomainType, log: KernelLog) {
    this.profile = profile;
    this.systemType = systemType;
    this.log = log;
  }

  /**
   * Makes the default domain of a group and puts its members on it, direct mappings first.
   * @throws KernelError of the driver.
   */
  setUp(group: Group, driver: IommuDriver, wanted: DefaultDomainType = this.typeFor(group, driver)): void {
    const made = this.allocate(group, driver, wanted);
    const before = group.defaultDomain;
    group.defaultDomain = made;
    try {
      for (const device of group.devices) this.mapDirect(group, driver, device);
      switchGroup(group, made);
    } catch (error) {
      group.defaultDomain = before;
      if (made.type !== 'identity') made.free();
      throw error;
    }
    if (before !== undefined && before.type !== 'identity') before.free();
  }

  /** Maps the direct regions of a device 1:1 into the default domain of its group. */
  mapDirect(group: Group, driver: IommuDriver, device: Device): void {
    const domain = group.defaultDomain;
    if (domain === undefined || domain.type === 'identity' || domain.type === 'blocked') return;
    for (const { start, end, type } of driver.reservedRegions(device)) {
      if (type !== 'direct' && type !== 'direct-relaxable') continue;
      // Both ends are rounded up.
      const first = Number((start + 0xfffn) >> 12n);
      const beyond = Number((end + 0x1000n) >> 12n);
      for (let page = first; page < beyond; page += 1) {
        if (domain.iovaToFrame(page as Page) !== undefined) continue;
        domain.map(page as Page, page as number as Frame, 1, IommuProt.read | IommuProt.write);
      }
    }
  }

  /**
   * The write to /sys/kernel/iommu_groups/N/type.
   * @throws KernelError EINVAL: no such word, a member demands another; EPERM: devices are in use. Until 6.1 EINVAL for a
   * group of several members, EBUSY for a bound driver or a group that somebody has.
   */
  change(group: Group, word: string): void {
    const { driver } = group;
    if (driver === undefined || group.defaultDomain === undefined) {
      throw new KernelError('EINVAL', 'group without IOMMU', `Group ${group.id} has no default domain.`);
    }
    const text = word.endsWith('\n') ? word.slice(0, -1) : word;
    if (text !== 'identity' && text !== 'DMA' && text !== 'DMA-FQ' && text !== 'auto') {
      throw new KernelError(
        'EINVAL',
        'unknown type',
        `"${text}" is no type: identity, DMA, DMA-FQ and auto are.`,
      );
    }
    const current = group.defaultDomain;
    const addsQueue = text === 'DMA-FQ' && current.type === 'DMA';
    const { singletonTypeChange } = this.profile;
    if (singletonTypeChange) this.requireFreeSingleton(group, addsQueue);
    else if (addsQueue) {
      // The flush queue is added to the domain as it is, whoever uses the group.
      current.type = 'DMA-FQ';
      return;
    } else this.requireUnused(group);
    const wanted = text === 'auto' ? this.typeFor(group, driver) : text;
    const demanded = this.demandOf(group, driver);
    if (demanded !== undefined && (demanded === 'identity') !== (wanted === 'identity')) {
      throw new KernelError(
        'EINVAL',
        'a member demands another type',
        `A member of group ${group.id} can only have ${demanded} domains.`,
      );
    }
    if (wanted === current.type) return;
    if (singletonTypeChange && wanted === 'DMA-FQ' && current.type === 'DMA') current.type = 'DMA-FQ';
    else this.setUp(group, driver, wanted);
  }

  /** iommu_group_store_type until 6.1. @param addsQueue DMA becomes DMA-FQ: a bound driver does not mind. */
  private requireFreeSingleton(group: Group, addsQueue: boolean): void {
    if (group.devices.length !== 1) {
      this.log.write('Cannot change default domain: Group has more than one device');
      throw new KernelError(
        'EINVAL',
        'group has more than one device',
        `Group ${group.id} has ${group.devices.length} devices: this kernel changes singletons only.`,
      );
    }
    const [device] = group.devices;
    if (device.driver !== undefined && !addsQueue) {
      this.log.write('Device is still bound to driver');
      throw new KernelError(
        'EBUSY',
        'a driver is bound',
        `${device.name} is bound to ${device.driver.name}.`,
        'Unbind the driver first.',
      );
    }
    if (group.domain !== group.defaultDomain)
      throw new KernelError('EBUSY', 'group is in use', `Group ${group.id} is not on its default domain.`);
  }

  private requireUnused(group: Group): void {
    const bound = group.devices.find((device) => device.driver !== undefined && !device.driver.managesDma);
    if (group.ownerCount === 0 && group.devices.length > 0) return;
    throw new KernelError(
      'EPERM',
      'group is in use',
      bound === undefined
        ? `Group ${group.id} is in use.`
        : `Group ${group.id} is in use: ${bound.name} is bound to ${bound.driver?.name}.`,
      'Unbind the drivers of all members first.',
    );
  }

  private typeFor(group: Group, driver: IommuDriver): DefaultDomainType {
    const demanded = this.demandOf(group, driver);
    if (demanded === undefined) return this.systemType;
    if (demanded === 'identity') return 'identity';
    return this.systemType === 'identity' ? 'DMA' : this.systemType;
  }

  /** What members demand; identity wins over DMA where they disagree. */
  private demandOf(group: Group, driver: IommuDriver): 'identity' | 'DMA' | undefined {
    let demanded: 'identity' | 'DMA' | undefined;
    for (const device of group.devices) {
      const type = driver.requiredDomainType(device);
      if (type === undefined || type === demanded) continue;
      if (demanded !== undefined) {
        this.log.write(
          `${device.name}: IOMMU driver error, requesting conflicting def_domain_type, identity and DMA`,
        );
      }
      demanded = demanded === undefined ? type : 'identity';
    }
    return demanded;
  }

  private allocate(group: Group, driver: IommuDriver, type: DefaultDomainType): DriverDomain {
    const [first] = group.devices;
    try {
      return driver.allocate(first, { type });
    } catch (error) {
      if (type !== 'identity' || !(error instanceof KernelError)) throw error;
      this.log.write(
        `Failed to allocate default IOMMU domain of type ${type} for group ${group.id} - Falling back to DMA`,
      );
      return driver.allocate(first, { type: 'DMA' });
    }
  }
}
