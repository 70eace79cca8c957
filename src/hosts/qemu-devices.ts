/** Where the devices of a QEMU command line sit, as far as bridges of the host tell. */
import { type HostDescription, parsePciAddress } from '../../hw/index.ts';
import type { PlugName } from './capture-steps.ts';

/** One `-device` of a QEMU command line. */
export interface QemuDevice {
  /** `pcie-root-port`, `nvme`, … */
  readonly driver: string;
  readonly id: string | undefined;
  readonly bus: string | undefined;
  readonly device: number;
  readonly function: number;
  /** Number of the root bus that an expander makes. */
  readonly busNumber: number | undefined;
}

/** `addr=3.1`, in hex; the first slot unless told. */
function placeOf(text: string | undefined): { device: number; function: number } {
  const place = /^(?:0x)?([0-9a-f]+)(?:\.([0-7]))?$/i.exec(text ?? '0');
  return {
    device: place === null ? 0 : Number.parseInt(place[1], 16),
    function: Number(place?.[2] ?? 0),
  };
}

/** The devices of a command line: `-device nvme,id=d1,bus=rp1,addr=3.1`. */
export function devicesOf(commandLine: string): QemuDevice[] {
  const found: QemuDevice[] = [];
  for (const [, words] of commandLine.matchAll(/-device\s+(\S+)/g)) {
    const properties = new Map(
      words
        .split(',')
        .slice(1)
        .map((word) => word.split('=') as [string, string]),
    );
    const expander = properties.get('bus_nr');
    found.push({
      driver: words.split(',')[0],
      id: properties.get('id'),
      bus: properties.get('bus'),
      ...placeOf(properties.get('addr')),
      busNumber: expander === undefined ? undefined : Number(expander),
    });
  }
  return found;
}

/** Finds addresses by device id, or by the id of the bridge that a device is put behind. */
export function qemuResolver(
  commandLine: string,
  description: HostDescription,
): (name: PlugName) => string | undefined {
  const devices = devicesOf(commandLine);
  const secondary = new Map<string, number>();
  for (const one of description.functions) {
    const config = one.config ?? '';
    if ((Number.parseInt(config.slice(0x1c, 0x1e) || '0', 16) & 0x7f) === 1) {
      secondary.set(one.address, Number.parseInt(config.slice(0x32, 0x34), 16));
    }
  }
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  const busNumber = (name: string | undefined, depth: number): number | undefined => {
    if (name === undefined || /^pcie?\.0$/.test(name)) return 0;
    const bridge = devices.find((device) => device.id === name);
    if (bridge === undefined || depth > 32) return undefined;
    if (bridge.busNumber !== undefined) return bridge.busNumber;
    const address = addressOf(bridge, depth + 1);
    return address === undefined ? undefined : secondary.get(address);
  };
  const addressOf = (device: QemuDevice, depth: number): string | undefined => {
    const bus = busNumber(device.bus, depth);
    return bus === undefined ? undefined : `0000:${hex(bus)}:${hex(device.device)}.${device.function}`;
  };
  return ({ id, bus, addr }) => {
    const known = id === undefined ? undefined : devices.find((device) => device.id === id);
    if (known !== undefined) return valid(addressOf(known, 0));
    const above = devices.find((device) => device.id === bus);
    // Without an address QEMU takes the first free slot: a port has one only.
    if (bus === undefined || (addr === undefined && !PORTS.has(above?.driver ?? ''))) return undefined;
    return valid(addressOf({ driver: '', id, bus, ...placeOf(addr), busNumber: undefined }, 0));
  };
}

const PORTS = new Set(['pcie-root-port', 'ioh3420', 'xio3130-downstream', 'cxl-rp', 'cxl-downstream']);

function valid(address: string | undefined): string | undefined {
  return address !== undefined && parsePciAddress(address) !== undefined ? address : undefined;
}
