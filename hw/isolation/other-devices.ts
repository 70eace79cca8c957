/**
 * Devices that are not PCI. A group describes what the hardware can tell apart, whatever bus a device is on: a platform
 * device behind a unit has a group of its own; a vDPA device does its DMA with the requester id of its parent, so it
 * stays in the parent's group; a mediated device is isolated by its parent's driver and has a group of its own that no
 * IOMMU enforces.
 */
import type { HostDescription, OtherDeviceDescription } from '../host-description.ts';
import type { FormedGroup, GroupFormation } from '../kernel/iommu/grouping-formation.ts';
import type { GroupingReason } from '../kernel/iommu/grouping-reasons.ts';
import type { UnitLookup } from '../kernel/iommu/grouping-units.ts';
import type { PciTopology } from '../kernel/pci/scan.ts';

interface OtherMember {
  readonly name: string;
  readonly reason: GroupingReason;
}

/** Adds them to the formed groups; members by group number. */
export function addOtherDevices(
  description: HostDescription,
  formation: GroupFormation,
  lookup: UnitLookup | undefined,
  topology: PciTopology,
): Map<number, OtherMember[]> {
  const members = new Map<number, OtherMember[]>();
  const put = (
    group: FormedGroup,
    one: OtherDeviceDescription,
    partner: string | null,
    detail: string,
  ): void => {
    const list = members.get(group.id) ?? [];
    list.push({ name: one.name, reason: { device: one.name, with: partner, rule: 'not PCI', detail } });
    members.set(group.id, list);
  };
  for (const one of description.otherDevices ?? []) {
    const parent = one.parent === undefined ? undefined : topology.find(one.parent);
    const parentGroup = parent === undefined ? undefined : formation.groupOf(parent);
    if (one.bus === 'mdev') {
      put(
        formation.allocate(),
        one,
        null,
        `A mediated device: ${one.parent ?? 'its parent'} isolates it, no IOMMU enforces this group.`,
      );
    } else if (parentGroup !== undefined && parent !== undefined) {
      put(
        parentGroup,
        one,
        parent.name,
        `Its DMA carries the requester id of ${parent.name}: the IOMMU can't tell the two apart.`,
      );
    } else {
      const unit = lookup?.units.find(
        (candidate) =>
          one.acpiPath !== undefined && lookup.namespaceDevices(candidate).includes(one.acpiPath),
      );
      if (unit !== undefined) {
        put(formation.allocate(), one, null, `${unit.name} names it (${one.acpiPath}) in a device scope.`);
      }
    }
  }
  return members;
}
