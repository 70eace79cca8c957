/** Which kind of table a new domain gets, how deep and with which page sizes. */
import type { MemoryPort } from '../../port.ts';
import { KernelError } from '../errno.ts';
import type { DomainOptions } from '../iommu/driver.ts';
import type { DomainType } from '../iommu/types.ts';
import type { PagingShape } from './domain.ts';
import type { IntelDriver } from './driver.ts';
import { PageTable } from './page-table.ts';
import { firstLevelFormat, secondLevelFormat } from './page-table-format.ts';
import type { IntelUnit } from './unit.ts';

/** Width every domain of 5.15 and 6.1 starts with (DEFAULT_DOMAIN_ADDRESS_WIDTH). */
const DEFAULT_BITS = 57;

/** @throws KernelError EOPNOTSUPP: the unit has no table that can do what is asked; ENOMEM. */
export function allocatePaging(
  driver: IntelDriver,
  unit: IntelUnit,
  type: DomainType,
  options: DomainOptions,
  memory: MemoryPort,
): PagingShape {
  const { profile } = driver;
  const { allocator } = driver.tables;
  const nestParent = options.nestParent ?? false;
  const dirtyTracking = options.dirtyTracking ?? false;
  const kernelDma = type === 'DMA' || type === 'DMA-FQ';
  const firstLevel = options.nesting !== true && choosesFirstLevel(driver, unit, kernelDma, options);
  if (profile.domainWidth === 'widest-then-cut') {
    const format = firstLevel
      ? firstLevelFormat(profile)
      : secondLevelFormat(
          driver.units.every((each) => each.capabilities.snoopControl === 1) ? 'on-request' : 'never',
          profile.leavesAlwaysReadable,
        );
    const table = new PageTable(memory, allocator, format, 5);
    return {
      table,
      firstLevel,
      addressBits: DEFAULT_BITS,
      largestLevel: 1,
      nestParent: false,
      nesting: options.nesting === true,
      dirtyTracking: false,
    };
  }
  const { capabilities } = unit;
  if (firstLevel) {
    const fiveLevels = capabilities.firstLevel5Levels === 1;
    return {
      table: new PageTable(memory, allocator, firstLevelFormat(profile), fiveLevels ? 5 : 4),
      firstLevel,
      addressBits: fiveLevels ? 57 : 48,
      largestLevel: capabilities.firstLevel1GibPages === 1 ? 3 : 2,
      nestParent,
      dirtyTracking,
    };
  }
  requireSecondLevel(unit, nestParent, dirtyTracking);
  const { levels, bits } = secondLevelWidth(unit);
  const large = capabilities.secondLevelLargePages;
  return {
    table: new PageTable(memory, allocator, secondLevelFormat('never'), levels),
    firstLevel,
    addressBits: bits,
    largestLevel: (large & 1) === 0 ? 1 : (large & 2) === 0 ? 2 : 3,
    nestParent,
    dirtyTracking,
  };
}

function choosesFirstLevel(
  driver: IntelDriver,
  unit: IntelUnit,
  kernelDma: boolean,
  options: DomainOptions,
): boolean {
  const everyFirst =
    driver.allScalable && driver.units.every((each) => each.capabilities.firstLevelTranslation === 1);
  switch (driver.profile.firstLevelChoice) {
    case 'all-units':
      return everyFirst;
    case 'by-type': {
      const everySecond = driver.units.every((each) => each.capabilities.secondLevelTranslation === 1);
      return everyFirst && (kernelDma || !everySecond);
    }
    case 'by-device':
      return (
        unit.scalable &&
        unit.capabilities.firstLevelTranslation === 1 &&
        options.nestParent !== true &&
        options.dirtyTracking !== true
      );
  }
}

function requireSecondLevel(unit: IntelUnit, nestParent: boolean, dirtyTracking: boolean): void {
  const { capabilities } = unit;
  const refuse = (what: string, bit: string): never => {
    throw new KernelError(
      'EOPNOTSUPP',
      'no table of this kind',
      `${unit.name} ${what} (${bit}).`,
      'Ask without this flag, or use a device behind another unit.',
    );
  };
  if (unit.scalable && capabilities.secondLevelTranslation === 0)
    refuse('has no second-level tables', 'ECAP.SLTS');
  if (nestParent && !(unit.scalable && capabilities.nestedTranslation === 1)) {
    refuse('can not put guest tables on top of a domain', 'ECAP.NEST');
  }
  if (dirtyTracking && !(unit.scalable && capabilities.secondLevelAccessDirty === 1)) {
    refuse('sets no dirty bits', 'ECAP.SLADS');
  }
}

/** The deepest table that both SAGAW and MGAW support (compute_vasz_lg2_ss). */
function secondLevelWidth(unit: IntelUnit): { levels: number; bits: number } {
  const widest = unit.capabilities.maximumGuestAddressWidth + 1;
  const walks = unit.capabilities.addressWidths;
  const least = (from: number): number => {
    for (let agaw = from; agaw <= 3; agaw += 1) if ((walks & (1 << agaw)) !== 0) return agaw + 2;
    return 0;
  };
  if (widest > 48 && walks >= 8) return { levels: 5, bits: Math.min(57, widest) };
  if (widest > 39 && walks >= 4) return { levels: least(2), bits: Math.min(48, widest) };
  return { levels: least(1), bits: Math.min(39, widest) };
}
