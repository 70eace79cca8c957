/** struct dmar_domain: an address space that any number of devices, PASIDs and units share. */
import type { Frame, Page } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import { traced } from '../iommu/call-log.ts';
import type { DriverDomain } from '../iommu/driver.ts';
import { type Aperture, type DomainLeaf, type DomainType, IommuProt } from '../iommu/types.ts';
import type { KernelProfile } from '../profile.ts';
import type { AuxiliaryRecord, DeviceInfo } from './device-info.ts';
import { flushMapped, flushUnmapped } from './domain-flush.ts';
import type { IntelDriver } from './driver.ts';
import type { KeptListener, PageTable } from './page-table.ts';
import { secondLevelFormat } from './page-table-format.ts';
import type { IntelUnit } from './unit.ts';
import { PASS_THROUGH_DOMAIN_ID } from './unit.ts';

/** What a domain has on one unit: its id there, and how many attachments use it. */
export interface UnitUse {
  readonly domainId: number;
  users: number;
}

/** How a paging domain is made. */
export interface PagingShape {
  readonly table: PageTable;
  readonly firstLevel: boolean;
  /** Bits of an IOVA. First level is sign-extended: user mappings get the lower half, one bit less. */
  readonly addressBits: number;
  /** 1 = 4 KiB only, 2 = 2 MiB too, 3 = 1 GiB too. */
  readonly largestLevel: number;
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  /** For tables of a guest on top, as old kernels asked for it (DOMAIN_FLAG_NESTING_MODE). */
  readonly nesting?: boolean;
}

/** What an empty range to be flushed begins with: the last page of the address space. */
const LAST_PAGE = 2 ** 52 - 1;

const SIZE_BITS = [0n, 0x1000n, 0x201000n, 0x40201000n];

export class IntelDomain implements DriverDomain {
  readonly driver: IntelDriver;
  type: DomainType;
  readonly name: string;
  readonly profile: KernelProfile;
  /** Undefined for identity and blocking domains, which have no table. */
  readonly table: PageTable | undefined;
  readonly firstLevel: boolean;
  readonly nestParent: boolean;
  readonly nesting: boolean;
  readonly dirtyTracking: boolean;
  /** Bits of an IOVA now: of a domain made wider than its units, until it is attached. */
  addressBits: number;
  largestLevel: number;
  /** One past the highest page ever mapped (5.15: max_addr), for the test of a narrower unit at attach. */
  highestPage = 0;
  readonly unitUses = new Map<IntelUnit, UnitUse>();
  /** Devices whose requests without PASID go here, in order of attachment. */
  readonly devices = new Set<DeviceInfo>();
  /** PASIDs attached by number (7.x), by device. */
  readonly pasidAttachments = new Map<DeviceInfo, Set<number>>();
  /** First stages that users put on top of this one (7.x). */
  readonly nestedDomains = new Set<IntelDomain>();
  /** Attached in auxiliary mode (5.15), oldest first. */
  auxiliaryRecords: AuxiliaryRecord[] = [];
  /** The PASID used on every device it is aux-attached to; 0: none yet. Kept after release (5.15). */
  defaultPasid = 0;
  /** Second-level entries get A and D bits from now on (SSADE in the PASID entry). */
  dirtyTrackingOn = false;
  freed = false;
  /**
   * 5.15: an unmap looks for device-TLBs only while this is set, and it is brought up to date at few places: a device
   * with ATS that is aux-attached to a domain already in use on its unit is missed.
   */
  hasDeviceTlb = false;
  /** Some unit used it: from then on the aperture leaves the upper half of a first-level domain out. */
  private wasOnUnit = false;
  private snoop = false;
  private everMapped = false;

  constructor(
    driver: IntelDriver,
    type: DomainType,
    name: string,
    profile: KernelProfile,
    shape: PagingShape | undefined,
  ) {
    this.driver = driver;
    this.type = type;
    this.name = name;
    this.profile = profile;
    this.table = shape?.table;
    this.firstLevel = shape?.firstLevel ?? false;
    this.nestParent = shape?.nestParent ?? false;
    this.nesting = shape?.nesting ?? false;
    this.dirtyTracking = shape?.dirtyTracking ?? false;
    this.addressBits = shape?.addressBits ?? 64;
    this.largestLevel = shape?.largestLevel ?? 3;
  }

  /** It has an id of its own on each unit: all but identity and blocking domains. */
  get hasOwnId(): boolean {
    return this.table !== undefined || this.type === 'nested';
  }

  get pageSizes(): bigint {
    return this.table === undefined ? 0n : SIZE_BITS[this.largestLevel];
  }

  get aperture(): Aperture {
    const settled = this.profile.domainWidth === 'unit' || this.wasOnUnit;
    const bits = this.addressBits - (this.firstLevel && settled ? 1 : 0);
    return { first: 0 as Page, last: (2 ** (bits - 12) - 1) as Page };
  }

  get enforcesCoherency(): boolean {
    // Where nobody can ask for it, what all units can do decides (IOMMU_CAP_CACHE_COHERENCY).
    if (!this.profile.type1EnforcesCoherency) return this.driver.canSnoop(this);
    return this.snoop;
  }

  /**
   * From now on all DMA through this domain is snooped. True: it is (or was). False: a unit behind it can't, or a
   * second-level table already maps something without.
   */
  enforceCacheCoherency(): boolean {
    if (this.table === undefined) return false;
    if (this.snoop) return true;
    if (!this.driver.canSnoop(this) || (!this.firstLevel && this.everMapped)) return false;
    this.snoop = true;
    if (this.firstLevel) this.driver.setPageSnoop(this);
    else this.table.changeFormat(secondLevelFormat('always', this.profile.leavesAlwaysReadable));
    return true;
  }

  /** The id on a unit; pass-through has a fixed one. @throws RangeError when not attached there. */
  domainIdOn(unit: IntelUnit): number {
    const use = this.unitUses.get(unit);
    if (use !== undefined) return use.domainId;
    if (this.table === undefined) return PASS_THROUGH_DOMAIN_ID;
    throw new RangeError(`${this.name} has no id on ${unit.name}`);
  }

  /**
   * domain_attach_iommu: the first user on a unit takes an id. True: it was the first. @throws KernelError ENOSPC.
   */
  useUnit(unit: IntelUnit): boolean {
    const use = this.unitUses.get(unit);
    if (use !== undefined) {
      use.users += 1;
      return false;
    }
    let domainId: number;
    try {
      domainId = unit.takeDomainId();
    } catch (error) {
      if (!this.profile.staticDomains) this.driver.log.write(`DMAR: ${unit.name}: No free domain ids`);
      throw error;
    }
    this.unitUses.set(unit, { domainId, users: 1 });
    this.wasOnUnit = true;
    return true;
  }

  /** domain_detach_iommu: with the last user the id is free again. True: it was the last. */
  leaveUnit(unit: IntelUnit): boolean {
    const use = this.unitUses.get(unit);
    if (use === undefined) return false;
    use.users -= 1;
    if (use.users > 0) return false;
    unit.domainIds.give(use.domainId);
    this.unitUses.delete(unit);
    return true;
  }

  /** domain_update_iotlb: looks whether any device of the domain has a device-TLB. */
  updateDeviceTlb(): void {
    this.hasDeviceTlb =
      [...this.devices].some((info) => info.atsEnabled) ||
      this.auxiliaryRecords.some(({ info }) => info.atsEnabled);
  }

  map(page: Page, frame: Frame, count: number, prot: number): void {
    const { trace } = this.driver;
    if (!trace.active) {
      this.mapNow(page, frame, count, prot);
      return;
    }
    const args = () => ({
      domain: this.name,
      iova: hexPage(page),
      physical: hexPage(frame),
      pages: count,
      prot,
    });
    traced(trace, 'kernel/iommu', 'iommu_map', args, () => this.mapNow(page, frame, count, prot));
  }

  unmap(page: Page, count: number): number {
    const { trace } = this.driver;
    if (!trace.active) return this.unmapNow(page, count);
    const args = () => ({ domain: this.name, iova: hexPage(page), pages: count });
    return traced(trace, 'kernel/iommu', 'iommu_unmap', args, () => this.unmapNow(page, count));
  }

  private mapNow(page: Page, frame: Frame, count: number, prot: number): void {
    const table = this.pagingTable();
    const last = this.profile.domainWidth === 'unit' ? this.aperture.last : 2 ** (this.addressBits - 12) - 1;
    if (page + count - 1 > last) this.refuseWidth(page + count);
    this.everMapped = true;
    if (this.nestParent && (prot & IommuProt.write) === 0) {
      throw new KernelError(
        'EINVAL',
        'read-only mapping in a nesting parent',
        `${this.name} carries guest tables: mappings that are not writable are refused (erratum 772415).`,
      );
    }
    // First-level entries have a bit of their own for "present": since 7.x they need no right.
    if (
      (prot & (IommuProt.read | IommuProt.write)) === 0 &&
      !(this.firstLevel && this.profile.domainWidth === 'unit')
    ) {
      if (this.profile.failedMapFlush) {
        this.highestPage = Math.max(this.highestPage, page + count);
        this.syncNothing();
      }
      throw new KernelError(
        'EINVAL',
        'mapping without rights',
        `A mapping of ${this.name} that is neither readable nor writable cannot be told from none.`,
      );
    }
    try {
      table.map(page, frame, count, prot, this.largestLevel, this.keptListener());
    } finally {
      for (const given of table.replaced) flushUnmapped(this, given.page, given.count, false);
    }
    if (page + count > this.highestPage) this.highestPage = page + count;
    flushMapped(this, page, count);
  }

  private unmapNow(page: Page, count: number): number {
    const { table } = this;
    if (table === undefined) return 0;
    if (!this.profile.unmapInRuns) return this.unmapRun(table, page, count);
    let done = 0;
    // What waits for its flush (struct iommu_iotlb_gather): runs of one length that follow each other.
    let waiting: { page: number; count: number; run: number } | undefined;
    let tablesFreed = false;
    while (done < count) {
      const at = page + done;
      // The driver goes by the entry where its walk ends, which may be one of an upper table that holds nothing: it then
      // unmaps, flushes and reports all that this entry spans.
      const span = 512 ** (table.stopLevel(at) - 1);
      const run = Math.max(runOfOneSize(at, count - done, this.largestLevel), span);
      const tablesBefore = table.tableCount;
      table.unmap(at as Page, run, true);
      tablesFreed ||= table.tableCount !== tablesBefore;
      if (this.highestPage === at + run) this.highestPage = at;
      if (waiting?.run === run) waiting.count += run;
      else {
        // Tables of this run count for the flush of the one before: they are in its list already.
        if (waiting !== undefined) {
          flushUnmapped(this, waiting.page, waiting.count, !tablesFreed);
          tablesFreed = false;
        }
        waiting = { page: at, count: run, run };
      }
      done += run;
    }
    if (waiting !== undefined) flushUnmapped(this, waiting.page, waiting.count, !tablesFreed);
    return done;
  }

  iovaToFrame(page: Page): Frame | undefined {
    return this.table === undefined ? (page as number as Frame) : this.table.lookup(page)?.frame;
  }

  leafAt(page: Page): DomainLeaf | undefined {
    const found = this.table?.lookup(page);
    if (found === undefined) return undefined;
    const pages = 512 ** (found.level - 1);
    return { frame: found.frame, pages: pages - (page % pages) };
  }

  free(): void {
    this.driver.freeDomain(this);
  }

  private refuseWidth(end: number): never {
    const highest = (end * 4096).toString(16);
    if (this.profile.failedMapFlush) {
      this.driver.log.write(
        `DMAR: intel_iommu_map: iommu width (${this.addressBits}) is not sufficient for the mapped address (${highest})`,
      );
      this.syncNothing();
    }
    throw new KernelError(
      this.profile.mapBeyondWidth,
      'address beyond the width of the domain',
      `A mapping up to 0x${highest} lies beyond the ${this.addressBits} bits of ${this.name}.`,
      'Map at a lower address.',
    );
  }

  /** The way back of a mapping that failed at its first page unmaps nothing, and flushes for it. */
  private syncNothing(): void {
    flushUnmapped(this, LAST_PAGE, 1, true);
    this.driver.quirks.show('failed-map-flushes-last-page', `${this.name}: page 0x${LAST_PAGE.toString(16)}`);
  }

  /** 5.15 leaves what is mapped already and warns; later kernels refuse. */
  private keptListener(): KeptListener | undefined {
    if (this.profile.mapOverMapping === 'refused') return undefined;
    return (page, present, wanted) => {
      const hex = (value: bigint | number): string => value.toString(16);
      this.driver.log.write(
        `DMAR: ERROR: DMA PTE for vPFN 0x${hex(page)} already set (to ${hex(present)} not ${hex(wanted)})`,
      );
      this.driver.log.warn('__domain_mapping');
    };
  }

  private unmapRun(table: PageTable, page: number, count: number): number {
    const tablesBefore = table.tableCount;
    const unmapped = table.unmap(page as Page, count, false);
    if (unmapped > 0) {
      flushUnmapped(this, page, Math.max(count, unmapped), table.tableCount === tablesBefore);
    }
    return unmapped;
  }

  private pagingTable(): PageTable {
    if (this.table === undefined) {
      throw new KernelError(
        'EINVAL',
        'domain without page table',
        `${this.name} (${this.type}) has no page table to map into.`,
      );
    }
    return this.table;
  }
}

const hexPage = (page: number): string => `0x${(page * 4096).toString(16)}`;

/**
 * How many pages from here one call of the driver takes: pages of the largest size that fits, up to where a larger
 * size begins to fit (iommu_pgsize).
 */
function runOfOneSize(page: number, count: number, largestLevel: number): number {
  let level = 1;
  while (level < largestLevel && count >= 512 ** level && page % 512 ** level === 0) level += 1;
  const size = 512 ** (level - 1);
  if (level < largestLevel) {
    const next = 512 ** level;
    const offset = next - (page % next);
    if (offset + next <= count) return offset;
  }
  return Math.floor(count / size) * size;
}
