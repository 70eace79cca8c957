/** The PCI tree as the screens show it, from the kernel's bus scan. */
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import type { PciTopology } from '../kernel/pci/scan.ts';
import { Sriov } from '../pci/capabilities/sriov.ts';
import type { Work } from '../work.ts';
import { classNameOf } from './class-names.ts';
import type { AuxiliaryModeState, DeviceNode, RootBusNode } from './state.ts';

/** Top devices between two pauses. */
const DEVICES_A_STEP = 64;

/** What the tree asks about a device besides what the scan found. */
export interface DeviceFacts {
  describe(device: PciDevice): {
    readonly name: string | undefined;
    readonly className: string | undefined;
    readonly numaNode: number | undefined;
  };
  driver(device: PciDevice): string | undefined;
  group(device: PciDevice): number | undefined;
  unit(device: PciDevice): string | undefined;
  auxiliaryMode(device: PciDevice): AuxiliaryModeState;
  mdevs(device: PciDevice): readonly string[];
  assignedTo(device: PciDevice): string | undefined;
}

/** All root buses with their devices, a pause after some of them. */
export function* deviceTree(topology: PciTopology, facts: DeviceFacts): Work<RootBusNode[]> {
  const virtual = new VirtualFunctions(topology);
  const total = topology.devices.length;
  const roots: RootBusNode[] = [];
  let done = 0;
  for (const root of topology.roots) {
    const devices: DeviceNode[] = [];
    for (const device of virtual.devicesOn(root)) {
      devices.push(nodeOf(device, facts, virtual));
      done += 1;
      if (done % DEVICES_A_STEP === 0) yield { done, total };
    }
    roots.push({ segment: root.segment, bus: root.number, devices });
  }
  return roots;
}

/** One device with what hangs below it. */
export function deviceNode(device: PciDevice, topology: PciTopology, facts: DeviceFacts): DeviceNode {
  return nodeOf(device, facts, new VirtualFunctions(topology));
}

interface Found {
  readonly names: ReadonlyMap<PciDevice, string[]>;
  readonly beside: ReadonlyMap<PciDevice['bus'], PciDevice[]>;
}

/**
 * Virtual functions by the physical one, and by the bus they hang off where they have a bus of their own. Looked for when
 * first asked: a device that can have none and leads nowhere does not ask.
 */
class VirtualFunctions {
  private readonly topology: PciTopology;
  private looked: Found | undefined;

  constructor(topology: PciTopology) {
    this.topology = topology;
  }

  private get found(): Found {
    if (this.looked !== undefined) return this.looked;
    const names = new Map<PciDevice, string[]>();
    const beside = new Map<PciDevice['bus'], PciDevice[]>();
    for (const device of this.topology.devices) {
      if (device.physicalFunction === undefined) continue;
      append(names, device.physicalFunction, device.name);
      const { bus } = device;
      if (bus.bridge === undefined && bus.parent !== undefined) append(beside, bus.parent, device);
    }
    this.looked = { names, beside };
    return this.looked;
  }

  of(physical: PciDevice): readonly string[] {
    return this.found.names.get(physical) ?? [];
  }

  /** Devices of a bus, with those on virtual buses that hang off it (VFs beyond its number), by address. */
  devicesOn(bus: PciDevice['bus']): PciDevice[] {
    return [...bus.devices, ...(this.found.beside.get(bus) ?? [])].sort(
      (a, b) => a.bus.number - b.bus.number || a.devfn - b.devfn,
    );
  }
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function nodeOf(device: PciDevice, facts: DeviceFacts, virtual: VirtualFunctions): DeviceNode {
  const described = facts.describe(device);
  const sriov = device.extendedCapability(Sriov.id);
  const below = device.subordinate === undefined ? [] : virtual.devicesOn(device.subordinate);
  return {
    address: device.name,
    name: described.name,
    className: described.className ?? classNameOf(device.classCode),
    vendorId: device.vendorId,
    deviceId: device.deviceId,
    classCode: device.classCode,
    revision: device.revision,
    headerType: device.headerType,
    portType: device.portType,
    isBridge: device.isBridge,
    secondaryBus: device.subordinate?.number,
    subordinateBus: device.subordinate?.lastNumber,
    driver: facts.driver(device),
    group: facts.group(device),
    unit: facts.unit(device),
    numaNode: described.numaNode,
    physicalFunction: device.physicalFunction?.name,
    virtualFunctions: sriov === undefined ? [] : virtual.of(device),
    totalVirtualFunctions: sriov === undefined ? 0 : device.read(sriov + 0x0e, 2),
    auxiliaryMode: facts.auxiliaryMode(device),
    mdevs: facts.mdevs(device),
    assignedTo: facts.assignedTo(device),
    children: below.map((one) => nodeOf(one, facts, virtual)),
  };
}
