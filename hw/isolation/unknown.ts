/**
 * Three-valued answers: a capture that does not show registers is computed twice, once as if everything hidden isolated and
 * once as if nothing did. What comes out the same is known.
 */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { GROUPING_CONTROLS } from '../kernel/pci/acs.ts';
import { acsQuirk, hasAcsQuirks, isIntelRootPort } from '../kernel/pci/acs-quirks.ts';
import type { PciBus, PciDevice } from '../kernel/pci/pci-device.ts';
import { type PciTopology, VMD_SEGMENT } from '../kernel/pci/scan.ts';
import { bytesOfHex } from '../pci/from-description.ts';

/** Functions whose ACS answer is open, with what is not shown. */
export function unknownDevices(description: HostDescription): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const one of description.functions) {
    const open = (one.unknown ?? []).filter((part) => part !== 'device registers');
    if (open.length > 0) found.set(one.address, open);
  }
  return found;
}

/** Whether what is not shown could change the device's ACS answer. */
export function isOpen(device: PciDevice, unknown: readonly string[] | undefined): boolean {
  if (unknown === undefined) return false;
  if (unknown.includes('capabilities')) {
    if (!device.multifunction && !device.isBridge) return false;
    return !isNvidiaCard(device) && acsQuirk(device, GROUPING_CONTROLS, { amdIommu: false }) === undefined;
  }
  if (unknown.includes('extended capabilities') || unknown.includes('acs')) {
    const needsControls = device.portType === 'root port' || device.portType === 'downstream port';
    return needsControls || (device.multifunction && device.isExpress);
  }
  if (unknown.includes('virtual functions') && device.multifunction) return true;
  // Ids decide only on quirks; a function that the standard test settles needs none.
  if (unknown.includes('vendor id')) return device.multifunction || device.isBridge;
  if (unknown.includes('device id') && hasAcsQuirks(device.vendorId)) {
    if (device.vendorId === 0x8086 && device.portType === 'root complex integrated endpoint') return false;
    const acs = device.extendedCapability(0x0d);
    if (acs !== undefined) {
      // Controls that are off where lspci looks may be on where a chipset with dword registers has them.
      const missing = device.read(acs + 4, 2) & ~device.read(acs + 6, 2) & GROUPING_CONTROLS;
      return isIntelRootPort(device) && missing !== 0;
    }
    if (device.portType === 'root port') return true;
    const conventionalOutsideTable = device.portType === 'conventional' && device.vendorId === 0x8086;
    return device.multifunction && !conventionalOutsideTable;
  }
  return false;
}

/** The functions of an NVIDIA graphics card carry no ACS capability: it need not be seen to be known. */
function isNvidiaCard(device: PciDevice): boolean {
  return (
    device.vendorId === 0x10de &&
    !device.isBridge &&
    device.bus.devices.some(
      (other) =>
        other.devfn >>> 3 === device.devfn >>> 3 && other.vendorId === 0x10de && other.classCode >>> 16 === 3,
    )
  );
}

/**
 * The same host with bridges of unknown kind as PCI Express ports: a conventional bridge would replace requester ids, a port
 * does not.
 */
export function asIfIsolated(
  description: HostDescription,
  unknown: ReadonlyMap<string, readonly string[]>,
): HostDescription {
  const functions = description.functions.map((one) =>
    unknown.get(one.address)?.includes('capabilities') === true ? withPort(one) : one,
  );
  return { ...description, functions };
}

/** A root port's Express capability at 0x40, when the function is a bridge. */
function withPort(one: FunctionDescription): FunctionDescription {
  const bytes = bytesOfHex(one.config ?? '');
  if (bytes === undefined || bytes.length < 64 || (bytes[0x0e] & 0x7f) !== 1) return one;
  const config = new Uint8Array(256);
  config.set(bytes.subarray(0, 64));
  config[0x06] |= 0x10;
  config[0x34] = 0x40;
  config.set([0x10, 0x00, 0x42, 0x00], 0x40);
  const hex = Array.from(config, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { ...one, config: hex, configSize: 256 };
}

/** Bridges whose bus numbers the source does not show. */
export function hiddenBridges(description: HostDescription): ReadonlySet<string> {
  const bridges = description.functions.filter((one) => one.unknown?.includes('bus numbers') === true);
  return new Set(bridges.map((one) => one.address));
}

/** Whether devices sit in segments of a VMD endpoint that is not known by its id. */
export function hasOrphansOfVmd(topology: PciTopology): boolean {
  return topology.devices.some(isOrphanOfVmd);
}

/** In a segment that Linux made for a VMD endpoint, and no such endpoint is known. */
function isOrphanOfVmd(device: PciDevice): boolean {
  return device.bus.segment >= VMD_SEGMENT && device.realDmaDevice === device;
}

/** VMD endpoints call themselves RAID controllers. */
function mayBeVmd(device: PciDevice): boolean {
  return device.vendorId === 0x8086 && device.classCode >>> 8 === 0x0104 && !device.isBridge;
}

/**
 * Where a bridge does not show its bus numbers, any bus but the first may lie behind it. Says so when one of these devices
 * is such a bridge or sits on such a bus; undefined: their places are known.
 */
export function unplaced(
  names: readonly string[],
  topology: PciTopology,
  hidden: ReadonlySet<string>,
  lostBuses: ReadonlySet<number>,
  orphans: boolean,
): string | undefined {
  if (hidden.size === 0 && lostBuses.size === 0 && !orphans) return undefined;
  for (const name of names) {
    const device = topology.find(name);
    if (device === undefined) continue;
    if (orphans && (isOrphanOfVmd(device) || mayBeVmd(device))) {
      return 'The source does not show which device is the VMD endpoint: what sits behind it does DMA with its requester id.';
    }
    let bus: PciBus = device.bus;
    while (bus.parent !== undefined) bus = bus.parent;
    if (
      bus.bridge === undefined &&
      bus.parent === undefined &&
      lostBuses.has(bus.segment * 256 + bus.number)
    ) {
      return `A bridge with impossible bus numbers claims bus ${bus.number.toString(16).padStart(2, '0')}: where it hangs can't be told.`;
    }
    if (hidden.size === 0 || (bus.number === 0 && !hidden.has(name))) continue;
    const [first] = hidden;
    const others = hidden.size > 1 ? ` and ${hidden.size - 1} other bridges` : '';
    return `The source does not show the bus numbers of ${first}${others}: what sits behind them can't be told.`;
  }
  return undefined;
}

/** The devices with hidden registers that these devices' grouping asks about: their slots, and all bridges above. */
export function dependencies(
  names: readonly string[],
  topology: PciTopology,
  unknown: ReadonlyMap<string, readonly string[]>,
): string[] {
  const found = new Set<string>();
  const look = (device: PciDevice): void => {
    for (const other of device.bus.devices) {
      if (other.devfn >>> 3 === device.devfn >>> 3 && isOpen(other, unknown.get(other.name)))
        found.add(other.name);
    }
  };
  for (const name of new Set(names)) {
    const device = topology.find(name);
    if (device === undefined) continue;
    look(device);
    for (let bus: PciBus | undefined = device.bus; bus !== undefined; bus = bus.parent) {
      if (bus.bridge !== undefined) look(bus.bridge);
    }
  }
  return [...found].sort();
}
