/** Reserved regions of several devices as those of their group (iommu_insert_resv_region). */
import type { ReservedRegion, ReservedType } from './types.ts';

const ORDER: readonly ReservedType[] = ['direct', 'direct-relaxable', 'reserved', 'msi', 'software-msi'];

/** Sorted by start, then type; regions of one type that touch or overlap are merged, different types never. */
export function unionOfRegions(lists: readonly (readonly ReservedRegion[])[]): ReservedRegion[] {
  const sorted = lists
    .flat()
    .sort((a, b) =>
      a.start !== b.start ? (a.start < b.start ? -1 : 1) : ORDER.indexOf(a.type) - ORDER.indexOf(b.type),
    );
  const merged: ReservedRegion[] = [];
  for (const region of sorted) {
    const index = merged.findIndex((each) => each.type === region.type && each.end + 1n >= region.start);
    if (index === -1) {
      merged.push(region);
      continue;
    }
    const into = merged[index];
    const because =
      into.because === region.because ? into.because : [into.because, region.because].join(', ');
    merged[index] = { ...into, end: later(into.end, region.end), because };
  }
  return merged;
}

const later = (a: bigint, b: bigint): bigint => (a < b ? b : a);
