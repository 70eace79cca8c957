/** The type of a group's default domain: iommu_get_default_domain_type of drivers/iommu/iommu.c. */
import type { PciDevice } from '../pci/pci-device.ts';
import type { IommuOptions } from './grouping-options.ts';
import type { UnitRegisters } from './grouping-units.ts';

/** Capability 0x0f, of an AMD IOMMU; bit 26 of its header: NpCache. */
const SECURE_DEVICE = 0x0f;
const NON_PRESENT_CACHE = 1 << 26;
const PASID_CAPABILITY = 0x1b;

/** What sysfs prints in a group's `type`. */
export type DefaultType = 'DMA' | 'DMA-FQ' | 'identity';

/** ECAP bit 6: the unit can pass requests through untranslated. */
const PASS_THROUGH = 6n;
/** CAP bit 7: not-present entries are cached, so every mapping costs a flush (a virtual unit). */
const CACHING_MODE = 7n;
const SCALABLE_MODE = 43n;
const SECOND_LEVEL = 46n;
const FIRST_LEVEL = 47n;

/** CAP bits 12:8: second-level address widths, 30 bits and 9 more for each. */
const SAGAW_SHIFT = 8n;
/** CAP bits 21:16: the width of an address, less one. */
const GUEST_WIDTH_SHIFT = 16n;
/** CAP bit 60: first-level tables may have five levels. */
const FIVE_LEVEL = 60n;
const FOUR_LEVELS = 0b0100n;
const FIVE_LEVELS = 0b1000n;
/** Linux asks for 57 bits and takes less. */
const WANTED_WIDTHS = 0b1111n;

function bit(value: bigint, position: bigint): boolean {
  return ((value >> position) & 1n) !== 0n;
}

/**
 * Why a unit translates nothing for Linux, or undefined: it has a page-table depth that Linux can use (alloc_iommu,
 * __iommu_calculate_sagaw). With both levels in scalable mode a depth must fit both.
 */
export function unusableWidths(registers: UnitRegisters, scalableMode: boolean): string | undefined {
  const { cap, ecap } = registers;
  const second = (cap >> SAGAW_SHIFT) & 0x1fn;
  if (second === 0n && (!bit(ecap, SCALABLE_MODE) || bit(ecap, SECOND_LEVEL))) {
    return 'its CAP register offers no address width (SAGAW, bits 12:8, is 0): no DMA translation';
  }
  const first = FOUR_LEVELS | (bit(cap, FIVE_LEVEL) ? FIVE_LEVELS : 0n);
  let widths = second;
  if (scalableMode && bit(ecap, SCALABLE_MODE) && bit(ecap, FIRST_LEVEL)) {
    widths = bit(ecap, SECOND_LEVEL) ? first & second : first;
  }
  return (widths & WANTED_WIDTHS) === 0n
    ? `no table depth fits both its levels (SAGAW, CAP bits 12:8, is 0x${second.toString(16)})`
    : undefined;
}

/**
 * Bits of an address that a new domain of the unit translates (compute_vasz_lg2_fs, compute_vasz_lg2_ss). First-level tables
 * extend the sign, which leaves half of it to low addresses.
 */
export function translatedBits(registers: UnitRegisters, scalableMode: boolean): number {
  const { cap } = registers;
  const guestWidth = Number((cap >> GUEST_WIDTH_SHIFT) & 0x3fn) + 1;
  if (firstLevelByDefault(registers, scalableMode)) {
    return Math.min(guestWidth > 48 && bit(cap, FIVE_LEVEL) ? 57 : 48, guestWidth) - 1;
  }
  const widths = (cap >> SAGAW_SHIFT) & 0x1fn;
  if (guestWidth > 48 && widths >= FIVE_LEVELS) return Math.min(57, guestWidth);
  if (guestWidth > 39 && widths >= FOUR_LEVELS) return Math.min(48, guestWidth);
  return Math.min(39, guestWidth);
}

/** first_level_by_default: what a new domain of this unit uses. */
function firstLevelByDefault(registers: UnitRegisters, scalableMode: boolean): boolean {
  if (!scalableMode || !bit(registers.ecap, SCALABLE_MODE)) return false;
  const first = bit(registers.ecap, FIRST_LEVEL);
  const second = bit(registers.ecap, SECOND_LEVEL);
  return first === second ? true : first;
}

/**
 * A unit in caching mode makes all flushing strict ("IOMMU batching disallowed due to virtualization"), unless its domains
 * are first-level.
 * @param always The level makes no difference, as before 6.x.
 */
export function forcesStrict(registers: UnitRegisters, options: IommuOptions, always = false): boolean {
  return (
    bit(registers.cap, CACHING_MODE) && (always || !firstLevelByDefault(registers, options.scalableMode))
  );
}

/** System-wide type where no member of the group demands another. */
export function systemDefaultType(
  options: IommuOptions,
  units: readonly UnitRegisters[],
  cachingModeStrict: 'always' | 'second-level' = 'second-level',
): DefaultType {
  if (options.passThrough) return 'identity';
  const always = cachingModeStrict === 'always';
  const strict = options.strict || units.some((unit) => forcesStrict(unit, options, always));
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

/** What one device under an AMD IOMMU demands: with PASIDs of its own it is not translated (amd_iommu_def_domain_type). */
export function amdDefaultType(members: readonly PciDevice[], systemDefault: DefaultType): DefaultType {
  const demands = members.some((device) => device.extendedCapability(PASID_CAPABILITY) !== undefined);
  return demands ? 'identity' : systemDefault;
}

/** Whether an AMD IOMMU keeps absent entries too, as virtual ones do: then flushing is strict (init_iommu_one). */
export function keepsAbsentEntries(amdIommu: PciDevice): boolean {
  const capability = amdIommu.capability(SECURE_DEVICE);
  return capability !== undefined && (amdIommu.read(capability, 4) & NON_PRESENT_CACHE) !== 0;
}
