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
  const virtual = virtualFunctionNames(topology);
  return topology.roots.map((root) => ({
    segment: root.segment,
    bus: root.number,
    devices: devicesOn(root, topology).map((device) => nodeOf(device, topology, facts, virtual)),
  }));
}

/** One device with what hangs below it. */
export function deviceNode(device: PciDevice, topology: PciTopology, facts: DeviceFacts): DeviceNode {
  return nodeOf(device, topology, facts, virtualFunctionNames(topology));
}

function virtualFunctionNames(topology: PciTopology): Map<PciDevice, string[]> {
  const names = new Map<PciDevice, string[]>();
  for (const device of topology.devices) {
    if (device.physicalFunction === undefined) continue;
    const list = names.get(device.physicalFunction) ?? [];
    list.push(device.name);
    names.set(device.physicalFunction, list);
  }
  return names;
}

/** Devices of a bus, with those on virtual buses that hang off it (virtual functions beyond its number), by address. */
function devicesOn(bus: PciDevice['bus'], topology: PciTopology): PciDevice[] {
  const own = [...bus.devices];
  for (const device of topology.devices) {
    const at = device.bus;
    if (at !== bus && at.bridge === undefined && at.parent === bus) own.push(device);
  }
  return own.sort((a, b) => a.bus.number - b.bus.number || a.devfn - b.devfn);
}

function nodeOf(
  device: PciDevice,
  topology: PciTopology,
  facts: DeviceFacts,
  virtual: ReadonlyMap<PciDevice, readonly string[]>,
): DeviceNode {
  const described = facts.describe(device);
  const sriov = device.extendedCapability(Sriov.id);
  const below = device.subordinate === undefined ? [] : devicesOn(device.subordinate, topology);
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
    virtualFunctions: virtual.get(device) ?? [],
    totalVirtualFunctions: sriov === undefined ? 0 : device.read(sriov + 0x0e, 2),
    auxiliaryMode: facts.auxiliaryMode(device),
    mdevs: facts.mdevs(device),
    assignedTo: facts.assignedTo(device),
    children: below.map((one) => nodeOf(one, topology, facts, virtual)),
  };
}
