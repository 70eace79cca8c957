/**
 * Devices that are not PCI. A group describes what the hardware can tell apart, whatever bus a device is on: a platform
 * device behind a unit has a group of its own; a vDPA device does its DMA with the requester id of its parent, so it
 * stays in the parent's group; a mediated device is isolated by its parent's driver and has a group of its own that no
 * IOMMU enforces.
 */
import { sameNamePath } from '../acpi/name-path.ts';
import type { HostDescription, OtherDeviceDescription } from '../host-description.ts';
import type { FormedGroup, GroupFormation } from '../kernel/iommu/grouping-formation.ts';
import type { GroupingReason } from '../kernel/iommu/grouping-reasons.ts';
import { MSI_REGION } from '../kernel/iommu/grouping-reserved.ts';
import type { UnitLookup } from '../kernel/iommu/grouping-units.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import type { PciTopology } from '../kernel/pci/scan.ts';

interface OtherMember {
  readonly name: string;
  readonly reason: GroupingReason;
}

/** The devices of a description that are not PCI, and the groups they get. */
export class OtherDevices {
  /** By group number. */
  readonly members = new Map<number, OtherMember[]>();
  private readonly waiting: Set<OtherDeviceDescription>;
  private readonly formation: GroupFormation;
  private readonly lookup: UnitLookup | undefined;
  private readonly topology: PciTopology;

  constructor(
    description: HostDescription,
    formation: GroupFormation,
    lookup: UnitLookup | undefined,
    topology: PciTopology,
  ) {
    this.waiting = new Set(description.otherDevices);
    this.formation = formation;
    this.lookup = lookup;
    this.topology = topology;
  }

  /** Platform devices that a unit's scopes name: the platform bus is offered to a unit before PCI is. */
  joinUnit(order: number): void {
    const unit = this.lookup?.units[order];
    if (unit === undefined || unit.ignored !== undefined) return;
    const named = this.lookup?.namespaceDevices(unit) ?? [];
    for (const one of this.waiting) {
      const path = one.acpiPath;
      if (path === undefined || one.bus === 'mdev' || this.parentOf(one) !== undefined) continue;
      if (!named.some((name) => sameNamePath(name, path))) continue;
      this.waiting.delete(one);
      this.put(
        this.formation.allocate([MSI_REGION]),
        one,
        null,
        `${unit.name} names it (${one.acpiPath}) in a device scope.`,
      );
    }
  }

  /** Devices that a driver made on top of another, after boot. */
  joinParents(): void {
    for (const one of this.waiting) {
      const parent = this.parentOf(one);
      const group = parent === undefined ? undefined : this.formation.groupOf(parent);
      if (one.bus === 'mdev') {
        const detail = `A mediated device: ${one.parent ?? 'its parent'} isolates it, no IOMMU enforces this group.`;
        this.put(this.formation.allocate(), one, null, detail);
      } else if (group !== undefined && parent !== undefined) {
        const detail = `Its DMA carries the requester id of ${parent.name}: the IOMMU can't tell the two apart.`;
        this.put(group, one, parent.name, detail);
      }
    }
  }

  private parentOf(one: OtherDeviceDescription): PciDevice | undefined {
    return one.parent === undefined ? undefined : this.topology.find(one.parent);
  }

  private put(group: FormedGroup, one: OtherDeviceDescription, partner: string | null, detail: string): void {
    const list = this.members.get(group.id) ?? [];
    list.push({ name: one.name, reason: { device: one.name, with: partner, rule: 'not PCI', detail } });
    this.members.set(group.id, list);
  }
}
