/**
 * Which IOMMU group a PCI device belongs to: pci_device_group of drivers/iommu/iommu.c. The walk records what decided,
 * so that a reason can be told in words later; deciding itself makes no text.
 */
import { type AcsContext, acsEnabled, firstOpenBridge, GROUPING_CONTROLS } from '../pci/acs.ts';
import { type AliasKind, areDmaAliases, busHasAliases, forEachDmaAlias } from '../pci/dma-alias.ts';
import type { PciBus, PciDevice } from '../pci/pci-device.ts';

/** A bridge that the climb passed, and which device up there does not isolate. */
export interface Climb {
  readonly to: PciDevice;
  readonly openBridge: PciDevice;
}

/** What decided. `at` is the device from which the last step looked around. */
export type GroupingDecision =
  | {
      readonly kind: 'alias';
      readonly with: PciDevice;
      readonly alias: AliasKind;
      readonly requesterId: number;
    }
  | { readonly kind: 'upstream'; readonly with: PciDevice; readonly climbs: readonly Climb[] }
  | {
      readonly kind: 'sideways alias' | 'sibling function';
      readonly with: PciDevice;
      readonly at: PciDevice;
      readonly climbs: readonly Climb[];
    }
  | { readonly kind: 'new'; readonly at: PciDevice; readonly climbs: readonly Climb[] };

export interface GroupingResult<Group> {
  /** An existing group to join, or undefined: a new one. */
  readonly group: Group | undefined;
  readonly decision: GroupingDecision;
}

const NO_CLIMBS: readonly Climb[] = [];

/**
 * Finds the group to join among those that exist. Called once per device, in probe order.
 * @param groupOf the group a device is in, if any
 */
export function pciDeviceGroup<Group>(
  device: PciDevice,
  groupOf: (device: PciDevice) => Group | undefined,
  context: AcsContext,
): GroupingResult<Group> {
  let current = device;
  let joined: GroupingResult<Group> | undefined;
  // Step A: the topmost device whose requester id stands for this one.
  forEachDmaAlias(device, (by, requesterId, alias) => {
    current = by;
    const group = by === device ? undefined : groupOf(by);
    if (group === undefined) return false;
    joined = { group, decision: { kind: 'alias', with: by, alias, requesterId } };
    return true;
  });
  if (joined !== undefined) return joined;

  // Step B: as long as the way from the bridge above to the root is open somewhere, the bridge stands for the device.
  let climbs = NO_CLIMBS;
  for (let bus: PciBus | undefined = current.bus; bus?.parent !== undefined; bus = bus.parent) {
    const bridge = bus.bridge;
    if (bridge === undefined) continue;
    const openBridge = firstOpenBridge(bridge, GROUPING_CONTROLS, context);
    if (openBridge === undefined) break;
    current = bridge;
    climbs = [...climbs, { to: bridge, openBridge }];
    const group = groupOf(bridge);
    if (group !== undefined) return { group, decision: { kind: 'upstream', with: bridge, climbs } };
  }

  // Steps C and D: what shares a requester id sideways, then the functions of the slot.
  const search = new SidewaysSearch(groupOf, context);
  const aliased = search.aliases(current);
  if (aliased !== undefined) {
    const kind =
      current === aliased.found || aliased.through === 'alias' ? 'sideways alias' : 'sibling function';
    return { group: aliased.group, decision: { kind, with: aliased.found, at: current, climbs } };
  }
  const sibling = search.siblings(current);
  if (sibling !== undefined) {
    return {
      group: sibling.group,
      decision: { kind: 'sibling function', with: sibling.found, at: current, climbs },
    };
  }
  return { group: undefined, decision: { kind: 'new', at: current, climbs } };
}

interface Sideways<Group> {
  readonly group: Group;
  readonly found: PciDevice;
  readonly through: 'alias' | 'sibling';
}

/** get_pci_alias_group and get_pci_function_alias_group: depth first over one bus, each devfn once. */
class SidewaysSearch<Group> {
  private readonly visited = new Set<number>();
  private readonly groupOf: (device: PciDevice) => Group | undefined;
  private readonly context: AcsContext;

  constructor(groupOf: (device: PciDevice) => Group | undefined, context: AcsContext) {
    this.groupOf = groupOf;
    this.context = context;
  }

  aliases(device: PciDevice): Sideways<Group> | undefined {
    if (this.visited.has(device.devfn)) return undefined;
    this.visited.add(device.devfn);
    const own = this.groupOf(device);
    if (own !== undefined) return { group: own, found: device, through: 'alias' };
    if (!busHasAliases(device.bus)) return undefined;
    for (const other of device.bus.devices) {
      if (other === device || !areDmaAliases(device, other)) continue;
      const found = this.aliases(other) ?? this.siblings(other);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  siblings(device: PciDevice): Sideways<Group> | undefined {
    if (!device.multifunction || acsEnabled(device, GROUPING_CONTROLS, this.context)) return undefined;
    for (const other of device.bus.devices) {
      if (other === device || other.devfn >>> 3 !== device.devfn >>> 3) continue;
      if (acsEnabled(other, GROUPING_CONTROLS, this.context)) continue;
      const found = this.aliases(other);
      if (found !== undefined) return { ...found, through: 'sibling' };
    }
    return undefined;
  }
}
