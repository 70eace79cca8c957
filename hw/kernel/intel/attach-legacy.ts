/**
 * Attaching as 5.15 and 6.1 do it: a device's record, its PASID table, context entry and ATS come with its domain and
 * go with it (dmar_insert_one_dev_info, dmar_remove_one_dev_info). A device between two domains is nothing to the driver.
 */
import { ScalableContextEntry } from '../../vtd/layouts.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { KernelProfile } from '../profile.ts';
import type { QuirkLog } from '../quirk-log.ts';
import { forEachAlias, type IntelAttachment } from './attachment.ts';
import type { DeviceInfo } from './device-info.ts';
import type { IntelDomain } from './domain.ts';
import { busName, type EntryWriter, NO_PASID } from './entries.ts';
import { PasidTable } from './pasid-table.ts';
import type { TableWriter } from './table-writer.ts';
import { type IntelUnit, PASS_THROUGH_DOMAIN_ID } from './unit.ts';

export class LegacyAttachment implements IntelAttachment {
  private readonly tables: TableWriter;
  private readonly entries: EntryWriter;
  private readonly log: KernelLog;
  private readonly quirks: QuirkLog;
  private readonly units: () => readonly IntelUnit[];
  private readonly profile: KernelProfile;

  constructor(
    tables: TableWriter,
    entries: EntryWriter,
    log: KernelLog,
    quirks: QuirkLog,
    /** Active units: page sizes are those that all of them have. */
    units: () => readonly IntelUnit[],
    profile: KernelProfile,
  ) {
    this.profile = profile;
    this.tables = tables;
    this.entries = entries;
    this.log = log;
    this.quirks = quirks;
    this.units = units;
  }

  probed(): void {}

  finalized(): void {}

  released(info: DeviceInfo): void {
    this.detach(info);
  }

  attach(info: DeviceInfo, domain: IntelDomain): void {
    // What the device had goes before the new domain is even looked at.
    const before = info.domain;
    this.detach(info);
    try {
      this.prepare(info, domain);
      this.insert(info, domain);
    } catch (error) {
      if (before !== undefined) {
        this.quirks.show(
          'failed-attach-loses-domain',
          `${info.device.name} was on ${before.name} and has no domain now`,
        );
      }
      throw error;
    }
  }

  /** dmar_insert_one_dev_info. */
  private insert(info: DeviceInfo, domain: IntelDomain): void {
    try {
      this.useUnit(domain, info.unit);
      info.domain = domain;
      domain.devices.add(info);
      if (info.unit.scalable && info.pci !== undefined) {
        info.pasidTable = new PasidTable(this.tables, info.device.name, this.pasidLimit(info));
        this.setRidEntry(info, domain);
      }
      this.mapContexts(info, domain);
    } catch (error) {
      this.detach(info);
      throw this.profile.attachFailure === 'busy' ? asBusy(error) : error;
    }
  }

  private setRidEntry(info: DeviceInfo, domain: IntelDomain): void {
    try {
      this.entries.setPasid(info, domain, NO_PASID);
    } catch (error) {
      this.log.write(`${busName(info)}: DMAR: Setup RID2PASID failed`);
      throw error;
    }
  }

  /** dmar_remove_one_dev_info. */
  detach(info: DeviceInfo): void {
    const { domain, unit } = info;
    if (domain === undefined) return;
    if (info.auxiliaryRecords.size > 0) {
      const lost = [...info.auxiliaryRecords].map((record) => record.domain.name).join(', ');
      this.quirks.show('aux-lost-on-normal-attach', `${info.device.name} loses its entries for ${lost}`);
    }
    for (const [pasid, other] of [...info.pasidDomains]) this.detachPasid(info, other, pasid);
    if (unit.scalable && info.pci !== undefined) this.entries.tearDownPasid(info, NO_PASID);
    // Before the context entry goes: hence no device-TLB flush for it later.
    const hadDeviceTlb = info.atsEnabled;
    info.disableAts();
    if (hadDeviceTlb) domain.updateDeviceTlb();
    info.disablePri();
    info.disablePasid();
    this.clearContexts(info, domain);
    info.pasidTable?.free();
    info.pasidTable = undefined;
    info.domain = undefined;
    info.auxiliary = false;
    info.auxiliaryRecords.clear();
    domain.devices.delete(info);
    this.leaveUnit(domain, unit);
  }

  /**
   * A domain on one PASID, without auxiliary mode: no kernel of this generation offers it, but its tables can, and the
   * two forms that came before and after are shown beside auxiliary domains. PASIDE is set on the way.
   */
  attachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number, old: IntelDomain | undefined): void {
    this.prepare(info, domain);
    this.enablePasids(info);
    this.useUnit(domain, info.unit);
    if (old !== undefined) this.entries.tearDownPasid(info, pasid);
    try {
      this.entries.setPasid(info, domain, pasid);
    } catch (error) {
      if (old !== undefined) this.entries.setPasid(info, old, pasid);
      this.leaveUnit(domain, info.unit);
      throw error;
    }
    if (old !== undefined) this.forget(info, old, pasid);
    info.linkPasid(domain, pasid);
  }

  detachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number): void {
    this.entries.tearDownPasid(info, pasid);
    this.forget(info, domain, pasid);
  }

  /**
   * prepare_domain_attach_device: cuts the domain down to what the unit walks.
   * @throws KernelError EFAULT: something is mapped above that; EINVAL: the unit can't nest.
   */
  prepare(info: DeviceInfo, domain: IntelDomain): void {
    const { table } = domain;
    const { unit } = info;
    if (table === undefined) return;
    if (domain.nesting && this.profile.nestingNeedsUnit && unit.capabilities.nestedTranslation === 0) {
      this.log.write(`${busName(info)}: DMAR: ${unit.name}: iommu not support nested translation`);
      throw new KernelError(
        'EINVAL',
        'no nested translation',
        `${unit.name} can not put a guest's tables on top of ${domain.name} (ECAP.NEST).`,
        'Choose TYPE1v2 (3) for the container.',
      );
    }
    const bits = unit.addressBits;
    if (domain.highestPage > 2 ** (bits - 12)) {
      const highest = (domain.highestPage * 4096).toString(16);
      this.log.write(
        `${busName(info)}: DMAR: prepare_domain_attach_device: iommu width (${bits}) is not sufficient for the mapped address (${highest})`,
      );
      throw new KernelError(
        'EFAULT',
        'mapping beyond the width of the unit',
        `${domain.name} maps up to 0x${highest}, ${unit.name} behind ${info.device.name} takes ${bits} bits.`,
        'Unmap what lies above, or use a device behind a wider unit.',
      );
    }
    domain.addressBits = bits;
    while (table.levels > unit.agaw + 2) table.dropTopLevel();
  }

  /** domain_attach_iommu. @throws KernelError ENOSPC. */
  useUnit(domain: IntelDomain, unit: IntelUnit): void {
    if (domain.useUnit(unit)) this.updateCapabilities(domain);
  }

  /** domain_detach_iommu. */
  leaveUnit(domain: IntelDomain, unit: IntelUnit): void {
    if (domain.leaveUnit(unit)) this.updateCapabilities(domain);
  }

  /** domain_update_iommu_cap: device-TLBs, and page sizes that every unit of the machine can walk. */
  private updateCapabilities(domain: IntelDomain): void {
    domain.updateDeviceTlb();
    if (domain.table === undefined) return;
    let level = 3;
    for (const { capabilities } of this.units()) {
      if (domain.firstLevel) level = Math.min(level, capabilities.firstLevel1GibPages === 1 ? 3 : 2);
      else if ((capabilities.secondLevelLargePages & 1) === 0) level = 1;
      else if ((capabilities.secondLevelLargePages & 2) === 0) level = Math.min(level, 2);
    }
    domain.largestLevel = Math.max(domain.largestLevel, level);
  }

  /** Sets PASIDE in the context entry and switches PASIDs on in the device (intel_iommu_enable_pasid). */
  enablePasids(info: DeviceInfo): void {
    const { domain, unit } = info;
    const words = this.entries.readContext(info);
    if (domain === undefined || words === undefined || !info.pasidSupported) {
      throw new KernelError(
        'ENODEV',
        'no PASIDs on this device',
        domain === undefined
          ? `${info.device.name} has no domain at all.`
          : `${info.device.name} has no PASID capability that its unit can use.`,
      );
    }
    const { pasidEnable } = ScalableContextEntry.fields;
    if (!pasidEnable.isSet(words)) {
      pasidEnable.set(words, 1);
      this.entries.writeContext(info, words);
      unit.flush.deviceContext(domain.domainIdOn(unit), info.requesterId);
    }
    if (!info.pasidEnabled) this.enableDeviceFeatures(info);
  }

  private forget(info: DeviceInfo, domain: IntelDomain, pasid: number): void {
    if (info.unlinkPasid(domain, pasid)) this.leaveUnit(domain, info.unit);
  }

  private mapContexts(info: DeviceInfo, domain: IntelDomain): void {
    const { unit } = info;
    const domainId = domain.domainIdOn(unit);
    forEachAlias(info, false, (bus, devfn) => {
      // Only the entry of its own id knows of the device's ATS; a legacy pass-through entry has no room for it.
      const own = bus === info.bus && devfn === info.devfn;
      const withAts = own && info.atsSupported && (unit.scalable || domain.table !== undefined);
      if (unit.scalable) {
        const address = unit.contextAddress(bus, devfn, true);
        if (address !== undefined && this.entries.contextPresent(address)) return;
        this.entries.setScalableContext(info, bus, devfn, {
          deviceTlb: withAts,
          pasid: false,
          pageRequests: withAts && info.priSupported,
        });
      } else if (!this.entries.setLegacyContext(info, domain, bus, devfn)) {
        return;
      }
      if (unit.capabilities.cachingMode === 1) {
        unit.flush.deviceContext(0, (bus << 8) | devfn);
        unit.flush.domain(domainId);
      } else {
        unit.flushWriteBuffer();
      }
      if (withAts) this.enableDeviceFeatures(info);
    });
  }

  private clearContexts(info: DeviceInfo, domain: IntelDomain): void {
    const { unit } = info;
    forEachAlias(info, false, (bus, devfn) => {
      const held = this.entries.clearContext(info, bus, devfn);
      if (held === undefined) return;
      const passThrough = domain.table === undefined;
      const domainId = !unit.scalable ? held : passThrough ? PASS_THROUGH_DOMAIN_ID : domain.domainIdOn(unit);
      unit.flush.deviceContext(domainId, (bus << 8) | devfn);
      if (unit.scalable) unit.flush.pasidsOfDomain(domainId);
      unit.flush.domain(domainId);
    });
  }

  /** iommu_enable_dev_iotlb: PASID, then PRI, then ATS. */
  private enableDeviceFeatures(info: DeviceInfo): void {
    info.enablePasid();
    info.enablePri();
    info.enableAts();
    if (info.atsEnabled) info.domain?.updateDeviceTlb();
  }

  private pasidLimit(info: DeviceInfo): number {
    if (!info.pasidSupported) return 0;
    const narrowest = Math.min(...this.units().map(({ capabilities }) => pasidsOf(capabilities)));
    return Math.min(info.maximumPasids, narrowest);
  }
}

/** Its callers learn only that there was no new record, and take it for one of another domain. */
function asBusy(error: unknown): unknown {
  if (!(error instanceof KernelError) || error.code === 'EBUSY') return error;
  return new KernelError('EBUSY', error.rule, error.message, error.remedy);
}

/** intel_pasid_max_id takes in units with PASIDs only. */
function pasidsOf(capabilities: { processAddressSpaceIds: number; pasidSize: number }): number {
  return capabilities.processAddressSpaceIds === 1 ? 2 ** (capabilities.pasidSize + 1) : 2 ** 20;
}
