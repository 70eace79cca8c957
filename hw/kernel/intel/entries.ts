/**
 * Context and PASID entries: what goes into them for a domain, and the flushes that a change needs (pasid.c, iommu.c).
 */
import {
  LegacyContextEntry,
  PasidTableEntry,
  ScalableContextEntry,
  TranslationType,
} from '../../vtd/layouts.ts';
import { KernelError } from '../errno.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { KernelProfile } from '../profile.ts';
import type { QuirkLog } from '../quirk-log.ts';
import type { DeviceInfo } from './device-info.ts';
import type { IntelDomain } from './domain.ts';
import { NestedDomain, StageOneFlag } from './nested-domain.ts';
import type { TableWriter } from './table-writer.ts';
import { PASS_THROUGH_DOMAIN_ID } from './unit.ts';

/** PASID of requests without one (RID_PASID). */
export const NO_PASID = 0;
const PASS_THROUGH_CONTEXT = 2;
const DEVICE_TLB_CONTEXT = 1;
const FIVE_LEVELS = 5;

export class EntryWriter {
  private readonly tables: TableWriter;
  private readonly profile: KernelProfile;
  private readonly log: KernelLog;
  private readonly quirks: QuirkLog;

  constructor(tables: TableWriter, profile: KernelProfile, log: KernelLog, quirks: QuirkLog) {
    this.quirks = quirks;
    this.tables = tables;
    this.profile = profile;
    this.log = log;
  }

  /**
   * Writes the PASID entry that leads to a domain.
   * @throws KernelError EBUSY: the PASID has an entry; ENODEV or EINVAL: beyond the table; EINVAL: the unit can't.
   */
  setPasid(info: DeviceInfo, domain: IntelDomain, pasid: number): void {
    const table = info.pasidTable;
    if (table === undefined || !table.reserve(pasid)) {
      this.log.warn('intel_pasid_get_entry');
      if (domain.firstLevel) this.log.warn('intel_pasid_setup_first_level');
      else this.log.write(`${busName(info)}: Failed to get pasid entry of PASID ${pasid}`);
      throw new KernelError(
        domain.firstLevel ? 'EINVAL' : 'ENODEV',
        'PASID beyond the table',
        `PASID ${pasid} is beyond the ${table?.capacity ?? 0} entries of the PASID table of ${info.device.name}.`,
      );
    }
    if (table.isPresent(pasid)) {
      throw new KernelError(
        'EBUSY',
        'PASID entry in use',
        `PASID ${pasid} of ${info.device.name} already leads to a domain.`,
        'Detach what is attached to this PASID first.',
      );
    }
    const words =
      domain instanceof NestedDomain
        ? this.nested(info, domain)
        : domain.firstLevel
          ? this.firstLevel(info, domain, pasid)
          : this.otherLevel(info, domain, pasid);
    table.write(pasid, words);
    this.tellQuirks(info, words, pasid);
    this.flushNewPasid(info, domain.hasOwnId ? domain.domainIdOn(info.unit) : PASS_THROUGH_DOMAIN_ID, pasid);
  }

  /**
   * Takes a PASID entry away with all that is cached of it: intel_pasid_tear_down_entry. Nothing when there is none.
   */
  tearDownPasid(info: DeviceInfo, pasid: number): void {
    const { unit, pasidTable } = info;
    if (pasidTable === undefined) return;
    // Looking for the entry makes its leaf table.
    if (!pasidTable.reserve(pasid)) {
      this.log.warn('intel_pasid_get_entry');
      this.log.warn('intel_pasid_tear_down_entry');
      return;
    }
    const words = pasidTable.read(pasid);
    if (words === undefined || !PasidTableEntry.fields.present.isSet(words)) return;
    const domainId = PasidTableEntry.fields.domainId.get(words);
    const type = PasidTableEntry.fields.translationType.get(words);
    const presentFirst = this.profile.pasidTearDown === 'present-first';
    if (presentFirst) {
      PasidTableEntry.fields.present.set(words, 0);
      pasidTable.write(pasid, words);
    } else {
      pasidTable.clear(pasid);
    }
    unit.flush.onePasid(domainId, pasid);
    if (type === TranslationType.firstLevel || type === TranslationType.passThrough) {
      unit.flush.allOfPasid(domainId, pasid);
    } else {
      unit.flush.domain(domainId);
    }
    if (presentFirst || unit.capabilities.cachingMode === 0) this.flushDeviceTlb(info, pasid);
    if (presentFirst) pasidTable.clear(pasid);
  }

  /** Switches page snoop on in an entry that is in use, and drops what is cached of it. */
  setPageSnoop(info: DeviceInfo, pasid: number): void {
    const words = info.pasidTable?.read(pasid);
    if (words === undefined) return;
    PasidTableEntry.fields.pageSnoop.set(words, 1);
    info.pasidTable?.write(pasid, words);
    const domainId = PasidTableEntry.fields.domainId.get(words);
    info.unit.flush.onePasid(domainId, pasid);
    info.unit.flush.allOfPasid(domainId, pasid);
    this.flushDeviceTlb(info, pasid);
  }

  /** Lets a second-level entry's leaves be marked (intel_pasid_setup_dirty_tracking), or no longer. */
  setDirtyTracking(info: DeviceInfo, pasid: number, on: boolean): void {
    const words = info.pasidTable?.read(pasid);
    if (words === undefined) return;
    PasidTableEntry.fields.secondLevelAccessDirtyEnable.set(words, on ? 1 : 0);
    info.pasidTable?.write(pasid, words);
    const domainId = PasidTableEntry.fields.domainId.get(words);
    info.unit.flush.onePasid(domainId, pasid);
    info.unit.flush.domain(domainId);
    this.flushDeviceTlb(info, pasid);
  }

  /** All that the device caches for a PASID; 0: for requests without. */
  flushDeviceTlb(info: DeviceInfo, pasid: number): void {
    if (!info.atsEnabled) return;
    if (pasid === NO_PASID) info.unit.flush.deviceTlb(info);
    else info.unit.flush.deviceTlbOfPasid(info, pasid);
  }

  /** The scalable-mode context entry of a requester, leading to the device's PASID table. Left alone when present. */
  setScalableContext(info: DeviceInfo, bus: number, devfn: number, features: ContextFeatures): void {
    const table = info.pasidTable;
    const address = info.unit.contextAddress(bus, devfn, true);
    if (table === undefined || address === undefined || this.contextPresent(address)) return;
    this.tables.write(
      address,
      ScalableContextEntry.encode({
        present: 1,
        deviceTlbEnable: features.deviceTlb,
        pasidEnable: features.pasid,
        pageRequestEnable: features.pageRequests,
        pasidDirectorySize: table.sizeCode,
        pasidDirectoryPointer: table.address,
        ridPasid: NO_PASID,
      }),
      contextName(bus, devfn),
    );
  }

  /** The legacy context entry of a requester. Left alone when present. */
  setLegacyContext(info: DeviceInfo, domain: IntelDomain, bus: number, devfn: number): boolean {
    const address = info.unit.contextAddress(bus, devfn, true);
    if (address === undefined || this.contextPresent(address)) return false;
    const { table } = domain;
    const words =
      table === undefined
        ? LegacyContextEntry.encode({
            present: 1,
            translationType: PASS_THROUGH_CONTEXT,
            addressWidth: info.unit.widestAgaw,
            domainId: this.profile.staticDomains ? PASS_THROUGH_DOMAIN_ID : domain.domainIdOn(info.unit),
          })
        : LegacyContextEntry.encode({
            present: 1,
            translationType: info.atsSupported ? DEVICE_TLB_CONTEXT : 0,
            secondLevelPointer: table.root * 4096,
            addressWidth: table.levels - 2,
            domainId: domain.domainIdOn(info.unit),
          });
    this.tables.write(address, words, contextName(bus, devfn));
    return true;
  }

  contextPresent(address: number): boolean {
    return (this.tables.read(address, 1)[0] & 1) !== 0;
  }

  /** The entry's words, or undefined without a context table. */
  readContext(info: DeviceInfo): Uint32Array | undefined {
    const address = info.unit.contextAddress(info.bus, info.devfn, false);
    return address === undefined ? undefined : this.tables.read(address, info.unit.contextBytes / 4);
  }

  /** Writes a changed entry back. */
  writeContext(info: DeviceInfo, words: Uint32Array): void {
    const address = info.unit.contextAddress(info.bus, info.devfn, true);
    if (address !== undefined) this.tables.write(address, words, contextName(info.bus, info.devfn));
  }

  /** Zeroes the entry; the domain id it held, or undefined when there was no context table. */
  clearContext(info: DeviceInfo, bus: number, devfn: number): number | undefined {
    const address = info.unit.contextAddress(bus, devfn, false);
    if (address === undefined) return undefined;
    const words = this.tables.read(address, info.unit.contextBytes / 4);
    const domainId = info.unit.scalable ? 0 : LegacyContextEntry.fields.domainId.get(words);
    this.tables.write(address, new Uint32Array(words.length), contextName(bus, devfn));
    return domainId;
  }

  private tellQuirks(info: DeviceInfo, words: Uint32Array, pasid: number): void {
    const { device, unit } = info;
    if (info.maximumPasids > 0 && pasid >= info.maximumPasids) {
      this.quirks.show(
        'pasid-table-page',
        `PASID ${pasid} on ${device.name}, which has ${info.maximumPasids}`,
      );
    }
    if (unit.capabilities.snoopControl === 0 && PasidTableEntry.fields.pageSnoop.isSet(words)) {
      this.quirks.show(
        'page-snoop-without-capability',
        `PASID entry ${pasid} of ${device.name} behind ${unit.name}`,
      );
    }
  }

  /** A new PASID entry: caching mode may have kept that there was none. */
  private flushNewPasid(info: DeviceInfo, domainId: number, pasid: number): void {
    if (info.unit.capabilities.cachingMode === 1) {
      info.unit.flush.onePasid(domainId, pasid);
      info.unit.flush.allOfPasid(domainId, pasid);
    } else {
      info.unit.flushWriteBuffer();
    }
  }

  private firstLevel(info: DeviceInfo, domain: IntelDomain, pasid: number): Uint32Array {
    const { unit } = info;
    const { capabilities } = unit;
    const { table } = domain;
    if (table === undefined || capabilities.firstLevelTranslation === 0 || table.levels < 4) {
      throw new KernelError(
        'EINVAL',
        'no first-level translation',
        `${unit.name} can't walk the first-level table of ${domain.name}.`,
      );
    }
    const words = PasidTableEntry.encode({ firstLevelPointer: table.root * 4096 });
    const fields = PasidTableEntry.fields;
    if (this.profile.supervisorRequests && pasid !== NO_PASID) {
      if (capabilities.supervisorRequests === 0) {
        // The pointer stays behind in an entry that is not present.
        info.pasidTable?.write(pasid, words);
        this.quirks.show(
          'aux-first-level-leftover',
          `PASID entry ${pasid} of ${info.device.name} holds a root pointer`,
        );
        this.log.write(`DMAR: No supervisor request support on ${unit.name}`);
        throw new KernelError(
          'EINVAL',
          'no supervisor requests',
          `${unit.name} has no supervisor requests (ECAP.SRS), which this kernel wants for first-level tables under a PASID.`,
          'A newer kernel does not ask for it; so do second-level tables.',
        );
      }
      fields.supervisorRequestEnable.set(words, 1);
      fields.writeProtectEnable.set(words, 1);
    }
    if (table.levels === FIVE_LEVELS) {
      if (capabilities.firstLevel5Levels === 0) {
        throw new KernelError(
          'EINVAL',
          'no 5-level paging',
          `${unit.name} has no 5-level first-level tables.`,
        );
      }
      fields.firstLevelPagingMode.set(words, 1);
    }
    fields.pageSnoop.set(words, this.pageSnoop(domain) ? 1 : 0);
    fields.domainId.set(words, domain.domainIdOn(unit));
    fields.addressWidth.set(words, unit.agaw);
    fields.pageWalkSnoop.set(words, capabilities.scalableWalkCoherency);
    fields.translationType.set(words, TranslationType.firstLevel);
    fields.present.set(words, 1);
    return words;
  }

  /** Second level, or pass-through for a domain without table. */
  private otherLevel(info: DeviceInfo, domain: IntelDomain, pasid: number): Uint32Array {
    const { unit } = info;
    const { capabilities } = unit;
    const { table } = domain;
    const supervisor = this.profile.supervisorRequests && capabilities.supervisorRequests === 1;
    if (table === undefined) {
      return PasidTableEntry.encode({
        present: 1,
        addressWidth: this.profile.staticDomains ? unit.widestAgaw : unit.agaw,
        translationType: TranslationType.passThrough,
        domainId: PASS_THROUGH_DOMAIN_ID,
        pageWalkSnoop: capabilities.scalableWalkCoherency,
        supervisorRequestEnable: supervisor,
      });
    }
    if (capabilities.secondLevelTranslation === 0) {
      this.log.write(`DMAR: No second level translation support on ${unit.name}`);
      throw new KernelError(
        'EINVAL',
        'no second-level translation',
        `${unit.name} has no second-level tables.`,
      );
    }
    return PasidTableEntry.encode({
      present: 1,
      addressWidth: table.levels - 2,
      translationType: TranslationType.secondLevel,
      secondLevelAccessDirtyEnable: domain.dirtyTrackingOn,
      secondLevelPointer: table.root * 4096,
      domainId: domain.domainIdOn(unit),
      pageWalkSnoop: capabilities.scalableWalkCoherency,
      pageSnoop: this.pageSnoop(domain),
      supervisorRequestEnable: supervisor && pasid !== NO_PASID,
    });
  }

  /** The user's first stage on the parent's second (intel_pasid_setup_nested). */
  private nested(info: DeviceInfo, domain: NestedDomain): Uint32Array {
    const { unit } = info;
    const { parent } = domain;
    const supervisor = domain.hasFlag(StageOneFlag.supervisorRequests);
    return PasidTableEntry.encode({
      present: 1,
      addressWidth: parent.table === undefined ? unit.agaw : parent.table.levels - 2,
      translationType: TranslationType.nested,
      secondLevelAccessDirtyEnable: parent.dirtyTrackingOn,
      secondLevelPointer: (parent.table?.root ?? 0) * 4096,
      domainId: domain.domainIdOn(unit),
      pageWalkSnoop: unit.capabilities.scalableWalkCoherency,
      pageSnoop: parent.enforcesCoherency,
      supervisorRequestEnable: supervisor,
      writeProtectEnable: supervisor && domain.hasFlag(StageOneFlag.writeProtect),
      extendedAccessedFlagEnable: domain.hasFlag(StageOneFlag.extendedAccessed),
      firstLevelPagingMode: domain.levels === FIVE_LEVELS ? 1 : 0,
      firstLevelPointer: domain.configuration.tableAddress,
    });
  }

  /** PGSNP needs snoop control in the unit, or the entry has a reserved bit set. */
  private pageSnoop(domain: IntelDomain): boolean {
    if (this.profile.pageSnoop === 'enforced') return domain.enforcesCoherency;
    return domain.type === 'unmanaged';
  }
}

export interface ContextFeatures {
  readonly deviceTlb: boolean;
  readonly pasid: boolean;
  readonly pageRequests: boolean;
}

function contextName(bus: number, devfn: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `context entry ${hex(bus)}:${hex(devfn >>> 3)}.${devfn & 7}`;
}

/** As dev_err names a PCI device without driver. */
export function busName(info: DeviceInfo): string {
  return `${info.device.driver?.name ?? info.device.bus} ${info.device.name}`;
}
