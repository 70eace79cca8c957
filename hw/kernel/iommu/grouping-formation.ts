/**
 * All groups of a machine, formed as Linux forms them at boot and afterwards: unit by unit, device by device, the lowest
 * free number first; later additions and removals in the order in which they happened.
 */

import type { AcsContext } from '../pci/acs.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import { type GroupingDecision, pciDeviceGroup } from './grouping.ts';
import type { DefaultType } from './grouping-default-type.ts';
import { type GroupingReason, reasonOf } from './grouping-reasons.ts';
import { mergeReservedRegions } from './grouping-reserved.ts';
import type { ReservedRegion } from './types.ts';

/** How a device relates to the IOMMUs of the machine. */
export interface Coverage {
  /** Undefined: no unit covers the device. `order` is the unit's place in the probe order. */
  unitOf(device: PciDevice): { readonly order: number } | undefined;
  whyNone(device: PciDevice): string;
  /** What the device keeps reserved. */
  reservedRegions(device: PciDevice): readonly ReservedRegion[];
  defaultType(members: readonly PciDevice[]): DefaultType;
  /** Number of units; devices are probed for each of them in turn. */
  readonly unitCount: number;
}

export class FormedGroup {
  readonly id: number;
  readonly members: PciDevice[] = [];
  /** What a member that is not PCI keeps reserved. */
  readonly reserved: readonly ReservedRegion[];
  /** Set by a write to the group's `type`. */
  chosenType: DefaultType | undefined;

  constructor(id: number, reserved: readonly ReservedRegion[]) {
    this.id = id;
    this.reserved = reserved;
  }
}

export class GroupFormation {
  private readonly coverage: Coverage;
  private readonly context: AcsContext;
  private readonly byId = new Map<number, FormedGroup>();
  private readonly byDevice = new Map<PciDevice, FormedGroup>();
  private readonly decisions = new Map<PciDevice, GroupingDecision>();
  private readonly uncovered = new Set<PciDevice>();
  private nextFree = 0;

  constructor(coverage: Coverage, context: AcsContext) {
    this.coverage = coverage;
    this.context = context;
  }

  get groups(): FormedGroup[] {
    return [...this.byId.values()].sort((a, b) => a.id - b.id);
  }

  get ungrouped(): PciDevice[] {
    return [...this.uncovered];
  }

  groupOf(device: PciDevice): FormedGroup | undefined {
    return this.byDevice.get(device);
  }

  whyUngrouped(device: PciDevice): string {
    return this.coverage.whyNone(device);
  }

  /**
   * iommu_device_register for each unit: every device is offered, each unit takes its own.
   * @param first called for each unit before its PCI devices: iommu_buses has the platform bus in front
   */
  boot(devices: readonly PciDevice[], first?: (unitOrder: number) => void): void {
    const byUnit: PciDevice[][] = Array.from({ length: this.coverage.unitCount }, () => []);
    for (const device of devices) {
      const unit = this.coverage.unitOf(device);
      if (unit === undefined) this.uncovered.add(device);
      else byUnit[unit.order].push(device);
    }
    for (const [order, list] of byUnit.entries()) {
      first?.(order);
      for (const device of list) this.join(device);
    }
  }

  /** A device that appeared after boot. */
  add(device: PciDevice): void {
    if (this.coverage.unitOf(device) === undefined) this.uncovered.add(device);
    else this.join(device);
  }

  /** A device that is gone; the last one frees the group's number. */
  remove(device: PciDevice): void {
    this.uncovered.delete(device);
    this.decisions.delete(device);
    const group = this.byDevice.get(device);
    this.byDevice.delete(device);
    if (group === undefined) return;
    group.members.splice(group.members.indexOf(device), 1);
    if (group.members.length > 0) return;
    this.byId.delete(group.id);
    this.nextFree = Math.min(this.nextFree, group.id);
  }

  private join(device: PciDevice): void {
    const { group, decision } = pciDeviceGroup(device, (other) => this.byDevice.get(other), this.context);
    const joined = group ?? this.allocate();
    joined.members.push(device);
    this.byDevice.set(device, joined);
    this.decisions.set(device, decision);
  }

  /** A group with the lowest free number (also for devices that are not PCI). */
  allocate(reserved: readonly ReservedRegion[] = []): FormedGroup {
    while (this.byId.has(this.nextFree)) this.nextFree += 1;
    const group = new FormedGroup(this.nextFree, reserved);
    this.byId.set(group.id, group);
    return group;
  }

  typeOf(group: FormedGroup): DefaultType {
    return group.chosenType ?? this.coverage.defaultType(group.members);
  }

  reservedOf(group: FormedGroup): ReservedRegion[] {
    const ofMembers = group.members.flatMap((device) => this.coverage.reservedRegions(device));
    return mergeReservedRegions([...group.reserved, ...ofMembers]);
  }

  /** One reason per member. The first member of a larger group is told by what ties the next one to it. */
  reasonsOf(group: FormedGroup): GroupingReason[] {
    return group.members.map((device, index) => {
      if (index > 0 || group.members.length === 1) return this.reasonNow(device, group);
      const second = this.reasonNow(group.members[1], group);
      return {
        device: device.name,
        with: second.device,
        rule: second.rule,
        detail: `${second.device} belongs to it: ${second.detail}`,
      };
    });
  }

  /** The reason of old, told with members that are still there: groups never part, also when what tied them is gone. */
  private reasonNow(device: PciDevice, group: FormedGroup): GroupingReason {
    const decision = this.decisions.get(device);
    if (decision === undefined) {
      return { device: device.name, with: null, rule: 'alone', detail: 'It was given a group of its own.' };
    }
    const reason = reasonOf(device, decision, this.context);
    const partner = reason.with;
    const others = group.members.filter((other) => other !== device);
    if (partner === null || others.some((other) => other.name === partner)) return reason;
    const gone = `${reason.detail} ${partner} has been removed since.`;
    if (others.length === 0) return { ...reason, with: null, rule: 'alone', detail: gone };
    return { ...reason, with: others[0].name, detail: gone };
  }
}
