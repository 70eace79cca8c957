/**
 * Auxiliary mode of 5.15 (the v4 series of November 2018 as merged): a device isolated by (RID, PASID). Each domain has
 * one PASID of its own, the same on every device; each (domain, device) pair counts its users. The order of steps, the
 * errors and the defects are those of intel/iommu.c of 5.15.85; the defects are the quirks of the profile.
 */

import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { Act, ActMarker } from '../iommu/acts.ts';
import { traced } from '../iommu/call-log.ts';
import type { PasidSpace } from '../iommu/pasid-space.ts';
import type { AuxiliaryDomains, IommuDomain } from '../iommu/types.ts';
import { LegacyAttachment } from './attach-legacy.ts';
import { maximumPasids, pasidFeatures } from './device-features.ts';
import type { AuxiliaryRecord, DeviceInfo } from './device-info.ts';
import { IntelDomain } from './domain.ts';
import type { IntelDriver } from './driver.ts';

/** Scalable I/O virtualisation: DVSEC of vendor 8086h, id 5. */
const SIOV = { vendor: 0x8086, id: 5 } as const;

export class IntelAuxiliaryDomains implements AuxiliaryDomains {
  private readonly driver: IntelDriver;
  private readonly pasids: PasidSpace;
  private readonly acts: ActMarker | undefined;

  /** @param acts Since when attachments are there. */
  constructor(driver: IntelDriver, pasids: PasidSpace, acts?: ActMarker) {
    this.acts = acts;
    this.driver = driver;
    this.pasids = pasids;
  }

  /** The driver's own query: asks for more than `enableFeature` does (the DVSEC). */
  hasFeature(device: Device): boolean {
    const { pci } = device;
    if (pci === undefined || !this.driver.allPasid) return false;
    return pasidFeatures(pci) !== undefined && pci.dvsec(SIOV.vendor, SIOV.id) !== undefined;
  }

  /**
   * intel_iommu_enable_auxd. Twice is fine.
   * @throws KernelError EINVAL: no unit, or one without scalable mode or PASIDs; ENODEV: the device has no domain or
   * no PASIDs.
   */
  enableFeature(device: Device): void {
    this.call('iommu_dev_enable_feature', device, undefined, () => {
      if (this.driver.infoOf(device) === undefined) throw noDriver('ENODEV', device);
      const unit = this.driver.unitOf(device);
      if (unit === undefined || !unit.pasidSupported) {
        throw new KernelError(
          'EINVAL',
          'unit without scalable mode or PASIDs',
          unit === undefined
            ? `No unit translates for ${device.name}.`
            : `${unit.name} behind ${device.name} ${unit.scalable ? 'takes no requests with PASID (ECAP.PASID)' : 'is not in scalable mode'}.`,
          'Boot with intel_iommu=on,sm_on on a unit that has ECAP.SMTS and ECAP.PASID.',
        );
      }
      const info = this.infoFor(device);
      this.legacy.enablePasids(info);
      if (device.pci?.dvsec(SIOV.vendor, SIOV.id) === undefined) {
        this.driver.quirks.show('aux-enable-ignores-dvsec', `${device.name} has no SIOV DVSEC`);
      }
      info.auxiliary = true;
    });
  }

  /** Only clears the flag: what is attached stays, and its detach is ignored from now on. @throws KernelError EBUSY. */
  disableFeature(device: Device): void {
    this.call('iommu_dev_disable_feature', device, undefined, () => {
      if (this.driver.infoOf(device) === undefined) throw noDriver('EBUSY', device);
      const info = this.infoFor(device);
      if (info.domain === undefined) this.driver.log.warn('intel_iommu_disable_auxd');
      for (const { domain } of info.auxiliaryRecords) {
        this.driver.quirks.show(
          'aux-disable-leak',
          `PASID ${domain.defaultPasid} of ${device.name} stays on ${domain.name}`,
        );
      }
      info.auxiliary = false;
    });
  }

  featureEnabled(device: Device): boolean {
    return this.driver.allScalable && this.driver.infoOf(device)?.auxiliary === true;
  }

  /**
   * intel_iommu_aux_attach_device.
   * @throws KernelError EPERM: not in auxiliary mode, or no user's domain; EFAULT: mapped beyond the unit's width;
   * ENODEV: no PASID left; ENOSPC: no domain id; EBUSY: the PASID has an entry; EINVAL: first level without SRS.
   */
  attach(domain: IommuDomain, device: Device): void {
    this.call('iommu_aux_attach_device', device, domain, () => {
      const own = this.ownDomain(domain);
      const info = this.driver.infoOf(device);
      if (info === undefined || !this.isPair(info, own)) {
        throw new KernelError(
          'EPERM',
          info?.auxiliary === true ? 'not a domain of a user' : 'device not in auxiliary mode',
          info?.auxiliary === true
            ? `${own.name} is of type ${own.type}; only unmanaged domains are attached in auxiliary mode.`
            : `${device.name} is not in auxiliary mode.`,
          info?.auxiliary === true ? undefined : 'Switch auxiliary mode on first.',
        );
      }
      this.legacy.prepare(info, own);
      this.addDevice(info, own);
    });
  }

  /** intel_iommu_aux_detach_device. Silent when the pair is none (mode off, wrong type). */
  detach(domain: IommuDomain, device: Device): void {
    this.call('iommu_aux_detach_device', device, domain, () => {
      const own = this.ownDomain(domain);
      const info = this.driver.infoOf(device);
      if (info === undefined || !this.isPair(info, own)) return;
      const record = recordOf(own, info);
      if (record === undefined) {
        this.driver.log.warn('auxiliary_unlink_device');
        this.driver.quirks.show('aux-detach-underflow', `${own.name} was not attached to ${device.name}`);
      } else {
        record.users -= 1;
        if (record.users === 0) {
          unlink(record);
          this.driver.entries.tearDownPasid(info, own.defaultPasid);
          this.legacy.leaveUnit(own, info.unit);
        }
      }
      this.putPasidOfUnattached(own);
    });
  }

  pasidOf(domain: IommuDomain, _device: Device): number {
    const own = this.ownDomain(domain);
    if (own.defaultPasid > 0) return own.defaultPasid;
    throw new KernelError(
      'EINVAL',
      'domain without PASID',
      `${own.name} has no default PASID: it was never attached in auxiliary mode.`,
    );
  }

  /** Users of the pair; 0: not attached. */
  usersOf(domain: IommuDomain, device: Device): number {
    const info = this.driver.infoOf(device);
    return info === undefined ? 0 : (recordOf(this.ownDomain(domain), info)?.users ?? 0);
  }

  /** aux_domain_add_dev. */
  private addDevice(info: DeviceInfo, domain: IntelDomain): void {
    if (domain.defaultPasid === 0) {
      const most = info.pci === undefined ? 0 : maximumPasids(info.pci);
      const pasid = this.pasids.allocate(most - 1);
      if (pasid === undefined) {
        this.driver.log.write("DMAR: Can't allocate default pasid");
        throw new KernelError(
          'ENODEV',
          'PASIDs used up',
          `No PASID below ${most} is free for ${info.device.name}.`,
          'Remove a mediated device, or use a parent with more PASIDs.',
        );
      }
      if (pasid >= this.driver.maximumPasid) {
        this.driver.quirks.show(
          'pasid-device-limit-only',
          `PASID ${pasid} is beyond the ${this.driver.maximumPasid} of the units`,
        );
      }
      domain.defaultPasid = pasid;
    } else if (domain.auxiliaryRecords.length === 0) {
      this.driver.quirks.show(
        'aux-stale-pasid',
        `${domain.name} takes PASID ${domain.defaultPasid} again without allocating it`,
      );
    }
    const record = recordOf(domain, info) ?? link(domain, info, this.acts?.current);
    record.users += 1;
    if (record.users > 1) return;
    try {
      this.legacy.useUnit(domain, info.unit);
      try {
        this.driver.entries.setPasid(info, domain, domain.defaultPasid);
      } catch (error) {
        this.legacy.leaveUnit(domain, info.unit);
        throw error;
      }
    } catch (error) {
      record.users = 0;
      unlink(record);
      this.putPasidOfUnattached(domain);
      throw error;
    }
  }

  /** The number goes back, but the domain keeps it written down: a later attach takes it for its own. */
  private putPasidOfUnattached(domain: IntelDomain): void {
    if (domain.auxiliaryRecords.length === 0 && domain.defaultPasid > 0) this.pasids.put(domain.defaultPasid);
  }

  /** is_aux_domain. */
  private isPair(info: DeviceInfo | undefined, domain: IntelDomain): boolean {
    return info?.auxiliary === true && domain.type === 'unmanaged';
  }

  private get legacy(): LegacyAttachment {
    const { attachment } = this.driver;
    if (attachment instanceof LegacyAttachment && this.driver.profile.auxiliaryDomains) return attachment;
    throw new KernelError(
      'ENODEV',
      'no auxiliary domains in this kernel',
      `Kernel ${this.driver.profile.version} has no auxiliary domains.`,
      this.driver.profile.pasidAttach
        ? 'Attach a domain to a PASID instead (iommu_attach_device_pasid).'
        : 'They live in kernels 5.2 to 5.15.',
    );
  }

  private infoFor(device: Device): DeviceInfo {
    const info = this.driver.infoOf(device);
    if (info === undefined) throw noDriver('ENODEV', device);
    return info;
  }

  private ownDomain(domain: IommuDomain): IntelDomain {
    if (domain instanceof IntelDomain) return domain;
    throw new KernelError(
      'ENODEV',
      'domain without auxiliary operations',
      `${domain.name} has no auxiliary operations.`,
    );
  }

  private call(name: string, device: Device, domain: IommuDomain | undefined, body: () => void): void {
    const args = () => ({ ...(domain === undefined ? {} : { domain: domain.name }), device: device.name });
    traced(this.driver.trace, 'kernel/intel', name, args, body);
  }
}

function recordOf(domain: IntelDomain, info: DeviceInfo): AuxiliaryRecord | undefined {
  return domain.auxiliaryRecords.find((record) => record.info === info);
}

function link(domain: IntelDomain, info: DeviceInfo, since: Act | undefined): AuxiliaryRecord {
  const record: AuxiliaryRecord = { domain, info, users: 0, since };
  domain.auxiliaryRecords.push(record);
  info.auxiliaryRecords.add(record);
  return record;
}

function unlink(record: AuxiliaryRecord): void {
  record.domain.auxiliaryRecords = record.domain.auxiliaryRecords.filter((each) => each !== record);
  record.info.auxiliaryRecords.delete(record);
}

function noDriver(code: 'ENODEV' | 'EBUSY', device: Device): KernelError {
  return new KernelError(code, 'device without IOMMU', `${device.name} is behind no IOMMU driver.`);
}
