/** Domains on PASIDs chosen by the caller (iommu_attach_device_pasid and what belongs to it, 6.x on). */
import { KernelError } from '../errno.ts';
import type { KernelProfile } from '../profile.ts';
import type { DriverDomain, IommuDriver } from './driver.ts';
import type { Group } from './group.ts';

/** IOMMU_NO_PASID. */
const NO_PASID = 0;

export class PasidAttach {
  private readonly profile: KernelProfile;

  constructor(profile: KernelProfile) {
    this.profile = profile;
  }

  /**
   * In a group without any member that can tag requests this succeeds too, and changes nothing in hardware.
   * @throws KernelError EOPNOTSUPP: the kernel or the driver has no such thing; EINVAL: PASID 0, beyond a member's width, a domain of
   * another driver or no paging domain; EBUSY: taken, or a member is under reset.
   */
  attach(domain: DriverDomain, group: Group, pasid: number, handle?: object): void {
    const driver = this.check(domain, group, pasid);
    requireWidth(group, driver, pasid);
    if (group.pasidAttachments.has(pasid)) {
      throw new KernelError(
        'EBUSY',
        'PASID in use',
        `PASID ${pasid} of group ${group.id} is attached to ${group.pasidAttachments.get(pasid)?.domain.name}.`,
        'Detach it, or take another PASID.',
      );
    }
    this.onEveryMember(group, driver, domain, pasid, undefined);
    group.pasidAttachments.set(pasid, { domain, handle, since: group.acts.current });
  }

  /** @throws KernelError EINVAL: nothing attached, no handle, or the very same one; else as `attach`. */
  replace(domain: DriverDomain, group: Group, pasid: number, handle?: object): void {
    const driver = this.check(domain, group, pasid);
    const current = group.pasidAttachments.get(pasid);
    if (current === undefined || handle === undefined || current.handle === handle) {
      throw new KernelError(
        'EINVAL',
        current === undefined ? 'PASID not attached' : 'replace needs a new handle',
        current === undefined
          ? `PASID ${pasid} of group ${group.id} is attached to nothing that could be replaced.`
          : `The attachment of PASID ${pasid} can only be replaced under another handle.`,
      );
    }
    if (current.domain !== domain) this.onEveryMember(group, driver, domain, pasid, current.domain);
    group.pasidAttachments.set(pasid, { domain, handle, since: group.acts.current });
  }

  detach(group: Group, pasid: number): void {
    const attached = group.pasidAttachments.get(pasid);
    if (attached === undefined) return;
    const { driver } = attached.domain;
    for (const device of group.devices) {
      if (driver.maximumPasids(device) > 0) driver.detachPasid(attached.domain, device, pasid);
    }
    group.pasidAttachments.delete(pasid);
  }

  private check(domain: DriverDomain, group: Group, pasid: number): IommuDriver {
    const { driver } = group;
    if (driver === undefined) {
      throw new KernelError('ENODEV', 'device without IOMMU', `Group ${group.id} has no IOMMU.`);
    }
    if (!this.profile.pasidAttach) {
      throw new KernelError(
        'EOPNOTSUPP',
        'no PASID attach in this kernel',
        'This kernel does not let a caller attach a domain to a PASID.',
        this.profile.auxiliaryDomains ? 'Auxiliary domains take its place.' : 'Profile 7.2 does.',
      );
    }
    if (!driver.attachesPasids) {
      throw new KernelError(
        'EOPNOTSUPP',
        'no PASID support',
        `The driver ${driver.name} of group ${group.id} attaches no domains to PASIDs.`,
      );
    }
    if (domain.driver !== driver || pasid === NO_PASID) {
      throw new KernelError(
        'EINVAL',
        pasid === NO_PASID ? 'PASID 0' : 'domain of another driver',
        pasid === NO_PASID
          ? 'PASID 0 stands for requests without PASID.'
          : `${domain.name} was not made by the driver that serves group ${group.id}.`,
      );
    }
    if (group.recoveryCount > 0) {
      throw new KernelError(
        'EBUSY',
        'a member is under reset',
        `A device of group ${group.id} is being reset.`,
      );
    }
    return driver;
  }

  /** Members that can't issue PASIDs are skipped; when one fails, those before it get back what they had. */
  private onEveryMember(
    group: Group,
    driver: IommuDriver,
    domain: DriverDomain,
    pasid: number,
    old: DriverDomain | undefined,
  ): void {
    const able = group.devices.filter((device) => driver.maximumPasids(device) > 0);
    if (able.length > 0) requirePaging(domain);
    for (const [index, device] of able.entries()) {
      try {
        driver.attachPasid(domain, device, pasid, old);
      } catch (error) {
        for (const done of able.slice(0, index)) {
          if (old === undefined) driver.detachPasid(domain, done, pasid);
          else driver.attachPasid(old, done, pasid, domain);
        }
        throw error;
      }
    }
  }
}

/** Every member that can tag requests must be able to with this number. @throws KernelError EINVAL */
function requireWidth(group: Group, driver: IommuDriver, pasid: number): void {
  for (const device of group.devices) {
    const most = driver.maximumPasids(device);
    if (most === 0 || pasid < most) continue;
    throw new KernelError(
      'EINVAL',
      'PASID beyond the device',
      `${device.name} has PASIDs below ${most}; ${pasid} is beyond.`,
    );
  }
}

/** @throws KernelError EINVAL */
function requirePaging(domain: DriverDomain): void {
  if (domain.type !== 'identity' && domain.type !== 'blocked') return;
  throw new KernelError(
    'EINVAL',
    'no paging domain',
    `${domain.name} (${domain.type}) can't be attached to a PASID.`,
  );
}
