/** Listings of IOMMU groups as Linux shows them: only ever used to compare with. */

/** Device name → group number. */
export type GroupListing = ReadonlyMap<string, number>;

/** Reads `find /sys/kernel/iommu_groups -type l`, `ls -l` of it, or lines `IOMMU Group 3 00:1f.2 …` of the usual script. */
export function parseGroupListing(text: string): Map<string, number> {
  const listing = new Map<string, number>();
  for (const line of text.split('\n')) {
    const link = /iommu_groups\/(\d+)\/devices\/(\S+)/.exec(line);
    const script =
      /^\s*IOMMU [Gg]roup:? (\d+):?\s+(?:\S+\s+)?((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\b/.exec(
        line,
      );
    const match = link ?? script;
    if (match === null) continue;
    const name = /^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(match[2]) ? `0000:${match[2]}` : match[2];
    listing.set(name, Number(match[1]));
  }
  return listing;
}
