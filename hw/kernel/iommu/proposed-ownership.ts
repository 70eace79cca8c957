/**
 * DMA ownership as proposed in December 2021 ("iommu: Add iommu_at[de]tach_device_shared() for multi-device groups", v4
 * and the thread below it): three interfaces on one owner_cnt. What was merged instead is in ownership.ts; both work on
 * the same fields of the group, so that one can be shown beside the other.
 *
 *  1. attach of one device by a driver that leaves the automatic claim on;
 *  2. shared attach: the same domain joins, another one is refused; the driver opted out of the automatic claim;
 *  3. claim of the group by a file, and replacement of its domain, for VFIO alone.
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import { traced } from './call-log.ts';
import type { LinuxIommuCore } from './core.ts';
import type { DriverDomain } from './driver.ts';
import type { Group } from './group.ts';
import { switchGroup } from './group-switch.ts';

/** Who owns a group whose drivers bring domains of their own (DMA_OWNER_PRIVATE_DOMAIN of v4). */
const PRIVATE_OWNER = { name: 'drivers with a private domain' } as const;

export class ProposedOwnership {
  private readonly core: LinuxIommuCore;

  constructor(core: LinuxIommuCore) {
    this.core = core;
  }

  /**
   * iommu_device_set_kernel_dma: the driver's DMA goes through the kernel's DMA API; called by the driver core.
   * @throws KernelError EBUSY: the group is owned, or not on its default domain.
   */
  setKernelDma(device: Device): void {
    this.call('iommu_device_set_kernel_dma', device, () => {
      const group = this.groupOf(device);
      if (!this.mayUseKernelDma(group)) throw refusal(group, device);
      group.ownerCount += 1;
    });
  }

  releaseKernelDma(device: Device): void {
    this.call('iommu_device_release_kernel_dma', device, () => {
      const group = this.groupOf(device);
      if (group.owner !== undefined || group.ownerCount === 0) {
        this.core.log.warn('iommu_device_release_kernel_dma');
        return;
      }
      group.ownerCount -= 1;
    });
  }

  /** iommu_device_query_kernel_dma: can the driver do DMA through the kernel's API only? Little use, said the reply. */
  queryKernelDma(device: Device): boolean {
    const group = this.groupOf(device);
    return group.owner === undefined && !group.hasPrivateDomain;
  }

  /**
   * iommu_device_set_private_dma: the driver wants a domain of its own. The reply did away with it: a driver that has a
   * domain can present it. @throws KernelError EBUSY: kernel drivers or a file own the group.
   */
  setPrivateDma(device: Device): void {
    this.call('iommu_device_set_private_dma', device, () => {
      const group = this.groupOf(device);
      if (group.ownerCount > 0 && group.owner !== PRIVATE_OWNER) throw refusal(group, device);
      group.owner = PRIVATE_OWNER;
      group.ownerCount += 1;
    });
  }

  releasePrivateDma(device: Device): void {
    this.call('iommu_device_release_private_dma', device, () => {
      const group = this.groupOf(device);
      if (group.owner !== PRIVATE_OWNER) {
        this.core.log.warn('iommu_device_release_private_dma');
        return;
      }
      this.drop(group);
    });
  }

  /**
   * Interface 1, iommu_attach_device: the one bound driver, which the driver core claimed the group for, takes over from
   * the default domain.
   * @throws KernelError EINVAL: several devices in the group; EBUSY: more users than this driver, a file owns it, or
   * another domain is attached.
   */
  attachDevice(domain: DriverDomain, device: Device): void {
    this.call('iommu_attach_device', device, () => {
      const group = this.groupOf(device);
      if (group.devices.length !== 1) {
        throw new KernelError(
          'EINVAL',
          'group has more than one device',
          `${device.name} shares group ${group.id}: interface 1 is for groups of one device.`,
          'Use the shared attach.',
        );
      }
      if (group.ownerCount > 1 || group.owner !== undefined || group.hasPrivateDomain)
        throw refusal(group, device);
      switchGroup(group, domain);
    });
  }

  detachDevice(domain: DriverDomain, device: Device): void {
    this.call('iommu_detach_device', device, () => {
      const group = this.groupOf(device);
      if (group.domain === domain && group.defaultDomain !== undefined)
        switchGroup(group, group.defaultDomain);
      else this.core.log.warn('iommu_detach_device');
    });
  }

  /**
   * Interface 2, iommu_attach_device_shared: present the same domain and the device joins the group; present a
   * different one and it is rejected.
   * @throws KernelError EPERM: the group is not in private use; EBUSY: another domain is attached.
   */
  attachDeviceShared(domain: DriverDomain, device: Device): void {
    this.call('iommu_attach_device_shared', device, () => {
      const group = this.groupOf(device);
      if (group.owner === undefined || group.ownerCount === 0) {
        throw new KernelError(
          'EPERM',
          'group not in private use',
          `Group ${group.id} of ${device.name} is not owned for private domains: its driver did not opt out of the automatic claim.`,
          'The driver has to set suppress_auto_claim_dma_owner and claim the group first.',
        );
      }
      if (group.sharedCount > 0) {
        if (group.domain !== domain) {
          throw new KernelError(
            'EBUSY',
            'another domain is shared',
            `Group ${group.id} is shared on ${group.domain?.name ?? 'no domain'}; ${domain.name} is another domain.`,
            'Present the same domain.',
          );
        }
      } else {
        switchGroup(group, domain);
      }
      group.sharedCount += 1;
    });
  }

  /** The last one detaches the group. A mismatch warns. */
  detachDeviceShared(domain: DriverDomain, device: Device): void {
    this.call('iommu_detach_device_shared', device, () => {
      const group = this.groupOf(device);
      if (group.sharedCount === 0 || group.domain !== domain) {
        this.core.log.warn('iommu_detach_device_shared');
        return;
      }
      group.sharedCount -= 1;
      if (group.sharedCount === 0 && group.defaultDomain !== undefined)
        switchGroup(group, group.defaultDomain);
    });
  }

  /**
   * Interface 3, iommu_group_set_dma_owner: works before there is a domain; the owner is a file, and the same file may
   * come again. @throws KernelError EBUSY: another owner, kernel drivers, or a domain that is not the default one.
   */
  setGroupOwner(group: Group, file: object): void {
    traced(
      this.core.trace,
      'kernel/iommu',
      'iommu_group_set_dma_owner',
      () => ({ group: group.id }),
      () => {
        if (group.ownerCount > 0) {
          if (group.owner !== file) throw refusal(group, group.devices[0]);
          group.ownerCount += 1;
          return;
        }
        if (group.hasPrivateDomain) throw refusal(group, group.devices[0]);
        this.block(group);
        group.owner = file;
        group.ownerCount = 1;
      },
    );
  }

  /** iommu_group_release_dma_owner. */
  releaseGroupOwner(group: Group): void {
    traced(
      this.core.trace,
      'kernel/iommu',
      'iommu_group_release_dma_owner',
      () => ({ group: group.id }),
      () => {
        if (group.owner === undefined) this.core.log.warn('iommu_group_release_dma_owner');
        else this.drop(group);
      },
    );
  }

  /**
   * iommu_replace_group_domain: from `from` to `to`; `to` undefined: to nothing. Never falls back to the default domain,
   * so that no DMA gets through in between.
   * @throws KernelError EPERM: nobody owns the group; EINVAL: `from` is not what it is on.
   */
  replaceGroupDomain(group: Group, from: DriverDomain | undefined, to: DriverDomain | undefined): void {
    const args = () => ({ group: group.id, from: from?.name ?? null, to: to?.name ?? null });
    traced(this.core.trace, 'kernel/iommu', 'iommu_replace_group_domain', args, () => {
      if (group.owner === undefined) {
        throw new KernelError(
          'EPERM',
          'group without owner',
          `Nobody owns group ${group.id}.`,
          'Claim it first.',
        );
      }
      const current = group.hasPrivateDomain ? group.domain : undefined;
      if (current !== from) {
        throw new KernelError(
          'EINVAL',
          'not the present domain',
          `Group ${group.id} is on ${current?.name ?? 'no domain'}, not on ${from?.name ?? 'no domain'}.`,
        );
      }
      if (to === undefined) this.block(group);
      else switchGroup(group, to);
    });
  }

  private mayUseKernelDma(group: Group): boolean {
    return group.owner === undefined && group.domain === group.defaultDomain;
  }

  /** All members off the default domain, onto one that maps nothing. */
  private block(group: Group): void {
    const { driver } = group;
    if (driver === undefined || group.devices.length === 0) return;
    group.blockingDomain ??=
      driver.blockingDomain ?? driver.allocate(group.devices[0], { type: 'unmanaged' });
    switchGroup(group, group.blockingDomain);
  }

  private drop(group: Group): void {
    group.ownerCount -= 1;
    if (group.ownerCount > 0) return;
    group.owner = undefined;
    group.sharedCount = 0;
    if (group.defaultDomain !== undefined) switchGroup(group, group.defaultDomain);
  }

  private groupOf(device: Device): Group {
    const group = this.core.groupOf(device);
    if (group !== undefined) return group;
    throw new KernelError('ENODEV', 'device without group', `${device.name} is in no IOMMU group.`);
  }

  private call(name: string, device: Device, body: () => void): void {
    traced(this.core.trace, 'kernel/iommu', name, () => ({ device: device.name }), body);
  }
}

function refusal(group: Group, device: Device): KernelError {
  const why =
    group.owner !== undefined
      ? 'somebody owns it'
      : group.hasPrivateDomain
        ? `a driver has put it on ${group.domain?.name}`
        : `${group.ownerCount} kernel driver${group.ownerCount === 1 ? '' : 's'} use${group.ownerCount === 1 ? 's' : ''} it`;
  return new KernelError(
    'EBUSY',
    'group in other use',
    `Group ${group.id} of ${device.name} is not free: ${why}.`,
    'Release the group, or unbind the drivers of its devices.',
  );
}
