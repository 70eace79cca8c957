/**
 * How the driver fills paging entries: the two formats of VT-d (second level 9.8, first level 9.7) as the kernel
 * generations write them. Each entry is two 32-bit halves.
 */
import { FirstLevelEntry, SecondLevelEntry } from '../../vtd/layouts.ts';
import { IommuProt } from '../iommu/types.ts';
import type { KernelProfile } from '../profile.ts';

export interface PageTableFormat {
  readonly kind: 'first-level' | 'second-level';
  /** An entry with none of these low bits is empty. */
  readonly presentMask: number;
  /** The bit of a large page. */
  readonly largeBit: number;
  /** Bits of an entry that leads to a table. */
  readonly tableLow: number;
  readonly tableHigh: number;
  /** Bits of a leaf, without the large-page bit, by rights (`IommuProt`). */
  leafLow(prot: number): number;
  readonly leafHigh: number;
  /** Rights of a leaf from its low half. */
  rightsOf(low: number): number;
}

const second = SecondLevelEntry.fields;
const first = FirstLevelEntry.fields;
const RIGHTS = IommuProt.read | IommuProt.write;

/**
 * Second level. `snoop`: leaves carry SNP (bit 11): every leaf of a domain that enforces snooping, and before 7.x each
 * mapping that asks for it on units that have it. `alwaysReadable`: R whatever is asked, as before 7.x.
 */
export function secondLevelFormat(
  snoop: 'never' | 'on-request' | 'always',
  alwaysReadable = false,
): PageTableFormat {
  return {
    kind: 'second-level',
    presentMask: second.read.mask | second.write.mask,
    largeBit: second.pageSize.mask,
    tableLow: second.read.mask | second.write.mask,
    tableHigh: 0,
    leafLow(prot) {
      const snooped = snoop === 'always' || (snoop === 'on-request' && (prot & IommuProt.cache) !== 0);
      return (
        (alwaysReadable || (prot & IommuProt.read) !== 0 ? second.read.mask : 0) |
        ((prot & IommuProt.write) !== 0 ? second.write.mask : 0) |
        (snooped ? second.snoop.mask : 0)
      );
    },
    leafHigh: 0,
    rightsOf: (low) => low & RIGHTS,
  };
}

/**
 * First level: A in everything, D in writable leaves. Before 7.x XD is set everywhere as well (no device fetches code).
 */
export function firstLevelFormat(profile: KernelProfile): PageTableFormat {
  const executeDisable = profile.firstLevelExecuteDisable ? 0x80000000 : 0;
  const always = first.present.mask | first.user.mask | first.accessed.mask;
  return {
    kind: 'first-level',
    presentMask: first.present.mask,
    largeBit: first.pageSize.mask,
    tableLow: always | first.write.mask,
    tableHigh: executeDisable,
    leafLow(prot) {
      const writable = (prot & IommuProt.write) !== 0;
      return always | (writable ? first.write.mask | first.dirty.mask : 0);
    },
    leafHigh: executeDisable,
    rightsOf: (low) => IommuProt.read | ((low & first.write.mask) !== 0 ? IommuProt.write : 0),
  };
}
