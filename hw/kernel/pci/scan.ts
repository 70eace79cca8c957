/**
 * The bus scan (drivers/pci/probe.c): from configuration space alone to buses and devices, in the order in which the
 * driver core later walks them: all devices of a bus, then what lies behind each of its bridges in turn.
 */
import { formatPciAddress, type PciAddress } from '../../pci/address.ts';
import type { ConfigSpacePort } from '../../port.ts';
import type { PciDevice } from './pci-device.ts';
import { ScannedBus, ScannedDevice } from './scanned-device.ts';

/** A root bus as firmware announces it. */
export interface RootBus {
  readonly segment: number;
  readonly bus: number;
}

export interface ScanProblem {
  readonly device: string;
  readonly problem: string;
  /** The bus behind a bridge that could not be followed: what sits there has no known place. */
  readonly lostBus?: RootBus;
}

export interface PciTopology {
  readonly roots: readonly ScannedBus[];
  /** In probe order; virtual functions and hot-added devices after the rest. */
  readonly devices: readonly PciDevice[];
  readonly problems: readonly ScanProblem[];
  /** By `0000:00:1f.2`. */
  find(name: string): PciDevice | undefined;
  bus(segment: number, number: number): ScannedBus | undefined;
  /** Adds the virtual functions that a physical function has enabled and that are not known yet; those added. */
  addVirtualFunctions(physical: PciDevice): PciDevice[];
  /** Scans one slot again (hot plug); the functions that are new, with what lies behind them. */
  rescan(bus: ScannedBus): PciDevice[];
  /** Forgets a device and all that lies behind it (hot unplug, sysfs remove), deepest first. */
  remove(device: PciDevice): PciDevice[];
}

/** Segments from here up are made by Linux for devices behind a VMD endpoint (drivers/pci/controller/vmd.c). */
export const VMD_SEGMENT = 0x10000;

export interface ScanOptions {
  /** False: enabled VFs are left out until they are asked for. */
  readonly virtualFunctions?: boolean;
  /**
   * Functions that are known to be there although the scan may not reach them: a capture of a part of a machine lists
   * function 3 of a slot without function 0, or a chain of ARI functions with a hole.
   */
  readonly listed?: readonly PciAddress[];
}

/** Scans all root buses in the order given. */
export function scanPci(
  port: ConfigSpacePort,
  roots: readonly RootBus[],
  options: ScanOptions = {},
): PciTopology {
  const topology = new Topology(port, options.listed ?? []);
  for (const root of roots) topology.scanRoot(root);
  topology.linkVmd();
  if (options.virtualFunctions !== false) {
    for (const device of [...topology.devices]) topology.addVirtualFunctions(device);
  }
  return topology;
}

class Topology implements PciTopology {
  readonly roots: ScannedBus[] = [];
  readonly devices: ScannedDevice[] = [];
  readonly problems: ScanProblem[] = [];
  private readonly port: ConfigSpacePort;
  private readonly byName = new Map<string, ScannedDevice>();
  private readonly buses = new Map<number, ScannedBus>();

  /** Devfns that are listed, by segment and bus. */
  private readonly listed = new Map<number, number[]>();

  constructor(port: ConfigSpacePort, listed: readonly PciAddress[]) {
    this.port = port;
    for (const at of listed) {
      const key = at.segment * 256 + at.bus;
      const known = this.listed.get(key);
      const devfn = (at.device << 3) | at.function;
      if (known === undefined) this.listed.set(key, [devfn]);
      else known.push(devfn);
    }
  }

  find(name: string): ScannedDevice | undefined {
    return this.byName.get(name);
  }

  bus(segment: number, number: number): ScannedBus | undefined {
    return this.buses.get(segment * 256 + number);
  }

  scanRoot(root: RootBus): void {
    if (this.bus(root.segment, root.bus) !== undefined) {
      this.problems.push({ device: busName(root.segment, root.bus), problem: 'root bus announced twice' });
      return;
    }
    const bus = new ScannedBus(root.segment, root.bus, 255, undefined, undefined);
    this.buses.set(root.segment * 256 + root.bus, bus);
    this.roots.push(bus);
    this.scanBus(bus);
  }

  rescan(bus: ScannedBus): PciDevice[] {
    const before = new Set(this.devices);
    this.scanBus(bus);
    return this.devices.filter((device) => !before.has(device));
  }

  /** Functions first, then the bridges among them: pci_scan_child_bus. */
  private scanBus(bus: ScannedBus): void {
    const listed = this.listed.get(bus.segment * 256 + bus.number) ?? [];
    for (let slot = 0; slot < 32; slot += 1) {
      this.scanSlot(bus, slot);
      for (const devfn of listed) if (devfn >>> 3 === slot) this.scanFunction(bus, devfn, devfn & 7);
    }
    for (const device of [...bus.devices]) if (device.isBridge) this.scanBridge(device);
  }

  private scanSlot(bus: ScannedBus, slot: number): void {
    // A root or downstream port has one device below it, device 0 (only_one_child).
    if (slot > 0 && bus.bridge !== undefined && onlyOneChild(bus.bridge)) return;
    const first = this.scanFunction(bus, slot * 8, 0);
    if (first === undefined) return;
    if (slot === 0 && forwardsAri(bus) && first.isExpress) {
      this.scanAri(bus, first);
      return;
    }
    if (!first.multifunction) return;
    for (let fn = 1; fn < 8; fn += 1) this.scanFunction(bus, slot * 8 + fn, fn);
  }

  /** With ARI forwarding on, functions are a chain of numbers up to 255: next_ari_fn. */
  private scanAri(bus: ScannedBus, first: ScannedDevice): void {
    let device: ScannedDevice | undefined = first;
    let fn = 0;
    while (device !== undefined) {
      const ari: number | undefined = device.extendedCapability(0x0e);
      if (ari === undefined) return;
      const next = (device.read(ari + 4, 2) >>> 8) & 0xff;
      if (next <= fn) return;
      fn = next;
      device = this.scanFunction(bus, fn, fn);
    }
  }

  private scanFunction(bus: ScannedBus, devfn: number, fn: number): ScannedDevice | undefined {
    const at: PciAddress = {
      segment: bus.segment,
      bus: bus.number,
      device: devfn >>> 3,
      function: devfn & 7,
    };
    const id = this.port.read(at, 0, 4);
    // pci_bus_generic_read_dev_vendor_id: some boards return 0 or half ones for an empty slot.
    if (id === 0xffffffff || id === 0 || id === 0x0000ffff || id === 0xffff0000) return undefined;
    const name = formatPciAddress(at);
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const device = new ScannedDevice(this.port, bus, at, name, id & 0xffff, id >>> 16, {
      multifunction: fn > 0 || (this.port.read(at, 0x0e, 1) & 0x80) !== 0,
    });
    for (const problem of device.capabilityProblems) this.problems.push({ device: name, problem });
    this.addDevice(bus, device);
    return device;
  }

  private addDevice(bus: ScannedBus, device: ScannedDevice): void {
    bus.devices.push(device);
    this.devices.push(device);
    this.byName.set(device.name, device);
  }

  private scanBridge(device: ScannedDevice): void {
    if (device.subordinate !== undefined) {
      this.scanBus(device.subordinate);
      return;
    }
    const secondary = device.read(0x19, 1);
    const subordinate = device.read(0x1a, 1);
    if (secondary === 0 && subordinate === 0) return;
    const problem = this.busNumberProblem(device, secondary, subordinate);
    if (problem !== undefined) {
      this.problems.push({
        device: device.name,
        problem,
        lostBus: { segment: device.bus.segment, bus: secondary },
      });
      return;
    }
    const bus = new ScannedBus(device.bus.segment, secondary, subordinate, device.bus, device);
    this.buses.set(bus.segment * 256 + secondary, bus);
    device.subordinate = bus;
    this.scanBus(bus);
  }

  /** pci_scan_bridge_extend calls these "invalid" and would number the bridge anew; nothing behind it can be read here. */
  private busNumberProblem(
    device: ScannedDevice,
    secondary: number,
    subordinate: number,
  ): string | undefined {
    const range = `[bus ${hex(secondary)}-${hex(subordinate)}]`;
    if (secondary <= device.bus.number) {
      return `bridge configuration invalid (${range}): the secondary bus must lie beyond bus ${hex(device.bus.number)}`;
    }
    if (subordinate < secondary) {
      return `bridge configuration invalid (${range}): the range ends before it starts`;
    }
    const taken = this.bus(device.bus.segment, secondary);
    if (taken !== undefined) {
      const owner = taken.bridge === undefined ? 'a root bus' : `the bus behind ${taken.bridge.name}`;
      return `bridge configuration invalid (${range}): bus ${hex(secondary)} is ${owner} already`;
    }
    return undefined;
  }

  addVirtualFunctions(physical: PciDevice): PciDevice[] {
    const capability = physical.extendedCapability(0x10);
    if (capability === undefined || (physical.read(capability + 8, 2) & 1) === 0) return [];
    const count = physical.read(capability + 0x10, 2);
    const offset = physical.read(capability + 0x14, 2);
    const stride = physical.read(capability + 0x16, 2);
    const deviceId = physical.read(capability + 0x1a, 2);
    const added: PciDevice[] = [];
    for (let index = 0; index < count; index += 1) {
      const id = (physical.bus.number << 8) + physical.devfn + offset + stride * index;
      if (id > 0xffff) {
        this.problems.push({
          device: physical.name,
          problem: `virtual function ${index} would sit on bus 0x${(id >>> 8).toString(16)}, beyond the last`,
        });
        break;
      }
      const at: PciAddress = {
        segment: physical.bus.segment,
        bus: id >>> 8,
        device: (id >>> 3) & 31,
        function: id & 7,
      };
      const name = formatPciAddress(at);
      if (this.byName.has(name) || !this.answers(at)) continue;
      const bus = this.virtualBus(physical.bus as ScannedBus, at.bus);
      const device = new ScannedDevice(this.port, bus, at, name, physical.vendorId, deviceId, {
        multifunction: false,
        physicalFunction: physical,
      });
      this.addDevice(bus, device);
      added.push(device);
    }
    return added;
  }

  /** A virtual function reads ffff:ffff, so its presence shows in the other registers: the header type is never 0xff. */
  private answers(at: PciAddress): boolean {
    return this.port.read(at, 0x0e, 1) !== 0xff;
  }

  /** virtfn_add_bus: VFs beyond the PF's bus sit on a bus that no bridge leads to. */
  private virtualBus(physicalBus: ScannedBus, number: number): ScannedBus {
    if (number === physicalBus.number) return physicalBus;
    const known = this.bus(physicalBus.segment, number);
    if (known !== undefined) return known;
    const made = new ScannedBus(physicalBus.segment, number, number, physicalBus, undefined);
    this.buses.set(physicalBus.segment * 256 + number, made);
    return made;
  }

  remove(device: PciDevice): PciDevice[] {
    const removed: PciDevice[] = [];
    for (const other of [...this.devices]) {
      if (other.physicalFunction === device) removed.push(...this.remove(other));
    }
    if (device.subordinate !== undefined) {
      for (const below of [...device.subordinate.devices].reverse()) removed.push(...this.remove(below));
      this.buses.delete(device.bus.segment * 256 + device.subordinate.number);
    }
    const scanned = device as ScannedDevice;
    scanned.subordinate = undefined;
    drop((device.bus as ScannedBus).devices, scanned);
    drop(this.devices, scanned);
    this.byName.delete(device.name);
    removed.push(device);
    return removed;
  }

  /** Devices of a segment above ffff issue their DMA with the requester id of a VMD endpoint (vmd.c, pci_real_dma_dev). */
  linkVmd(): void {
    const endpoints = this.devices.filter((device) => isVmd(device));
    if (endpoints.length === 0) return;
    const segments = [...new Set(this.devices.map((device) => device.bus.segment))]
      .filter((segment) => segment >= VMD_SEGMENT)
      .sort((a, b) => a - b);
    for (const [index, segment] of segments.entries()) {
      // Segments are handed out as the endpoints are probed, from 0x10000 up.
      const endpoint = endpoints[Math.min(index, endpoints.length - 1)];
      for (const device of this.devices) if (device.bus.segment === segment) device.realDmaDevice = endpoint;
    }
  }
}

/** Volume Management Device endpoints of Intel, by device id (vmd.c, vmd_ids). */
const VMD_DEVICE_IDS = new Set([
  0x201d, 0x28c0, 0x467f, 0x4c3d, 0xa77f, 0x7d0b, 0xad0b, 0x9a0b, 0xb60b, 0xb06f, 0xfd0b, 0x9d0b,
]);

function isVmd(device: PciDevice): boolean {
  return device.vendorId === 0x8086 && VMD_DEVICE_IDS.has(device.deviceId) && !device.isBridge;
}

/** pcie_downstream_port without the slot clock exceptions: one device below. */
function onlyOneChild(bridge: PciDevice): boolean {
  return (
    bridge.portType === 'root port' ||
    bridge.portType === 'downstream port' ||
    bridge.portType === 'pci-to-pcie bridge'
  );
}

/** Device Control 2, bit 5 of the port above. */
function forwardsAri(bus: ScannedBus): boolean {
  const bridge = bus.bridge;
  if (bridge === undefined || !bridge.isExpress) return false;
  const express = bridge.capability(0x10);
  return express !== undefined && (bridge.read(express + 0x28, 2) & 0x20) !== 0;
}

function drop<T>(list: T[], one: T): void {
  const index = list.indexOf(one);
  if (index >= 0) list.splice(index, 1);
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');

function busName(segment: number, bus: number): string {
  return `${segment.toString(16).padStart(4, '0')}:${hex(bus)}`;
}
