/** The type of a group's default domain: iommu_get_default_domain_type of drivers/iommu/iommu.c. */
import type { IommuOptions } from './grouping-options.ts';
import type { UnitRegisters } from './grouping-units.ts';

/** What sysfs prints in a group's `type`. */
export type DefaultType = 'DMA' | 'DMA-FQ' | 'identity';

/** ECAP bit 6: the unit can pass requests through untranslated. */
const PASS_THROUGH = 6n;
/** CAP bit 7: not-present entries are cached, so every mapping costs a flush (a virtual unit). */
const CACHING_MODE = 7n;
const SCALABLE_MODE = 43n;
const SECOND_LEVEL = 46n;
const FIRST_LEVEL = 47n;

function bit(value: bigint, position: bigint): boolean {
  return ((value >> position) & 1n) !== 0n;
}

/** first_level_by_default: what a new domain of this unit uses. */
function firstLevelByDefault(registers: UnitRegisters, options: IommuOptions): boolean {
  if (!options.scalableMode || !bit(registers.ecap, SCALABLE_MODE)) return false;
  const first = bit(registers.ecap, FIRST_LEVEL);
  const second = bit(registers.ecap, SECOND_LEVEL);
  return first === second ? true : first;
}

/**
 * A unit in caching mode makes all flushing strict ("IOMMU batching disallowed due to virtualization"), unless its domains
 * are first-level.
 */
export function forcesStrict(registers: UnitRegisters, options: IommuOptions): boolean {
  return bit(registers.cap, CACHING_MODE) && !firstLevelByDefault(registers, options);
}

/** System-wide type where no member of the group demands another. */
export function systemDefaultType(options: IommuOptions, units: readonly UnitRegisters[]): DefaultType {
  if (options.passThrough) return 'identity';
  const strict = options.strict || units.some((unit) => forcesStrict(unit, options));
  return strict ? 'DMA' : 'DMA-FQ';
}

/** What a device demands: a unit without pass-through can only translate. */
export function demandedType(registers: UnitRegisters | undefined): DefaultType | undefined {
  return registers !== undefined && !bit(registers.ecap, PASS_THROUGH) ? 'DMA' : undefined;
}

/** The type for a group whose members sit behind these units. Identity wins over DMA among demands. */
export function groupDefaultType(
  members: readonly (UnitRegisters | undefined)[],
  systemDefault: DefaultType,
): DefaultType {
  let demanded: DefaultType | undefined;
  for (const registers of members) {
    const type = demandedType(registers);
    if (type !== undefined && demanded !== 'identity') demanded = type;
  }
  return demanded ?? systemDefault;
}
