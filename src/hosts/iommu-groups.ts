/** Listings of IOMMU groups as Linux shows them: only ever used to compare with. */

import type { GroupsReport } from '../../hw/index.ts';

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

/** A device that the computed groups place otherwise than the listing does. */
export interface ListingDifference {
  readonly device: string;
  /** `members`: other company. `number`: the same company under another number. */
  readonly kind: 'members' | 'number';
  readonly text: string;
}

/** Computed groups against a listing. Devices that the computation leaves open are no difference. */
export function listingDifferences(report: GroupsReport, listing: GroupListing): ListingDifference[] {
  const listed = new Map<number, string[]>();
  for (const [device, group] of listing) listed.set(group, [...(listed.get(group) ?? []), device]);
  const open = new Set(report.unknown.map((one) => one.device));
  const computed = new Map(
    report.groups.flatMap((group) => group.devices.map((device) => [device, group] as const)),
  );
  const differences: ListingDifference[] = [];
  for (const device of new Set([...listing.keys(), ...computed.keys()])) {
    if (open.has(device)) continue;
    const group = computed.get(device);
    const number = listing.get(device);
    const members = number === undefined ? [] : (listed.get(number) ?? []);
    const same =
      group !== undefined &&
      group.devices.length === members.length &&
      members.every((one) => group.devices.includes(one));
    if (!same) {
      differences.push({
        device,
        kind: 'members',
        text: `computed with ${group?.devices.join(', ') ?? 'nobody (no group)'}; listed with ${members.join(', ') || 'nobody (no group)'}`,
      });
    } else if (group.id !== number) {
      differences.push({
        device,
        kind: 'number',
        text: `computed as group ${group.id}, listed as ${number}`,
      });
    }
  }
  return differences;
}
