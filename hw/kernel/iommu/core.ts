/**
 * The IOMMU core (drivers/iommu/iommu.c): groups as objects, which domain a group is on, and who may change that. The
 * rules of ownership are in ownership.ts, those of PASIDs in pasid-attach.ts, default domains in default-domain.ts.
 */
import type { Trace } from '../../trace.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import { LowestFree } from '../lowest-free.ts';
import type { KernelProfile } from '../profile.ts';
import { ActMarker } from './acts.ts';
import { type CallArgument, traced } from './call-log.ts';
import { DefaultDomains, type DefaultDomainType } from './default-domain.ts';
import type { DomainOptions, DriverDomain, IommuDriver } from './driver.ts';
import { Group } from './group.ts';
import { switchGroup } from './group-switch.ts';
import { mergeReservedRegions } from './grouping-reserved.ts';
import { Ownership } from './ownership.ts';
import { PasidAttach } from './pasid-attach.ts';
import type { IommuCore, IommuDomain, IommuGroup, ReservedRegion } from './types.ts';

/** Groups a machine can have (the kernel's limit is that of an int). */
const MOST_GROUPS = 2 ** 20;

export interface CoreOptions {
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log: KernelLog;
  /** iommu.passthrough, iommu.strict: the type groups get when no member demands another. */
  readonly defaultType?: DefaultDomainType;
  /** MSIs of all devices are remapped by the hardware. */
  readonly interruptRemapping?: boolean;
}

export class LinuxIommuCore implements IommuCore {
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log: KernelLog;
  readonly ownership: Ownership;
  readonly pasidAttach: PasidAttach;
  readonly defaultDomains: DefaultDomains;
  /** Tells since which act things are as they are. */
  readonly acts = new ActMarker();
  private readonly isolatedMsi: boolean;
  private readonly byId = new Map<number, Group>();
  private readonly ids = new LowestFree(0, MOST_GROUPS);
  private readonly byDevice = new Map<Device, Group>();

  constructor(options: CoreOptions) {
    this.profile = options.profile;
    this.trace = options.trace;
    this.log = options.log;
    this.isolatedMsi = options.interruptRemapping ?? false;
    this.ownership = new Ownership(this.profile, this.log);
    this.pasidAttach = new PasidAttach(this.profile);
    this.defaultDomains = new DefaultDomains(this.profile, options.defaultType ?? 'DMA-FQ', this.log);
  }

  get groups(): readonly Group[] {
    return [...this.byId.values()].sort((a, b) => a.id - b.id);
  }

  groupOf(device: Device): Group | undefined {
    return this.byDevice.get(device);
  }

  allocateGroup(name?: string): Group {
    const id = this.ids.takeLowest();
    if (id === undefined)
      throw new KernelError('ENOMEM', 'group numbers used up', 'No group number is left.');
    const group = new Group(id, this.acts, name);
    this.byId.set(id, group);
    return group;
  }

  /** Frees an empty group that nobody holds any more. */
  dropGroup(group: Group): void {
    if (group.devices.length > 0 || this.byId.get(group.id) !== group) return;
    this.byId.delete(group.id);
    this.ids.give(group.id);
  }

  addDevice(group: IommuGroup, device: Device): void {
    const own = this.own(group);
    if (this.byDevice.has(device)) {
      throw new KernelError(
        'EBUSY',
        'device in a group',
        `${device.name} is in group ${this.byDevice.get(device)?.id} already.`,
      );
    }
    own.devices.push(device);
    this.byDevice.set(device, own);
  }

  removeDevice(device: Device): void {
    const group = this.byDevice.get(device);
    if (group === undefined) return;
    group.driver?.release(device);
    this.byDevice.delete(device);
    group.devices.splice(group.devices.indexOf(device), 1);
    if (group.devices.length === 0) this.retire(group);
  }

  /**
   * iommu_probe_device: the driver takes the device on, it joins a group (a new one when `join` is undefined) and comes
   * onto the group's current domain: the default one, or the user's or blocking one of a claimed group.
   * @throws KernelError ENODEV: no unit; EINVAL: it does not fit the group. Nothing stays then.
   */
  probeDevice(device: Device, driver: IommuDriver, join: IommuGroup | undefined): Group {
    return this.call('iommu_probe_device', { device: device.name, group: join?.id ?? 'new' }, () => {
      driver.probe(device);
      const group = join === undefined ? this.allocateGroup() : this.own(join);
      try {
        this.addDevice(group, device);
        group.driver = driver;
        if (group.domain === undefined) this.defaultDomains.setUp(group, driver);
        else {
          this.defaultDomains.mapDirect(group, driver, device);
          this.ownership.requireDirect(group, driver, device, group.domain);
          driver.attach(group.domain, device);
        }
      } catch (error) {
        this.removeDevice(device);
        if (join === undefined) this.dropGroup(group);
        throw error;
      }
      driver.finalize(device);
      return group;
    });
  }

  allocateDomain(device: Device, options: DomainOptions = {}): DriverDomain {
    return this.call('iommu_domain_alloc', { device: device.name, type: options.type ?? 'unmanaged' }, () => {
      const driver = this.byDevice.get(device)?.driver;
      if (driver === undefined) {
        throw new KernelError('ENODEV', 'device without IOMMU', `No IOMMU translates for ${device.name}.`);
      }
      return driver.allocate(device, options);
    });
  }

  attachGroup(domain: IommuDomain, group: IommuGroup): void {
    this.call('iommu_attach_group', { domain: domain.name, group: group.id }, () =>
      this.attach(domain, this.own(group)),
    );
  }

  detachGroup(domain: IommuDomain, group: IommuGroup): void {
    this.call('iommu_detach_group', { domain: domain.name, group: group.id }, () =>
      this.detach(this.own(group)),
    );
  }

  attachDevice(domain: IommuDomain, device: Device): void {
    this.call('iommu_attach_device', { domain: domain.name, device: device.name }, () => {
      const group = this.groupFor(device);
      if (group.devices.length !== 1) {
        throw new KernelError(
          'EINVAL',
          'group has more than one device',
          `${device.name} shares group ${group.id} with ${group.devices.length - 1} other device${group.devices.length === 2 ? '' : 's'}: a domain can be attached to the whole group only.`,
          'Attach the domain to the group.',
        );
      }
      this.attach(domain, group);
    });
  }

  detachDevice(domain: IommuDomain, device: Device): void {
    this.call('iommu_detach_device', { domain: domain.name, device: device.name }, () => {
      const group = this.groupFor(device);
      if (group.devices.length !== 1) {
        this.log.warn('iommu_detach_device');
        return;
      }
      this.detach(group);
    });
  }

  attachDevicePasid(domain: IommuDomain, device: Device, pasid: number, handle?: object): void {
    this.call('iommu_attach_device_pasid', { domain: domain.name, device: device.name, pasid }, () =>
      this.pasidAttach.attach(this.driverDomain(domain), this.groupFor(device), pasid, handle),
    );
  }

  /** iommu_replace_device_pasid: another domain for a PASID that has one. */
  replaceDevicePasid(domain: IommuDomain, device: Device, pasid: number, handle?: object): void {
    this.call('iommu_replace_device_pasid', { domain: domain.name, device: device.name, pasid }, () =>
      this.pasidAttach.replace(this.driverDomain(domain), this.groupFor(device), pasid, handle),
    );
  }

  detachDevicePasid(domain: IommuDomain, device: Device, pasid: number): void {
    this.call('iommu_detach_device_pasid', { domain: domain.name, device: device.name, pasid }, () =>
      this.pasidAttach.detach(this.groupFor(device), pasid),
    );
  }

  domainForDevice(device: Device): DriverDomain | undefined {
    return this.byDevice.get(device)?.domain;
  }

  /** Replaces what the group is on by another domain (or the blocking one), whatever it was: iommufd's replace. */
  replaceGroupDomain(group: IommuGroup, domain: IommuDomain): void {
    this.call('iommu_group_replace_domain', { domain: domain.name, group: group.id }, () =>
      switchGroup(this.own(group), this.driverDomain(domain)),
    );
  }

  useDefaultDomain(device: Device): void {
    this.call('iommu_device_use_default_domain', { device: device.name }, () => {
      const group = this.byDevice.get(device);
      if (group !== undefined) this.ownership.useDefault(group, device);
    });
  }

  unuseDefaultDomain(device: Device): void {
    this.call('iommu_device_unuse_default_domain', { device: device.name }, () => {
      const group = this.byDevice.get(device);
      if (group !== undefined) this.ownership.unuseDefault(group);
    });
  }

  claimGroup(group: IommuGroup, owner: object): void {
    this.call('iommu_group_claim_dma_owner', { group: group.id }, () =>
      this.ownership.claimGroup(this.own(group), owner),
    );
  }

  releaseGroup(group: IommuGroup): void {
    this.call('iommu_group_release_dma_owner', { group: group.id }, () =>
      this.ownership.releaseGroup(this.own(group)),
    );
  }

  claimDevice(device: Device, owner: object): void {
    this.call('iommu_device_claim_dma_owner', { device: device.name }, () =>
      this.ownership.claimDevice(this.groupFor(device), owner),
    );
  }

  releaseDevice(device: Device): void {
    this.call('iommu_device_release_dma_owner', { device: device.name }, () =>
      this.ownership.releaseDevice(this.groupFor(device)),
    );
  }

  dmaOwnerClaimed(group: IommuGroup): boolean {
    return group.ownerCount !== 0;
  }

  reservedRegions(group: IommuGroup): ReservedRegion[] {
    const { driver } = this.own(group);
    if (driver === undefined) return [];
    return mergeReservedRegions(group.devices.flatMap((device) => driver.reservedRegions(device)));
  }

  hasIsolatedMsi(group: IommuGroup): boolean {
    return group.devices.length > 0 && this.isolatedMsi;
  }

  setDefaultType(group: IommuGroup, type: string): void {
    this.call('iommu_group_store_type', { group: group.id, type }, () =>
      this.defaultDomains.change(this.own(group), type),
    );
  }

  private attach(domain: IommuDomain, group: Group): void {
    const own = this.driverDomain(domain);
    const blocking = this.profile.dmaOwnership === 'viability' ? undefined : group.blockingDomain;
    if (group.domain !== undefined && group.domain !== group.defaultDomain && group.domain !== blocking) {
      throw new KernelError(
        'EBUSY',
        'another domain is attached',
        `Group ${group.id} is on ${group.domain.name} already.`,
        'Detach that domain first.',
      );
    }
    if (group.driver !== own.driver) {
      throw new KernelError(
        'EINVAL',
        'domain of another driver',
        `${own.name} was not made by the driver that serves group ${group.id}.`,
      );
    }
    if (group.domain === own && this.profile.attachRepeats) {
      for (const device of group.devices) own.driver.attach(own, device);
      return;
    }
    switchGroup(group, own, this.profile.revertsFailedSwitch);
  }

  /** Back to the default domain, or to the blocking one while somebody owns the group. */
  private detach(group: Group): void {
    const target = group.owner !== undefined ? group.blockingDomain : group.defaultDomain;
    if (target !== undefined) {
      if (target !== group.domain) switchGroup(group, target);
      return;
    }
    const { domain } = group;
    if (domain !== undefined) for (const device of group.devices) domain.driver.detach(domain, device);
    group.domain = undefined;
  }

  private retire(group: Group): void {
    const { defaultDomain, blockingDomain } = group;
    group.domain = undefined;
    if (defaultDomain?.type !== 'identity') defaultDomain?.free();
    if (blockingDomain !== undefined && blockingDomain !== group.driver?.blockingDomain)
      blockingDomain.free();
    group.defaultDomain = undefined;
    group.blockingDomain = undefined;
    if (group.ownerCount === 0) this.dropGroup(group);
  }

  private groupFor(device: Device): Group {
    const group = this.byDevice.get(device);
    if (group === undefined) {
      throw new KernelError('ENODEV', 'device without group', `${device.name} is in no IOMMU group.`);
    }
    return group;
  }

  private own(group: IommuGroup): Group {
    return group as Group;
  }

  private driverDomain(domain: IommuDomain): DriverDomain {
    if ('driver' in domain) return domain as DriverDomain;
    throw new KernelError('EINVAL', 'domain of no driver', `${domain.name} belongs to no IOMMU driver.`);
  }

  private call<Result>(name: string, args: Record<string, CallArgument>, body: () => Result): Result {
    return traced(this.trace, 'kernel/iommu', name, () => args, body);
  }
}
