/**
 * A first stage that a user manages on top of a second-stage parent (drivers/iommu/intel/nested.c): the unit walks the
 * user's table, whose addresses the parent translates.
 */
import { KernelError } from '../errno.ts';
import type { KernelProfile } from '../profile.ts';
import { IntelDomain } from './domain.ts';
import { coveringSpan, flushDeviceTlbs, pasidsOn } from './domain-flush.ts';
import type { IntelDriver } from './driver.ts';
import type { IntelUnit } from './unit.ts';

/** IOMMU_VTD_S1_*. */
export const StageOneFlag = { supervisorRequests: 1, extendedAccessed: 2, writeProtect: 4 } as const;

/** struct iommu_hwpt_vtd_s1: what the user says of the table. */
export interface StageOneConfiguration {
  readonly flags: bigint;
  /** Byte address of the root, as the parent translates it. */
  readonly tableAddress: bigint;
  /** 48 or 57 bits; looked at when it is attached. */
  readonly addressWidth: number;
}

const FOUR_LEVELS = 48;
const FIVE_LEVELS = 57;

function refuse(detail: string): KernelError {
  return new KernelError('EINVAL', 'nested page table does not fit', detail);
}

export class NestedDomain extends IntelDomain {
  readonly parent: IntelDomain;
  readonly configuration: StageOneConfiguration;

  constructor(
    driver: IntelDriver,
    profile: KernelProfile,
    parent: IntelDomain,
    configuration: StageOneConfiguration,
    name: string,
  ) {
    super(driver, 'nested', name, profile, undefined);
    this.parent = parent;
    this.configuration = configuration;
    parent.nestedDomains.add(this);
  }

  hasFlag(flag: number): boolean {
    return (this.configuration.flags & BigInt(flag)) !== 0n;
  }

  get levels(): 4 | 5 {
    return this.configuration.addressWidth === FIVE_LEVELS ? 5 : 4;
  }

  /** intel_pasid_setup_nested: what the unit must be able to. @throws KernelError EINVAL */
  requireUnit(unit: IntelUnit): void {
    const { addressWidth } = this.configuration;
    const { capabilities } = unit;
    if (addressWidth !== FOUR_LEVELS && addressWidth !== FIVE_LEVELS)
      throw refuse(`A first stage has addresses of 48 or 57 bits, not ${addressWidth}.`);
    if (addressWidth === FIVE_LEVELS && capabilities.firstLevel5Levels === 0)
      throw refuse(`${unit.name} walks four levels only.`);
    if (this.hasFlag(StageOneFlag.supervisorRequests) && capabilities.supervisorRequests === 0)
      throw refuse(`${unit.name} has no supervisor requests (ECAP.SRS).`);
    if (this.hasFlag(StageOneFlag.extendedAccessed) && capabilities.extendedAccessedFlag === 0)
      throw refuse(`${unit.name} has no extended accessed flag (ECAP.EAFS).`);
  }

  /** Drops what is cached of the user's table: `count` pages from `page`, or everything. Device-TLBs too. */
  invalidate(range: { page: number; count: number } | undefined, leavesOnly: boolean): void {
    for (const unit of this.unitUses.keys()) {
      const domainId = this.domainIdOn(unit);
      const span = range === undefined ? EVERYTHING : coveringSpan(range.page, range.count);
      for (const pasid of pasidsOn(this, unit)) {
        if (range === undefined) unit.flush.allOfPasid(domainId, pasid);
        else unit.flush.pagesOfPasid(domainId, pasid, span.page, span.order, leavesOnly);
      }
      flushDeviceTlbs(this, unit, span);
    }
  }

  override free(): void {
    if (this.devices.size + this.pasidAttachments.size > 0)
      throw new KernelError('EBUSY', 'domain still attached', `${this.name} is still attached.`);
    this.freed = true;
    this.parent.nestedDomains.delete(this);
  }
}

/** All pages, as a device-TLB invalidation names them. */
const EVERYTHING = { page: 0, order: 52 };
