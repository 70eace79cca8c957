/**
 * Attaching as 7.x does it: the device got its PASID table, its context entry and PASID, PRI, ATS when it was probed;
 * a domain is then one PASID entry (scalable mode) or one context entry (legacy mode).
 */
import { KernelError } from '../errno.ts';
import { forEachAlias, type IntelAttachment } from './attachment.ts';
import type { DeviceInfo } from './device-info.ts';
import type { IntelDomain } from './domain.ts';
import { type EntryWriter, NO_PASID } from './entries.ts';
import { NestedDomain } from './nested-domain.ts';
import { PasidTable } from './pasid-table.ts';
import type { TableWriter } from './table-writer.ts';
import { PASS_THROUGH_DOMAIN_ID } from './unit.ts';

export class ModernAttachment implements IntelAttachment {
  private readonly tables: TableWriter;
  private readonly entries: EntryWriter;
  /** intel_pasid_max_id: the narrowest PASID width of all units. */
  private readonly maximumPasid: () => number;

  constructor(tables: TableWriter, entries: EntryWriter, maximumPasid: () => number) {
    this.tables = tables;
    this.entries = entries;
    this.maximumPasid = maximumPasid;
  }

  /** intel_iommu_probe_device: the PASID table and, in scalable mode, the context entries of all aliases. */
  probed(info: DeviceInfo): void {
    const { unit } = info;
    if (!unit.scalable || info.pci === undefined) return;
    const most = info.pasidSupported ? Math.min(info.maximumPasids, this.maximumPasid()) : 0;
    info.pasidTable = new PasidTable(this.tables, info.device.name, most);
    forEachAlias(info, true, (bus, devfn) => {
      this.entries.setScalableContext(info, bus, devfn, {
        deviceTlb: info.atsSupported,
        pasid: info.pasidSupported,
        pageRequests: info.priSupported,
      });
      if (unit.capabilities.cachingMode === 1) {
        unit.flush.deviceContext(0, (bus << 8) | devfn);
        unit.flush.domain(0);
      } else {
        unit.flushWriteBuffer();
      }
    });
  }

  /** intel_iommu_probe_finalize: PASID first, then PRI, then ATS. */
  finalized(info: DeviceInfo): void {
    info.enablePasid();
    info.enablePri();
    info.enableAts();
  }

  released(info: DeviceInfo): void {
    for (const [pasid, domain] of [...info.pasidDomains]) this.detachPasid(info, domain, pasid);
    info.disableAts();
    info.disablePri();
    info.disablePasid();
    if (info.pasidTable === undefined) return;
    forEachAlias(info, true, (bus, devfn) => {
      if (this.entries.clearContext(info, bus, devfn) === undefined) return;
      info.unit.flush.deviceContext(0, (bus << 8) | devfn);
    });
    info.unit.flush.allPasids();
    info.unit.flush.everything();
    info.pasidTable.free();
    info.pasidTable = undefined;
  }

  attach(info: DeviceInfo, domain: IntelDomain): void {
    // device_block_translation: whatever was there goes first.
    this.detach(info);
    if (domain.type === 'blocked') return;
    requireCompatible(info, domain);
    if (domain.hasOwnId) domain.useUnit(info.unit);
    try {
      if (info.unit.scalable) this.entries.setPasid(info, domain, NO_PASID);
      else this.setContexts(info, domain);
    } catch (error) {
      if (domain.hasOwnId) domain.leaveUnit(info.unit);
      throw error;
    }
    info.domain = domain;
    domain.devices.add(info);
  }

  detach(info: DeviceInfo): void {
    const { domain, unit } = info;
    if (domain === undefined) return;
    if (unit.scalable) this.entries.tearDownPasid(info, NO_PASID);
    else this.clearContexts(info);
    info.domain = undefined;
    domain.devices.delete(info);
    if (domain.hasOwnId) domain.leaveUnit(unit);
  }

  attachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number, old: IntelDomain | undefined): void {
    if (info.pasidTable === undefined || !info.pasidSupported) {
      throw new KernelError(
        'EOPNOTSUPP',
        'no PASID support',
        `${info.device.name} or its unit can't tell requests of different PASIDs apart.`,
      );
    }
    requireCompatible(info, domain);
    if (domain.hasOwnId) domain.useUnit(info.unit);
    const before = info.pasidTable.read(pasid)?.slice();
    if (old !== undefined) this.entries.tearDownPasid(info, pasid);
    try {
      this.entries.setPasid(info, domain, pasid);
    } catch (error) {
      if (old !== undefined && before !== undefined) info.pasidTable.write(pasid, before);
      if (domain.hasOwnId) domain.leaveUnit(info.unit);
      throw error;
    }
    if (old !== undefined) forget(info, old, pasid);
    info.linkPasid(domain, pasid);
  }

  detachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number): void {
    this.entries.tearDownPasid(info, pasid);
    forget(info, domain, pasid);
  }

  private setContexts(info: DeviceInfo, domain: IntelDomain): void {
    const { unit } = info;
    const domainId = domain.table === undefined ? PASS_THROUGH_DOMAIN_ID : domain.domainIdOn(unit);
    forEachAlias(info, false, (bus, devfn) => {
      if (!this.entries.setLegacyContext(info, domain, bus, devfn)) return;
      if (unit.capabilities.cachingMode === 1) {
        unit.flush.deviceContext(0, (bus << 8) | devfn);
        unit.flush.domain(domainId);
      } else {
        unit.flushWriteBuffer();
      }
    });
  }

  private clearContexts(info: DeviceInfo): void {
    forEachAlias(info, false, (bus, devfn) => {
      const domainId = this.entries.clearContext(info, bus, devfn);
      if (domainId === undefined) return;
      info.unit.flush.deviceContext(domainId, (bus << 8) | devfn);
      info.unit.flush.domain(domainId);
      this.entries.flushDeviceTlb(info, NO_PASID);
    });
  }
}

function forget(info: DeviceInfo, domain: IntelDomain, pasid: number): void {
  const pasids = domain.pasidAttachments.get(info);
  if (pasids?.delete(pasid) !== true) return;
  if (pasids.size === 0) domain.pasidAttachments.delete(info);
  if (domain.hasOwnId) domain.leaveUnit(info.unit);
}

/** paging_domain_compatible: the unit can walk this table. @throws KernelError EINVAL. */
function requireCompatible(info: DeviceInfo, domain: IntelDomain): void {
  const { unit } = info;
  if (domain instanceof NestedDomain) {
    requireCompatible(info, domain.parent);
    domain.requireUnit(unit);
    return;
  }
  const { table } = domain;
  const why = table === undefined ? passThroughProblem(info) : tableProblem(info, domain, table.levels);
  if (why === undefined) return;
  throw new KernelError(
    'EINVAL',
    'domain does not fit the unit',
    `${domain.name} can't be attached to ${info.device.name}: ${why} (${unit.name}).`,
    'Allocate a domain for this device.',
  );
}

function passThroughProblem(info: DeviceInfo): string | undefined {
  return info.unit.capabilities.passThrough === 1 ? undefined : 'its unit has no pass-through (ECAP.PT)';
}

function tableProblem(info: DeviceInfo, domain: IntelDomain, levels: number): string | undefined {
  const { unit } = info;
  const { capabilities } = unit;
  if (domain.firstLevel) {
    if (!unit.scalable || capabilities.firstLevelTranslation === 0)
      return 'its unit has no first-level tables';
    if (levels > 4 && capabilities.firstLevel5Levels === 0) return 'its unit walks four levels only';
    if (domain.largestLevel > 2 && capabilities.firstLevel1GibPages === 0)
      return 'its unit has no 1 GiB pages';
    return undefined;
  }
  if (unit.scalable && capabilities.secondLevelTranslation === 0)
    return 'its unit has no second-level tables';
  if ((capabilities.addressWidths & (1 << (levels - 2))) === 0)
    return `its unit does not walk ${levels} levels`;
  if (capabilities.maximumGuestAddressWidth + 1 < domain.addressBits)
    return 'its unit takes narrower addresses';
  for (let level = 2; level <= domain.largestLevel; level += 1) {
    if ((capabilities.secondLevelLargePages & (1 << (level - 2))) === 0)
      return 'its unit lacks a page size in use';
  }
  if (domain.enforcesCoherency && capabilities.snoopControl === 0)
    return 'its unit has no snoop control (ECAP.SC)';
  if (domain.dirtyTracking && capabilities.secondLevelAccessDirty === 0) return 'its unit sets no dirty bits';
  return undefined;
}
