/** Functions that a capture no longer holds but that had a group when the machine was up. */
import {
  Acs,
  bridgeConfiguration,
  capability,
  Express,
  endpointConfiguration,
  type FunctionDescription,
  formatPciAddress,
  type HostDescription,
  type HostEvent,
  type PciAddress,
  type PlacedCapability,
  parsePciAddress,
  Sriov,
} from '../../hw/index.ts';
import { hexOf } from './lspci.ts';
import type { QemuDevice } from './qemu-devices.ts';

/** Root buses of segment 0 by number: present, and behind no bridge. */
export function rootBusNumbers(functions: readonly FunctionDescription[]): number[] {
  const present = new Set<number>();
  const behind = new Set<number>();
  for (const one of functions) {
    const at = parsePciAddress(one.address);
    if (at === undefined || at.segment !== 0 || isVirtual(one)) continue;
    present.add(at.bus);
    const secondary = secondaryBus(one);
    if (secondary !== undefined) behind.add(secondary);
  }
  return [...present].filter((bus) => !behind.has(bus)).sort((a, b) => a - b);
}

function isVirtual(one: FunctionDescription): boolean {
  return one.physicalFunction !== undefined || one.config?.startsWith('ffff') === true;
}

function byteAt(one: FunctionDescription, offset: number): number {
  return Number.parseInt(one.config?.slice(offset * 2, offset * 2 + 2) || '0', 16);
}

function secondaryBus(one: FunctionDescription): number | undefined {
  return (byteAt(one, 0x0e) & 0x7f) === 1 ? byteAt(one, 0x19) : undefined;
}

/** What stands for a QEMU device that is gone: what matters to groups, and no more. */
interface Stand {
  readonly ids?: readonly [number, number];
  /** Express port type of a bridge; absent: a conventional one. */
  readonly port?: number;
  readonly acs?: boolean;
  /** Where its virtual functions are: First VF Offset and VF Stride. */
  readonly virtual?: readonly [offset: number, stride: number];
}

/** Bridges by QEMU driver. */
const BRIDGES: Readonly<Record<string, Stand>> = {
  'pcie-root-port': { port: 4, acs: true },
  'cxl-rp': { port: 4, acs: true },
  ioh3420: { port: 4 },
  'x3130-upstream': { port: 5 },
  'cxl-upstream': { port: 5 },
  'xio3130-downstream': { port: 6 },
  'cxl-downstream': { port: 6 },
  'pcie-pci-bridge': { port: 7 },
  'pci-bridge': {},
  'i82801b11-bridge': { ids: [0x8086, 0x244e] },
};

/** Endpoints that Linux knows to keep apart (by vendor as integrated endpoints, by device elsewhere), or with SR-IOV. */
const KNOWN_ENDPOINTS: Readonly<Record<string, Stand>> = {
  e1000e: { ids: [0x8086, 0x10d3] },
  igb: { ids: [0x8086, 0x10c9], virtual: [0x80, 2] },
  nvme: { virtual: [1, 1] },
};

/**
 * Stands for functions that are gone by the time of the capture, so that the others get the numbers they had. What they
 * were tells the QEMU command line: a bridge takes all behind it with it, on buses numbered after those before it.
 * Without it, an endpoint without ACS.
 * @param events what happened
 */
export function formerFunctions(
  events: readonly HostEvent[],
  description: HostDescription,
  devices: readonly QemuDevice[],
): FunctionDescription[] {
  return new FormerFunctions(events, description, devices).all();
}

class FormerFunctions {
  /** Addresses of what left, as far as events tell. */
  private readonly former: string[];
  private readonly present: ReadonlySet<string>;
  private readonly events: readonly HostEvent[];
  private readonly description: HostDescription;
  private readonly devices: readonly QemuDevice[];
  private readonly made = new Map<string, FunctionDescription>();
  /** The id of the QEMU bus by bus number. */
  private readonly buses = new Map<number, string>();
  /** Bridges by bus: devfn and last bus number behind. */
  private readonly bridges = new Map<number, { devfn: number; last: number }[]>();

  constructor(events: readonly HostEvent[], description: HostDescription, devices: readonly QemuDevice[]) {
    this.events = events;
    this.description = description;
    this.devices = devices;
    this.present = new Set(description.functions.map((one) => one.address));
    const left = events.flatMap((one) =>
      one.kind === 'remove' || one.kind === 'unplug' ? [one.device] : [],
    );
    this.former = [...new Set(left)].filter((address) => !this.present.has(address)).sort();
    for (const one of description.functions) {
      const at = parsePciAddress(one.address);
      if (at !== undefined && secondaryBus(one) !== undefined) {
        this.noteBridge(at.bus, at.device * 8 + at.function, byteAt(one, 0x1a));
      }
    }
    this.nameBuses();
  }

  /** Root buses, then what hangs on them, as far as bridges are still there. */
  private nameBuses(): void {
    this.buses.set(0, 'pcie.0');
    for (const one of this.devices) {
      if (one.busNumber !== undefined && one.id !== undefined) this.buses.set(one.busNumber, one.id);
    }
    for (const [bus, id] of this.buses) {
      for (const child of this.childrenOf(id)) {
        const name = addressText(bus, child);
        const present = this.description.functions.find((one) => one.address === name);
        const secondary = present === undefined ? undefined : secondaryBus(present);
        if (secondary !== undefined && child.id !== undefined) this.buses.set(secondary, child.id);
      }
    }
  }

  private noteBridge(bus: number, devfn: number, last: number): void {
    this.bridges.set(bus, [...(this.bridges.get(bus) ?? []), { devfn, last }]);
  }

  private childrenOf(bus: string): QemuDevice[] {
    const slots = (one: QemuDevice): number => one.device * 8 + one.function;
    const children = this.devices.filter((one) => one.bus === bus && one.busNumber === undefined);
    return children.sort((a, b) => slots(a) - slots(b));
  }

  all(): FunctionDescription[] {
    this.former.push(...this.slotMates());
    for (const address of this.former) {
      const at = parsePciAddress(address);
      if (at === undefined || this.made.has(address)) continue;
      const device = this.childrenOf(this.buses.get(at.bus) ?? '').find(
        (one) => one.device === at.device && one.function === at.function,
      );
      this.make(address, device);
    }
    return [...this.made.values()];
  }

  /** Functions that were pulled out with the one that an event names. */
  private slotMates(): string[] {
    const pulled = this.events.flatMap((one) => (one.kind === 'unplug' ? [one.device] : []));
    return pulled.flatMap((address) => {
      const at = parsePciAddress(address);
      if (at === undefined || this.present.has(address)) return [];
      return this.childrenOf(this.buses.get(at.bus) ?? '')
        .filter((one) => one.device === at.device)
        .map((one) => addressText(at.bus, one))
        .filter((mate) => !this.present.has(mate) && !this.former.includes(mate));
    });
  }

  /** Returns the last bus number that it takes. */
  private make(address: string, device: QemuDevice | undefined): number {
    const at = parsePciAddress(address);
    if (at === undefined) return 0;
    const stand = BRIDGES[device?.driver ?? ''];
    if (stand === undefined) {
      this.makeEndpoint(address, at, KNOWN_ENDPOINTS[device?.driver ?? '']);
      return at.bus;
    }
    const devfn = at.device * 8 + at.function;
    const before = (this.bridges.get(at.bus) ?? []).filter((one) => one.devfn < devfn);
    const secondary = Math.max(at.bus, ...before.map((one) => one.last)) + 1;
    const children = this.childrenOf(device?.id ?? '');
    if (device?.id !== undefined) this.buses.set(secondary, device.id);
    // Known as a bus with a bridge above it before its children ask.
    const buses = { secondaryBus: secondary, subordinateBus: secondary };
    this.put(address, bridgeBytes(this.header(address), stand, buses));
    let last = secondary;
    for (const child of children) last = Math.max(last, this.make(addressText(secondary, child), child));
    this.put(address, bridgeBytes(this.header(address), stand, { ...buses, subordinateBus: last }));
    this.noteBridge(at.bus, devfn, last);
    return last;
  }

  /** With as many virtual functions as there ever were. */
  private makeEndpoint(address: string, at: PciAddress, stand: Stand | undefined): void {
    const counts = this.events.flatMap((one) =>
      one.kind === 'virtual-functions' && one.device === address ? [one.count] : [],
    );
    const count = Math.max(0, ...counts);
    this.put(address, endpointBytes(this.header(address), stand, this.behind(at.bus), count));
    if (stand?.virtual === undefined) return;
    const [offset, stride] = stand.virtual;
    const own = at.bus * 256 + at.device * 8 + at.function;
    for (let index = 0; index < count; index += 1) {
      const id = own + offset + stride * index;
      const place = { segment: at.segment, bus: id >>> 8, device: (id >>> 3) & 31, function: id & 7 };
      const name = formatPciAddress(place);
      if (this.present.has(name)) continue;
      const bytes = endpointConfiguration({ header: { vendorId: 0xffff, deviceId: 0xffff } });
      this.made.set(name, { ...standing(name, bytes), physicalFunction: address });
    }
  }

  private put(address: string, bytes: Uint8Array): void {
    this.made.set(address, standing(address, bytes));
  }

  private behind(bus: number): boolean {
    return [...this.description.functions, ...this.made.values()].some((one) => secondaryBus(one) === bus);
  }

  private header(address: string): { vendorId: number; deviceId: number; multifunction: number } {
    const at = parsePciAddress(address);
    const slot = address.slice(0, -2);
    const others = [...this.former, ...this.description.functions.map((one) => one.address)];
    const planned = this.childrenOf(this.buses.get(at?.bus ?? -1) ?? '').filter(
      (one) => one.device === at?.device,
    );
    const shared =
      planned.length > 1 || others.some((other) => other !== address && other.startsWith(`${slot}.`));
    return { vendorId: 0xfffe, deviceId: 0, multifunction: shared ? 1 : 0 };
  }
}

function addressText(bus: number, device: QemuDevice): string {
  return formatPciAddress({ segment: 0, bus, device: device.device, function: device.function });
}

function standing(address: string, bytes: Uint8Array): FunctionDescription {
  return {
    address,
    config: hexOf(bytes),
    configSize: bytes.length as 256 | 4096,
    name: 'a device that was removed before the capture',
    vendorId: bytes[0] | (bytes[1] << 8),
    deviceId: bytes[2] | (bytes[3] << 8),
  };
}

interface FormerHeader {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly multifunction: number;
}

function identified(header: FormerHeader, stand: Stand | undefined): FormerHeader {
  return stand?.ids === undefined ? header : { ...header, vendorId: stand.ids[0], deviceId: stand.ids[1] };
}

function bridgeBytes(
  header: FormerHeader,
  stand: Stand,
  buses: { secondaryBus: number; subordinateBus: number },
): Uint8Array {
  const capabilities: PlacedCapability[] = [];
  if (stand.port !== undefined) capabilities.push(capability(Express, { version: 2, portType: stand.port }));
  if (stand.acs === true) {
    capabilities.push(
      capability(Acs, {
        sourceValidation: 1,
        requestRedirect: 1,
        completionRedirect: 1,
        upstreamForwarding: 1,
        sourceValidationEnable: 1,
        requestRedirectEnable: 1,
        completionRedirectEnable: 1,
        upstreamForwardingEnable: 1,
      }),
    );
  }
  return bridgeConfiguration({
    header: { ...identified(header, stand), ...buses, baseClass: 0x06, subClass: 0x04 },
    capabilities,
    size: stand.acs === true ? 4096 : 256,
  });
}

function endpointBytes(
  header: FormerHeader,
  stand: Stand | undefined,
  behindPort: boolean,
  virtualFunctions: number,
): Uint8Array {
  const express = behindPort || stand !== undefined;
  const capabilities: PlacedCapability[] = express
    ? [capability(Express, { version: 2, portType: behindPort ? 0 : 9 })]
    : [];
  if (stand?.virtual !== undefined && virtualFunctions > 0) {
    capabilities.push(
      capability(Sriov, {
        initialVirtualFunctions: virtualFunctions,
        totalVirtualFunctions: virtualFunctions,
        firstVirtualFunctionOffset: stand.virtual[0],
        virtualFunctionStride: stand.virtual[1],
        supportedPageSizes: 1,
        systemPageSize: 1,
      }),
    );
  }
  return endpointConfiguration({
    header: { ...identified(header, stand), baseClass: 0xff },
    capabilities,
    size: virtualFunctions > 0 ? 4096 : 256,
  });
}
