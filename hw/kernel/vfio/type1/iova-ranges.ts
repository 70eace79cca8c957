/**
 * The addresses a container may map (iova_list of vfio_iommu): sorted, disjoint ranges of pages, both ends included.
 * An empty list stands for "everything", as long as no IOMMU domain is in the container. vfio_iommu_type1.c.
 */
import type { IommuCore, IommuGroup, ReservedRegion } from '../../iommu/types.ts';
import { type MappingTable, NONE } from './mapping-table.ts';

/** Pages, both ends included. */
export interface PageRange {
  readonly first: number;
  readonly last: number;
}

/** The last page there is: 2^64 bytes. */
export const LAST_PAGE = 2 ** 52 - 1;

/** Reserved regions of a group that user mappings must keep out of, as pages. Relaxable direct ones don't count. */
export function blockedRanges(core: IommuCore, group: IommuGroup): PageRange[] {
  return core
    .reservedRegions(group)
    .filter((region: ReservedRegion) => region.type !== 'direct-relaxable')
    .map((region) => ({ first: Number(region.start >> 12n), last: Number(region.end >> 12n) }));
}

/** True when a domain with this aperture can't take over the container's mappings (vfio_iommu_aper_conflict). */
export function apertureConflicts(
  ranges: readonly PageRange[],
  mappings: MappingTable,
  aperture: PageRange,
): boolean {
  const lowest = ranges[0];
  const highest = ranges.at(-1);
  if (lowest === undefined || highest === undefined) return false;
  if (aperture.first > highest.last || aperture.last < lowest.first) return true;
  if (aperture.first > lowest.first && mappings.find(lowest.first, aperture.first) !== NONE) return true;
  return aperture.last < highest.last && mappings.find(aperture.last + 1, highest.last + 1) !== NONE;
}

/** Cuts the list to an aperture; an empty list becomes the aperture (vfio_iommu_aper_resize). */
export function withinAperture(ranges: readonly PageRange[], aperture: PageRange): PageRange[] {
  if (ranges.length === 0) return [aperture];
  return ranges
    .filter((range) => range.last >= aperture.first && range.first <= aperture.last)
    .map((range) => ({
      first: Math.max(range.first, aperture.first),
      last: Math.min(range.last, aperture.last),
    }));
}

/** Cuts regions out of the list (vfio_iommu_resv_exclude). */
export function without(ranges: readonly PageRange[], blocked: readonly PageRange[]): PageRange[] {
  let result = [...ranges];
  for (const hole of blocked) {
    result = result.flatMap((range) => {
      if (hole.first > range.last || hole.last < range.first) return [range];
      const rest: PageRange[] = [];
      if (range.first < hole.first) rest.push({ first: range.first, last: hole.first - 1 });
      if (range.last > hole.last) rest.push({ first: hole.last + 1, last: range.last });
      return rest;
    });
  }
  return result;
}

/** True when a mapping may lie at these pages: inside one range, or anywhere when there is no list. */
export function mayHold(ranges: readonly PageRange[], first: number, last: number): boolean {
  if (ranges.length === 0) return true;
  return ranges.some((range) => first >= range.first && last <= range.last);
}
