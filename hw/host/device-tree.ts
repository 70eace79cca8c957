/** The PCI tree as the screens show it, from the kernel's bus scan. */
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import type { PciTopology } from '../kernel/pci/scan.ts';
import { Sriov } from '../pci/capabilities/sriov.ts';
import { classNameOf } from './class-names.ts';
import type { AuxiliaryModeState, DeviceNode, RootBusNode } from './state.ts';

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

/** All root buses with their devices. */
export function deviceTree(topology: PciTopology, facts: DeviceFacts): RootBusNode[] {
  const virtual = new VirtualFunctions(topology);
  return topology.roots.map((root) => ({
    segment: root.segment,
    bus: root.number,
    devices: virtual.devicesOn(root).map((device) => nodeOf(device, facts, virtual)),
  }));
}

/** One device with what hangs below it. */
export function deviceNode(device: PciDevice, topology: PciTopology, facts: DeviceFacts): DeviceNode {
  return nodeOf(device, facts, new VirtualFunctions(topology));
}

/** Virtual functions by the physical one, and by the bus they hang off where they have a bus of their own. */
class VirtualFunctions {
  private readonly names = new Map<PciDevice, string[]>();
  private readonly beside = new Map<PciDevice['bus'], PciDevice[]>();

  constructor(topology: PciTopology) {
    for (const device of topology.devices) {
      if (device.physicalFunction === undefined) continue;
      append(this.names, device.physicalFunction, device.name);
      const { bus } = device;
      if (bus.bridge === undefined && bus.parent !== undefined) append(this.beside, bus.parent, device);
    }
  }

  of(physical: PciDevice): readonly string[] {
    return this.names.get(physical) ?? [];
  }

  /** Devices of a bus, with those on virtual buses that hang off it (VFs beyond its number), by address. */
  devicesOn(bus: PciDevice['bus']): PciDevice[] {
    return [...bus.devices, ...(this.beside.get(bus) ?? [])].sort(
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
    virtualFunctions: virtual.of(device),
    totalVirtualFunctions: sriov === undefined ? 0 : device.read(sriov + 0x0e, 2),
    auxiliaryMode: facts.auxiliaryMode(device),
    mdevs: facts.mdevs(device),
    assignedTo: facts.assignedTo(device),
    children: below.map((one) => nodeOf(one, facts, virtual)),
  };
}
