/**
 * The machine that the VFIO transcripts were recorded on, as a host description: topology `q35-main`, and the
 * remapping unit of each configuration. What the functions are is in the header's `what`; addresses come from it too.
 */
import {
  Acs,
  bridgeConfiguration,
  capability,
  Express,
  endpointConfiguration,
  type FunctionDescription,
  type HostDescription,
  Msi,
  MsiX,
  type PlacedCapability,
  PowerManagement,
  parsePciAddress,
  type QemuUnitOptions,
  qemuUnit,
  writeDmar,
} from '../../../hw/index.ts';
import { unitOptions } from '../../hosts/qemu-unit.ts';
import type { JsonObject } from '../runner.ts';

/** A device as the header lists it. */
export interface HeaderDevice {
  readonly name: string;
  readonly what: string;
  readonly bdf: string;
  readonly group: string | null;
  readonly driver: string | null;
}

const UNIT_BASE = 0xfed90000n;
const MEMORY_BYTES = 0x40000000;
const MIB = 0x100000;

const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

interface EndpointKind {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly classCode: readonly [number, number];
  readonly interruptPin: number;
  /** Low bits of each BAR (1: I/O), with its size. */
  readonly regions: readonly { bar: number; sizeBytes: number; io?: boolean }[];
  readonly capabilities: readonly PlacedCapability[];
  readonly express: boolean;
}

const EDU: EndpointKind = {
  vendorId: 0x1234,
  deviceId: 0x11e8,
  classCode: [0x00, 0xff],
  interruptPin: 1,
  regions: [{ bar: 0, sizeBytes: MIB }],
  capabilities: [capability(Msi, { address64: true })],
  express: false,
};

const E1000: EndpointKind = {
  vendorId: 0x8086,
  deviceId: 0x100e,
  classCode: [0x02, 0x00],
  interruptPin: 1,
  regions: [
    { bar: 0, sizeBytes: 0x20000 },
    { bar: 1, sizeBytes: 0x40, io: true },
    { bar: 6, sizeBytes: 0x40000 },
  ],
  capabilities: [],
  express: false,
};

const E1000E: EndpointKind = {
  vendorId: 0x8086,
  deviceId: 0x10d3,
  classCode: [0x02, 0x00],
  interruptPin: 1,
  regions: [
    { bar: 0, sizeBytes: 0x20000 },
    { bar: 1, sizeBytes: 0x20000 },
    { bar: 2, sizeBytes: 0x20, io: true },
    { bar: 3, sizeBytes: 0x4000 },
    { bar: 6, sizeBytes: 0x40000 },
  ],
  capabilities: [
    capability(PowerManagement, {}),
    capability(Msi, { address64: true }),
    capability(Express, { version: 1, portType: 0, functionLevelReset: false }),
    capability(MsiX, { tableSize: 4, tableBar: 3 }),
  ],
  express: true,
};

const TEST_DEVICE: EndpointKind = {
  vendorId: 0x1b36,
  deviceId: 0x0005,
  classCode: [0x00, 0xff],
  interruptPin: 0,
  regions: [
    { bar: 0, sizeBytes: 0x1000 },
    { bar: 1, sizeBytes: 0x100, io: true },
  ],
  capabilities: [],
  express: false,
};

/** Longer names first: `e1000e` is not an `e1000`. */
const KINDS: readonly [prefix: string, kind: EndpointKind][] = [
  ['edu', EDU],
  ['e1000e', E1000E],
  ['e1000', E1000],
  ['pci-testdev', TEST_DEVICE],
];

/** Port types of PCI Express (bits 7:4 of its capabilities register). */
const BRIDGES: readonly [
  prefix: string,
  vendorId: number,
  deviceId: number,
  portType: number,
  acs: boolean,
][] = [
  ['root port', 0x1b36, 0x000c, 4, true],
  ['PCIe-to-PCI bridge', 0x1b36, 0x000e, 7, false],
  ['switch upstream port', 0x104c, 0x8232, 5, false],
  ['switch downstream port', 0x104c, 0x8233, 6, false],
];

const ALL_ACS = {
  sourceValidation: true,
  translationBlocking: true,
  requestRedirect: true,
  completionRedirect: true,
  upstreamForwarding: true,
  sourceValidationEnable: true,
  requestRedirectEnable: true,
  completionRedirectEnable: true,
  upstreamForwardingEnable: true,
};

/** Gives each BAR its place below the units. */
class RegionSpace {
  private next = 0xe0000000;

  place(sizeBytes: number): number {
    const address = Math.ceil(this.next / sizeBytes) * sizeBytes;
    this.next = address + sizeBytes;
    return address;
  }
}

function endpoint(
  device: HeaderDevice,
  kind: EndpointKind,
  multifunction: boolean,
  space: RegionSpace,
): FunctionDescription {
  const bars: Record<string, number> = {};
  for (const region of kind.regions) {
    const address = space.place(region.sizeBytes);
    const name = region.bar === 6 ? 'romAddress' : `baseAddress${region.bar}`;
    bars[name] = region.io === true ? 0xc001 + region.bar * 0x100 : address;
  }
  const config = endpointConfiguration({
    header: {
      vendorId: kind.vendorId,
      deviceId: kind.deviceId,
      subsystemVendorId: 0x1af4,
      subsystemId: 0x1100,
      baseClass: kind.classCode[0],
      subClass: kind.classCode[1],
      interruptPin: kind.interruptPin,
      multifunction,
      memorySpace: true,
      ...bars,
    },
    capabilities: kind.capabilities,
    size: kind.express ? 4096 : 256,
  });
  const addressBits = device.what.includes('28-bit') ? 28 : 64;
  return {
    address: device.bdf,
    name: device.what,
    config: toHex(config),
    regions: kind.regions.map(({ bar, sizeBytes }) => ({ bar, sizeBytes })),
    ...(kind === EDU ? { model: { kind: 'edu', addressBits } } : {}),
  };
}

function bridge(
  device: HeaderDevice,
  secondary: number,
  subordinate: number,
  multifunction: boolean,
): FunctionDescription {
  const known = BRIDGES.find(([prefix]) => device.what.startsWith(prefix));
  const [, vendorId, deviceId, portType, acs] = known ?? BRIDGES[0];
  const config = bridgeConfiguration({
    header: {
      vendorId,
      deviceId,
      baseClass: 0x06,
      subClass: 0x04,
      multifunction,
      primaryBus: parsePciAddress(device.bdf)?.bus ?? 0,
      secondaryBus: secondary,
      subordinateBus: subordinate,
      interruptPin: portType === 4 ? 1 : 0,
    },
    capabilities: [
      capability(PowerManagement, {}),
      capability(Express, { version: 2, portType, slotImplemented: portType === 4 || portType === 6 }),
      ...(acs ? [capability(Acs, ALL_ACS)] : []),
    ],
  });
  return { address: device.bdf, name: device.what, config: toHex(config) };
}

const busOf = (bdf: string): number => parsePciAddress(bdf)?.bus ?? 0;
const slotOf = (bdf: string): string => bdf.slice(0, -2);

/** Whether a device of the header is a bridge of one of the kinds above. */
function isBridge(device: HeaderDevice): boolean {
  return BRIDGES.some(([prefix]) => device.what.startsWith(prefix));
}

/**
 * Bus numbers of the bridges: firmware numbers depth first, so a bridge leads to the lowest bus that is not yet taken
 * when the bridges are walked in order of their addresses, and each bus is walked before the next bridge.
 */
function busNumbers(
  devices: readonly HeaderDevice[],
): Map<HeaderDevice, [secondary: number, subordinate: number]> {
  const bridges = devices.filter(isBridge).sort((a, b) => (a.bdf < b.bdf ? -1 : 1));
  const numbers = new Map<HeaderDevice, [number, number]>();
  let next = 1;
  const walk = (bus: number): number => {
    let last = bus;
    for (const each of bridges.filter((one) => busOf(one.bdf) === bus)) {
      const secondary = next;
      next += 1;
      last = walk(secondary);
      numbers.set(each, [secondary, last]);
    }
    return last;
  };
  walk(0);
  return numbers;
}

function dmarTable(options: QemuUnitOptions): Uint8Array {
  return writeDmar({
    revision: 1,
    oemId: 'BOCHS ',
    oemTableId: 'BXPC    ',
    oemRevision: 1,
    creatorId: 'BXPC',
    creatorRevision: 1,
    hostAddressWidth: options['aw-bits'] ?? 48,
    interruptRemapping: options.intremap !== false,
    x2apicOptOut: false,
    dmaControlOptIn: false,
    warnings: [],
    structures: [
      { kind: 'DRHD', includeAll: true, sizeShift: 0, segment: 0, registerBase: UNIT_BASE, scopes: [] },
    ],
  });
}

export interface RecordedMachine {
  readonly description: HostDescription;
  readonly amdIommu: boolean;
  /** What an AMD unit does; the DMAR table tells for the others. */
  readonly interruptRemapping: boolean;
}

/** The recorder's own kernel was built strict (IOMMU_DEFAULT_DMA_STRICT), which the command line doesn't say. */
function commandLine(setup: JsonObject): string {
  const words = String(setup.cmdline ?? '');
  return String(setup.kernel_config ?? '').includes('own configuration') ? `${words} iommu.strict=1` : words;
}

/** The host of a transcript's header. */
export function recordedMachine(setup: JsonObject): RecordedMachine {
  const devices = (setup.devices ?? []) as readonly HeaderDevice[];
  const numbers = busNumbers(devices);
  const space = new RegionSpace();
  const functions = devices.map((device) => {
    const multifunction = devices.some(
      (other) => other !== device && slotOf(other.bdf) === slotOf(device.bdf),
    );
    const buses = numbers.get(device);
    if (buses !== undefined) return bridge(device, buses[0], buses[1], multifunction);
    const kind = KINDS.find(([prefix]) => device.what.startsWith(prefix))?.[1] ?? TEST_DEVICE;
    return endpoint(device, kind, multifunction, space);
  });
  const options = unitOptions(String(setup.qemu_iommu ?? ''));
  const unit = options === undefined ? undefined : qemuUnit(options);
  return {
    amdIommu: typeof setup.qemu_iommu === 'string' && setup.qemu_iommu.startsWith('amd-iommu'),
    interruptRemapping: !String(setup.qemu_iommu).includes('intremap=off'),
    description: {
      format: 'vtdeck-host',
      version: 1,
      name: String(setup.topology ?? 'recorded'),
      origin: 'transcript',
      functions,
      rootBuses: ['0000:00'],
      memory: [{ start: '0x0', end: `0x${(MEMORY_BYTES - 1).toString(16)}` }],
      kernelCommandLine: commandLine(setup),
      ...(options === undefined || unit === undefined
        ? {}
        : {
            dmar: toHex(dmarTable(options)),
            units: [
              {
                registerBase: `0x${UNIT_BASE.toString(16)}`,
                cap: `0x${unit.cap.toString(16)}`,
                ecap: `0x${unit.ecap.toString(16)}`,
              },
            ],
          }),
    },
  };
}
