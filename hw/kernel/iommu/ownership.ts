/**
 * DMA ownership of groups: kernel drivers that use the DMA API, or one owner with a domain of its own, never both. All
 * of it rests on owner_cnt and owner (iommu.c, "DMA ownership").
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { KernelProfile } from '../profile.ts';
import type { DriverDomain, IommuDriver } from './driver.ts';
import type { Group } from './group.ts';
import { switchGroup } from './group-switch.ts';

export class Ownership {
  private readonly profile: KernelProfile;
  private readonly log: KernelLog;

  constructor(profile: KernelProfile, log: KernelLog) {
    this.profile = profile;
    this.log = log;
  }

  /** False in 5.15: there, VFIO alone looks whether a group is fit (viable). */
  get exists(): boolean {
    return this.profile.dmaOwnership !== 'viability';
  }

  /**
   * iommu_device_use_default_domain: a driver that does DMA through the kernel's API is about to be bound.
   * @throws KernelError EBUSY: the group has an owner, or a domain that is not the default one; EPROBE_DEFER.
   */
  useDefault(group: Group, device: Device): void {
    if (!this.exists) return;
    if (
      this.profile.deferUntilDefaultDomain &&
      group.defaultDomain === undefined &&
      group.driver !== undefined
    ) {
      throw new KernelError(
        'EPROBE_DEFER',
        'no default domain yet',
        `Group ${group.id} has no default domain yet.`,
      );
    }
    if (
      group.ownerCount > 0 &&
      (group.owner !== undefined || !this.onDefault(group) || group.pasidAttachments.size > 0)
    ) {
      throw new KernelError(
        'EBUSY',
        group.owner !== undefined ? 'group is claimed' : 'group is on a private domain',
        group.owner !== undefined
          ? `Group ${group.id} of ${device.name} is claimed by ${ownerName(group)}: no kernel driver can be bound to any of its devices.`
          : `Group ${group.id} of ${device.name} is on ${group.domain?.name ?? 'no domain'}, which a driver attached.`,
        `Release the other devices of group ${group.id} first.`,
      );
    }
    group.ownerCount += 1;
  }

  unuseDefault(group: Group): void {
    if (!this.exists) return;
    if (group.ownerCount === 0 || group.pasidAttachments.size > 0) {
      this.log.warn('iommu_device_unuse_default_domain');
      if (group.ownerCount === 0) return;
    }
    group.ownerCount -= 1;
  }

  /**
   * iommu_group_claim_dma_owner: one owner for the whole group, once.
   * @throws KernelError EPERM: kernel drivers use it, or somebody (the caller too) owns it; EBUSY: a driver's own
   * domain or PASIDs are attached; EINVAL: a member must keep its direct mappings.
   */
  claimGroup(group: Group, owner: object | null): void {
    this.requireExistence(group);
    if (owner === null && this.profile.claimNeedsOwner) {
      this.log.warn('iommu_group_claim_dma_owner');
      throw new KernelError('EINVAL', 'claim without owner', 'A claim needs an owner.');
    }
    if (group.ownerCount > 0) throw this.refusedClaim(group);
    this.take(group, owner ?? undefined);
  }

  releaseGroup(group: Group): void {
    if (!this.exists) return;
    if (group.ownerCount === 0 || group.owner === undefined || group.pasidAttachments.size > 0) {
      this.log.warn('__iommu_release_dma_ownership');
      return;
    }
    this.giveBack(group);
  }

  /**
   * iommu_device_claim_dma_owner (6.2 on): as a claim of the group, but the same owner may come again, for each device.
   * @throws KernelError as `claimGroup`.
   */
  claimDevice(group: Group, owner: object): void {
    this.requireExistence(group);
    if (group.ownerCount > 0) {
      if (group.owner !== owner) throw this.refusedClaim(group);
      group.ownerCount += 1;
      return;
    }
    this.take(group, owner);
  }

  releaseDevice(group: Group): void {
    if (!this.exists) return;
    if (group.ownerCount > 1) {
      group.ownerCount -= 1;
      return;
    }
    this.releaseGroup(group);
  }

  /** @throws KernelError EINVAL: a device that needs its direct mappings can't join a blocked group. */
  requireDirect(group: Group, driver: IommuDriver, device: Device, domain: DriverDomain): void {
    if (domain !== group.blockingDomain || !driver.refusesBlockingDirect || !driver.requiresDirect(device))
      return;
    throw new KernelError(
      'EINVAL',
      'device needs a 1:1 mapping',
      `${device.name} must keep a 1:1 mapping (RMRR), but group ${group.id} is blocked.`,
    );
  }

  private onDefault(group: Group): boolean {
    if (group.domain === group.defaultDomain) return true;
    return (
      this.profile.identityStandsForIdentity &&
      group.domain?.type === 'identity' &&
      group.defaultDomain?.type === 'identity'
    );
  }

  /** __iommu_take_dma_ownership. */
  private take(group: Group, owner: object | undefined): void {
    if (
      (group.domain !== undefined && group.domain !== group.defaultDomain) ||
      group.pasidAttachments.size > 0
    ) {
      throw new KernelError(
        'EBUSY',
        group.pasidAttachments.size > 0 ? 'PASIDs are attached' : 'a private domain is attached',
        `Group ${group.id} can't be claimed: ${group.pasidAttachments.size > 0 ? `${group.pasidAttachments.size} of its PASIDs are attached` : `it is on ${group.domain?.name}`}.`,
        'Detach what is attached first.',
      );
    }
    const blocking = group.blockingDomain ?? this.makeBlocking(group);
    if (blocking !== undefined) switchGroup(group, blocking);
    group.owner = owner;
    group.ownerCount = 1;
  }

  /** The driver's static domain, or an empty one of the group's own that it keeps. */
  private makeBlocking(group: Group): DriverDomain | undefined {
    const { driver } = group;
    if (driver === undefined || group.devices.length === 0) return undefined;
    group.blockingDomain = driver.blockingDomain ?? driver.allocate(group.devices[0], { type: 'unmanaged' });
    return group.blockingDomain;
  }

  private giveBack(group: Group): void {
    group.ownerCount = 0;
    group.owner = undefined;
    if (group.defaultDomain !== undefined) switchGroup(group, group.defaultDomain);
  }

  private refusedClaim(group: Group): KernelError {
    if (group.owner === undefined) {
      const bound = group.devices.filter(
        (device) => device.driver !== undefined && !device.driver.managesDma,
      );
      const names = bound.map((device) => `${device.name} (${device.driver?.name})`).join(', ');
      return new KernelError(
        'EPERM',
        'kernel drivers use the group',
        `Group ${group.id} can't be claimed while kernel drivers do DMA in it${names === '' ? '' : `: ${names}`}.`,
        'Unbind these drivers first; what they serve stops.',
      );
    }
    return new KernelError(
      'EPERM',
      'group is claimed',
      `Group ${group.id} is claimed already, by ${ownerName(group)}.`,
      'Release it there first.',
    );
  }

  private requireExistence(group: Group): void {
    if (this.exists) return;
    throw new KernelError(
      'EOPNOTSUPP',
      'no DMA ownership in this kernel',
      `This kernel has no owner of group ${group.id}: VFIO only looks whether the bound drivers are fit (viable).`,
      'Kernels from 5.18 on have it (profiles 6.1 and 7.2).',
    );
  }
}

/** An owner as people read it: whatever object claimed has a name or is "an owner". */
export function ownerName(group: Group): string {
  const { owner } = group;
  if (owner === undefined) return 'kernel drivers';
  return 'name' in owner && typeof owner.name === 'string' ? owner.name : 'another owner';
}
