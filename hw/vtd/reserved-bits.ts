/**
 * The bits that must be zero in each structure of one unit: what no layout covers, fields of features that the unit
 * lacks, and address bits at and above the host address width. VT-d 6.3, 9.
 */

import type { Field, Layout } from '../layout.ts';
import type { UnitConfiguration } from './configuration.ts';
import { capabilitiesOf } from './configuration.ts';
import {
  FirstLevelEntry,
  LegacyContextEntry,
  LegacyRootEntry,
  PasidDirectoryEntry,
  PasidTableEntry,
  ScalableContextEntry,
  ScalableRootEntry,
  SecondLevelEntry,
} from './layouts.ts';

/** Sets the bits low to high (inclusive) of a multi-word mask. */
function setBits(mask: Uint32Array, low: number, high: number): void {
  for (let position = low; position <= high; position += 1) mask[position >>> 5] |= 1 << (position & 31);
}

/** The reserved mask of a layout: uncovered bits, the missing fields, and too-wide bits of address fields. */
function reservedMask(of: Layout, hostAddressWidth: number, missing: readonly Field[]): Uint32Array {
  const mask = Uint32Array.from(of.reserved);
  for (const field of missing) setBits(mask, field.low, field.high);
  for (const field of of.ordered) {
    if (field.kind !== 'address') continue;
    const base = field.low & ~63;
    setBits(mask, Math.max(field.low, base + hostAddressWidth), field.high);
  }
  return mask;
}

/** Where the masks of pages begin, after those of tables. */
export const PAGE_MASKS = 12;

export class ReservedBits {
  readonly legacyRoot: Uint32Array;
  readonly legacyContext: Uint32Array;
  readonly scalableRoot: Uint32Array;
  readonly scalableContext: Uint32Array;
  readonly pasidDirectory: Uint32Array;
  readonly pasidEntry: Uint32Array;
  /**
   * Paging entries of level n: low and high word at [2n], [2n + 1] for those that lead to a table, and at
   * [PAGE_MASKS + 2n], [PAGE_MASKS + 2n + 1] for those that are a page (2 MiB at level 2, 1 GiB at level 3).
   */
  readonly secondLevel = new Int32Array(2 * PAGE_MASKS);
  readonly firstLevel = new Int32Array(2 * PAGE_MASKS);

  constructor(configuration: UnitConfiguration) {
    const has = capabilitiesOf(configuration);
    const width = configuration.hostAddressWidth;
    const unless = (feature: unknown, ...fields: Field[]): Field[] => (feature ? [] : fields);
    this.legacyRoot = reservedMask(LegacyRootEntry, width, []);
    this.legacyContext = reservedMask(LegacyContextEntry, width, []);
    this.scalableRoot = reservedMask(ScalableRootEntry, width, []);
    this.pasidDirectory = reservedMask(PasidDirectoryEntry, width, []);
    const context = ScalableContextEntry.fields;
    this.scalableContext = reservedMask(ScalableContextEntry, width, [
      ...unless(has.deviceTlb, context.deviceTlbEnable),
      ...unless(has.processAddressSpaceIds, context.pasidEnable),
      ...unless(has.pageRequests, context.pageRequestEnable),
      ...unless(has.ridPasid, context.ridPasid),
      ...unless(has.ridPrivilege, context.ridPrivilege),
    ]);
    const entry = PasidTableEntry.fields;
    this.pasidEntry = reservedMask(PasidTableEntry, width, [
      ...unless(has.secondLevelAccessDirty, entry.secondLevelAccessDirtyEnable),
      // The width code stays: drivers set it in first-level entries too, where nothing reads it.
      ...unless(has.secondLevelTranslation || has.nestedTranslation, entry.secondLevelPointer),
      ...unless(
        has.firstLevelTranslation || has.nestedTranslation,
        entry.firstLevelPagingMode,
        entry.firstLevelPointer,
      ),
      ...unless(has.scalableWalkCoherency, entry.pageWalkSnoop),
      ...unless(has.snoopControl, entry.pageSnoop),
      ...unless(
        has.memoryTypes,
        entry.cacheDisable,
        entry.extendedMemoryTypeEnable,
        entry.pageAttributeTable,
      ),
      ...unless(has.supervisorRequests, entry.supervisorRequestEnable),
      ...unless(has.executeRequests, entry.executeRequestEnable),
      ...unless(has.extendedAccessedFlag, entry.extendedAccessedFlagEnable),
    ]);

    const second = SecondLevelEntry.fields;
    const transient = unless(configuration.ignoresTransientMapping, second.transientMapping);
    const first = FirstLevelEntry.fields;
    for (let level = 1; level <= 5; level += 1) {
      const large = level === 2 || level === 3;
      const secondPageOffered = level === 1 || (large && (has.secondLevelLargePages >>> (level - 2)) & 1);
      this.secondLevel.set(
        reservedMask(SecondLevelEntry, width, [
          second.transientMapping,
          second.snoop,
          ...unless(large && secondPageOffered, second.pageSize),
        ]),
        level * 2,
      );
      const page = reservedMask(SecondLevelEntry, width, [
        ...transient,
        ...unless(has.snoopControl, second.snoop),
        ...unless(secondPageOffered, second.pageSize),
      ]);
      if (large) setBits(page, 12, 11 + 9 * (level - 1));
      this.secondLevel.set(page, PAGE_MASKS + level * 2);

      const firstPageOffered = level <= 2 || (level === 3 && has.firstLevel1GibPages);
      this.firstLevel.set(
        reservedMask(FirstLevelEntry, width, unless(firstPageOffered, first.pageSize)),
        level * 2,
      );
      const firstPage = reservedMask(FirstLevelEntry, width, unless(firstPageOffered, first.pageSize));
      // Bit 12 of a large page is its page-attribute bit, not part of the address.
      if (large) setBits(firstPage, 13, 11 + 9 * (level - 1));
      this.firstLevel.set(firstPage, PAGE_MASKS + level * 2);
    }
  }
}
