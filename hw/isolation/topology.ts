/** The PCI tree of a described host, with capabilities decoded: what `vtdeck topology` shows. */
import type { HostDescription } from '../host-description.ts';
import type { PciBus, PciDevice } from '../kernel/pci/pci-device.ts';
import { type DecodedFunction, decodeFunction } from '../pci/decode.ts';
import { type MachineProblem, scanMachine } from './machine.ts';

export interface TopologyNode {
  readonly address: string;
  /** From sysfs where configuration space reads ffff (virtual functions). */
  readonly vendorId: number;
  readonly deviceId: number;
  readonly name: string | undefined;
  readonly className: string | undefined;
  readonly driver: string | null | undefined;
  readonly numaNode: number | undefined;
  readonly portType: string;
  readonly multifunction: boolean;
  readonly physicalFunction: string | undefined;
  /** Requester ids of its DMA as `00:1f.2`, its own first. */
  readonly requesterIds: readonly string[];
  /** Registers that the source does not show. */
  readonly unknown: readonly string[];
  readonly decoded: DecodedFunction;
  readonly secondaryBus: number | undefined;
  readonly lastBus: number | undefined;
  readonly children: readonly TopologyNode[];
}

export interface TopologyRoot {
  readonly segment: number;
  readonly bus: number;
  readonly devices: readonly TopologyNode[];
}

export interface TopologyReport {
  readonly roots: readonly TopologyRoot[];
  readonly deviceCount: number;
  readonly problems: readonly MachineProblem[];
}

/** The tree of a host, virtual functions included. */
export function topologyOf(description: HostDescription): TopologyReport {
  const machine = scanMachine({ ...description, formerFunctions: undefined });
  const { topology, described } = machine;
  for (const device of [...topology.devices]) topology.addVirtualFunctions(device);
  const virtualBuses = new Map<PciBus, PciDevice[]>();
  for (const device of topology.devices) {
    if (device.bus.bridge !== undefined || device.bus.parent === undefined) continue;
    const list = virtualBuses.get(device.bus.parent) ?? [];
    list.push(device);
    virtualBuses.set(device.bus.parent, list);
  }
  const nodesOf = (bus: PciBus): TopologyNode[] =>
    [...bus.devices]
      .sort((a, b) => a.devfn - b.devfn)
      .map(nodeOf)
      .concat((virtualBuses.get(bus) ?? []).map(nodeOf));
  const nodeOf = (device: PciDevice): TopologyNode => {
    const one = described.get(device.name);
    const size = one?.configSize ?? (one?.config === undefined ? 256 : one.config.length / 2);
    return {
      address: device.name,
      vendorId: device.vendorId,
      deviceId: device.deviceId,
      name: one?.name,
      className: one?.className,
      driver: one?.driver,
      numaNode: one?.numaNode,
      portType: device.portType,
      multifunction: device.multifunction,
      physicalFunction: device.physicalFunction?.name,
      requesterIds: device.dmaAliases.map(requesterText),
      unknown: one?.unknown ?? [],
      decoded: decodeFunction((offset, width) => device.read(offset, width), size, one?.barSizes),
      secondaryBus: device.subordinate?.number,
      lastBus: device.subordinate?.lastNumber,
      children: device.subordinate === undefined ? [] : nodesOf(device.subordinate),
    };
  };
  return {
    roots: topology.roots.map((root) => ({
      segment: root.segment,
      bus: root.number,
      devices: nodesOf(root),
    })),
    deviceCount: topology.devices.length,
    problems: machine.problems,
  };
}

function requesterText(requesterId: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${hex(requesterId >>> 8)}:${hex((requesterId >>> 3) & 31)}.${requesterId & 7}`;
}
