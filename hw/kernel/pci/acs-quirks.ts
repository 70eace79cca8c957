/**
 * Devices whose isolation is not what their ACS capability says, by id: pci_dev_acs_enabled[] of drivers/pci/quirks.c,
 * Linux 7.2. The first line that applies decides.
 */
import { AcsBit, isDwordAcs } from '../../pci/capabilities/acs.ts';
import type { PciDevice } from './pci-device.ts';

/** The configuration function of an AMD IOMMU. */
export function isAmdIommu(device: PciDevice): boolean {
  return (device.vendorId === 0x1022 || device.vendorId === 0x1002) && device.classCode >>> 8 === 0x0806;
}

/** What the quirks need to know of the machine. */
export interface AcsEnvironment {
  /** An IVRS table is there: the machine has an AMD IOMMU. */
  readonly amdIommu: boolean;
  /** True for a function whose device-specific registers (0x40 on) the source does not show. */
  readonly unreadable?: (device: PciDevice) => boolean;
  /** ACS was switched on by enumeration in these very registers, so its controls are there to be read. */
  readonly acsEnumerated?: boolean;
}

/** A quirk's word: which controls count as on, and why. */
export interface AcsQuirkVerdict {
  /** Of the wanted controls, those that count. */
  readonly wanted: number;
  /** Controls that hold. */
  readonly held: number;
  /** In words: "Intel root complex integrated endpoint". */
  readonly because: string;
}

const { sourceValidation, translationBlocking, requestRedirect, completionRedirect, upstreamForwarding } =
  AcsBit;
/** What a root port without peer-to-peer holds. */
const ROOT_PORT_CONTROLS = sourceValidation | requestRedirect | completionRedirect | upstreamForwarding;
/** What an endpoint without peer-to-peer between its functions holds. */
const ENDPOINT_CONTROLS = ROOT_PORT_CONTROLS | translationBlocking | AcsBit.directTranslated;

type Quirk = (device: PciDevice, wanted: number, environment: AcsEnvironment) => AcsQuirkVerdict | undefined;

interface Line {
  readonly vendor: number;
  /** Undefined: any device of the vendor. */
  readonly devices: ReadonlySet<number> | undefined;
  readonly quirk: Quirk;
}

function line(vendor: number, devices: readonly number[] | undefined, quirk: Quirk): Line {
  return { vendor, devices: devices === undefined ? undefined : new Set(devices), quirk };
}

function within(device: number, ranges: readonly (readonly [number, number])[]): boolean {
  return ranges.some(([first, last]) => device >= first && device <= last);
}

const separateFunctions: Quirk = (_device, wanted) => ({
  wanted,
  held: ENDPOINT_CONTROLS,
  because: 'the vendor states that its functions do not reach each other',
});

const closedRootPort: Quirk = (_device, wanted) => ({
  wanted,
  held: ROOT_PORT_CONTROLS,
  because: 'this root port forwards nothing between peers although it has no ACS capability',
});

/** South bridge functions: all they send goes up, when an AMD IOMMU is there. */
const amdSouthBridge: Quirk = (device, wanted, environment) => {
  if (!device.multifunction || device.bus.parent !== undefined || !environment.amdIommu) return undefined;
  const relevant = requestRedirect | completionRedirect | AcsBit.egressControl | AcsBit.directTranslated;
  return {
    wanted: wanted & relevant,
    held: requestRedirect | completionRedirect,
    because: 'an AMD south bridge function under an AMD IOMMU sends everything upstream',
  };
};

const intelIntegratedEndpoint: Quirk = (device, wanted) =>
  device.portType === 'root complex integrated endpoint'
    ? {
        wanted,
        held: ROOT_PORT_CONTROLS,
        because: 'an Intel root complex integrated endpoint allows peer-to-peer on translated addresses only',
      }
    : undefined;

/** Root ports of the 5 to 9 series chipsets, without ACS capability. */
const INTEL_PCH_ROOT_PORTS: readonly (readonly [number, number])[] = [
  [0x3b42, 0x3b51],
  [0x1c10, 0x1c1f],
  [0x1e10, 0x1e1f],
  [0x8c10, 0x8c1f],
  [0x9c10, 0x9c1b],
  [0x9c90, 0x9c9b],
  [0x8d10, 0x8d1e],
];
/** Patsburg and the 9 series: even ids only. */
const INTEL_PCH_EVEN_ROOT_PORTS: readonly (readonly [number, number])[] = [
  [0x1d10, 0x1d1e],
  [0x8c90, 0x8c9e],
];

function isPchRootPort(device: PciDevice): boolean {
  if (device.portType !== 'root port') return false;
  if (within(device.deviceId, INTEL_PCH_ROOT_PORTS)) return true;
  return device.deviceId % 2 === 0 && within(device.deviceId, INTEL_PCH_EVEN_ROOT_PORTS);
}

/**
 * The chipset is told to keep peers apart when ACS is enabled; that needs the root complex base address register of the
 * LPC bridge (31.0, offset f0, bit 0).
 */
const intelPchRootPort: Quirk = (device, wanted, environment) => {
  if (!isPchRootPort(device)) return undefined;
  const lpc = device.bus.devices.find((other) => other.devfn === 0xf8);
  // Without an LPC bridge the read gives all ones, which says enabled; firmware that boots Linux has set it.
  const enabled =
    lpc === undefined || environment.unreadable?.(lpc) === true || (lpc.read(0xf0, 4) & 1) !== 0;
  return {
    wanted,
    held: enabled ? ROOT_PORT_CONTROLS : 0,
    because: enabled
      ? 'this chipset root port has no ACS capability, but Linux switches its peer decoding off'
      : 'this chipset root port has no ACS capability, and its peer decoding could not be switched off',
  };
};

/** A root port of Intel: with an unknown device id, it may be of a chipset with registers of its own. */
export function isIntelRootPort(device: PciDevice): boolean {
  return device.vendorId === 0x8086 && device.portType === 'root port';
}

/** Root ports of the 100 and 200 series chipsets, whose ACS registers are dwords. */
export function hasDwordAcs(device: PciDevice): boolean {
  return device.portType === 'root port' && isDwordAcs(device.vendorId, device.deviceId);
}

const intelDwordAcs: Quirk = (device, wanted, environment) => {
  if (!hasDwordAcs(device)) return undefined;
  const acs = device.extendedCapability(0x0d);
  if (acs === undefined) return undefined;
  const capability = device.read(acs + 4, 4);
  // lspci prints the word at 6, which is no register here: a text shows nothing of what Linux sets at 8.
  const hidden = environment.acsEnumerated !== true && environment.unreadable?.(device) === true;
  return {
    wanted: wanted & (capability | AcsBit.egressControl),
    held: hidden ? capability : device.read(acs + 8, 4),
    because: hidden
      ? 'the ACS registers of this chipset are dwords: Linux sets the control at offset 8, which lspci does not print'
      : 'the ACS registers of this chipset are dwords: control is read at offset 8',
  };
};

const caviumRootPort: Quirk = (device, wanted, environment) =>
  device.portType === 'root port' &&
  (within(device.deviceId, [[0xa000, 0xa7ff]]) || device.deviceId === 0xaf84 || device.deviceId === 0xb884)
    ? closedRootPort(device, wanted, environment)
    : undefined;

const annapurnaRootPort: Quirk = (device, wanted, environment) =>
  device.portType === 'root port' ? closedRootPort(device, wanted, environment) : undefined;

const ZHAOXIN_PORTS: readonly (readonly [number, number])[] = [
  [0x0710, 0x071e],
  [0x0721, 0x0721],
  [0x0723, 0x0752],
];

const zhaoxinPort: Quirk = (device, wanted) => {
  if (device.portType !== 'root port' && device.portType !== 'downstream port') return undefined;
  const closed = within(device.deviceId, ZHAOXIN_PORTS);
  return {
    wanted,
    held: closed ? ROOT_PORT_CONTROLS : 0,
    because: closed
      ? 'this Zhaoxin port blocks peers although it has no ACS capability'
      : 'this Zhaoxin port is not among those known to block peers',
  };
};

const WANGXUN_NICS = new Set([0x1001, 0x2001, 0x5010, 0x5025, 0x5040, 0x5110, 0x5125, 0x5140]);

const wangxunNic: Quirk = (device, wanted) => {
  const closed = WANGXUN_NICS.has(device.deviceId) || within(device.deviceId, [[0x0100, 0x010f]]);
  return {
    wanted,
    held: closed ? ROOT_PORT_CONTROLS : 0,
    because: closed
      ? 'this Wangxun controller sends all traffic between functions upstream'
      : 'this Wangxun controller is not among those known to keep functions apart',
  };
};

const INTEL = 0x8086;

/** In the order of the kernel's table: quirks of one vendor are tried one after the other. */
const LINES: readonly Line[] = [
  line(0x1002, [0x4385, 0x439c, 0x4383, 0x439d, 0x4384, 0x4399], amdSouthBridge),
  line(0x1022, [0x780f, 0x7809], amdSouthBridge),
  line(0x1924, [0x0903, 0x0923, 0x0a03], separateFunctions),
  line(
    INTEL,
    [
      // 10-gigabit controllers
      0x10c6, 0x10db, 0x10dd, 0x10e1, 0x10f1, 0x10f7, 0x10f8, 0x10f9, 0x10fa, 0x10fb, 0x10fc, 0x1507, 0x1514,
      0x151c, 0x1529, 0x152a, 0x154d, 0x154f, 0x1551, 0x1558,
      // 82580
      0x1509, 0x150e, 0x150f, 0x1510, 0x1511, 0x1516, 0x1527,
      // 82576
      0x10c9, 0x10e6, 0x10e7, 0x10e8, 0x150a, 0x150d, 0x1518, 0x1526,
      // 82575
      0x10a7, 0x10a9, 0x10d6,
      // I350
      0x1521, 0x1522, 0x1523, 0x1524,
      // 82571
      0x105e, 0x105f, 0x1060, 0x10d9,
      // I219
      0x15b7, 0x15b8,
    ],
    separateFunctions,
  ),
  line(INTEL, undefined, intelIntegratedEndpoint),
  line(0x17cb, [0x0400, 0x0401, 0x0115, 0x0111, 0x0120], closedRootPort),
  line(0x1dbf, [0x0401], closedRootPort),
  line(INTEL, undefined, intelPchRootPort),
  line(INTEL, undefined, intelDwordAcs),
  line(0x19a2, [0x0710], separateFunctions),
  line(0x10df, [0x0720], separateFunctions),
  line(0x177d, undefined, caviumRootPort),
  line(0x177d, [0xa026, 0xa059, 0xa060], separateFunctions),
  line(0x10e8, [0xe004], closedRootPort),
  line(0x1def, [0xe005, 0xe006, 0xe007, 0xe008, 0xe009, 0xe00a, 0xe00b, 0xe00c], closedRootPort),
  line(0x14e4, [0x16d7, 0x1750, 0x1751, 0x1752, 0x1760, 0x1761, 0x1762, 0x1763], separateFunctions),
  line(0x14e4, [0xd714], closedRootPort),
  line(
    0x0014,
    [0x3c09, 0x3c19, 0x3c29, 0x7a09, 0x7a19, 0x7a29, 0x7a39, 0x7a49, 0x7a59, 0x7a69],
    closedRootPort,
  ),
  line(0x1c36, [0x0031], annapurnaRootPort),
  line(0x1d17, [0x3038, 0x3104, 0x9083], separateFunctions),
  line(
    0x1957,
    [
      0x8d80, 0x8d81, 0x8d82, 0x8d83, 0x8d88, 0x8d89, 0x8d8a, 0x8d8b, 0x8d90, 0x8d91, 0x8d92, 0x8d93, 0x8d98,
      0x8d99, 0x8d9a, 0x8d9b, 0x8da0, 0x8da1, 0x8da8, 0x8da9, 0x8db0, 0x8db1, 0x8db8, 0x8db9,
    ],
    closedRootPort,
  ),
  line(0x1d17, undefined, zhaoxinPort),
  line(0x8088, undefined, wangxunNic),
];

const BY_VENDOR = new Map<number, Line[]>();
for (const one of LINES) BY_VENDOR.set(one.vendor, [...(BY_VENDOR.get(one.vendor) ?? []), one]);

/** Whether a vendor has lines here: with an unknown device id, one of them may or may not apply. */
export function hasAcsQuirks(vendorId: number): boolean {
  return BY_VENDOR.has(vendorId);
}

/** The verdict of the first quirk that applies, or undefined: the ACS capability decides. */
export function acsQuirk(
  device: PciDevice,
  wanted: number,
  environment: AcsEnvironment,
): AcsQuirkVerdict | undefined {
  for (const one of BY_VENDOR.get(device.vendorId) ?? []) {
    if (one.devices !== undefined && !one.devices.has(device.deviceId)) continue;
    const verdict = one.quirk(device, wanted, environment);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

/** Ports whose source validation is broken and never asked for (pci_disable_broken_acs_cap): two IDT switches. */
export function brokenAcsControls(device: PciDevice): number {
  return device.vendorId === 0x111d && (device.deviceId === 0x80b5 || device.deviceId === 0x8090)
    ? sourceValidation
    : 0;
}
