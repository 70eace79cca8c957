/** One function's configuration space as people read it: identity, base addresses, windows, capabilities by name and field. */
import type { DecodedField } from '../layout.ts';
import type { CapabilityList } from './capabilities/declaration.ts';
import { CXL_DVSEC_NAMES, CXL_DVSEC_VENDOR } from './capabilities/dvsec.ts';
import { MSI_MASK_FIELDS, Msi } from './capabilities/msi.ts';
import { EXTENDED_CAPABILITY_NAMES, STANDARD_CAPABILITY_NAMES } from './capabilities/names.ts';
import { declarationAt } from './capabilities/registry.ts';
import { type ConfigRead, type FoundCapability, walkCapabilities } from './capabilities/walk.ts';
import { HeaderOffset } from './layouts.ts';

export interface DecodedCapability {
  readonly list: CapabilityList;
  readonly id: number;
  readonly version: number;
  readonly offset: number;
  readonly name: string;
  /** Empty for a capability that is known by name only. */
  readonly fields: readonly DecodedField[];
}

/** A base address register, or a pair of them. */
export interface DecodedBar {
  readonly index: number;
  /** Undefined when nothing tells: bytes alone do not. */
  readonly sizeBytes: number | undefined;
  readonly kind: 'memory' | 'io';
  readonly wide: boolean;
  readonly prefetchable: boolean;
  readonly address: bigint;
}

/** A window that a bridge forwards, end included. */
export interface DecodedWindow {
  readonly kind: 'io' | 'memory' | 'prefetchable';
  readonly start: bigint;
  readonly end: bigint;
}

export interface DecodedFunction {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly classCode: number;
  readonly revision: number;
  readonly headerLayout: 'endpoint' | 'bridge' | 'CardBus bridge' | 'unknown';
  readonly multifunction: boolean;
  readonly bars: readonly DecodedBar[];
  readonly windows: readonly DecodedWindow[];
  readonly capabilities: readonly DecodedCapability[];
  readonly problems: readonly string[];
}

/**
 * Decodes a function of 64, 256 or 4096 bytes.
 * @param barSizes sizes of base address registers, where they are known
 */
export function decodeFunction(
  read: ConfigRead,
  size: number,
  barSizes: readonly { readonly index: number; readonly bytes: number }[] = [],
): DecodedFunction {
  const header = read(HeaderOffset.headerType, 1);
  const layouts = ['endpoint', 'bridge', 'CardBus bridge'] as const;
  const headerLayout = layouts[header & 0x7f] ?? 'unknown';
  const walk = walkCapabilities(read, size);
  return {
    vendorId: read(HeaderOffset.vendorId, 2),
    deviceId: read(HeaderOffset.deviceId, 2),
    classCode: read(HeaderOffset.revision, 4) >>> 8,
    revision: read(HeaderOffset.revision, 1),
    headerLayout,
    multifunction: (header & 0x80) !== 0,
    bars: decodeBars(read, headerLayout === 'endpoint' ? 6 : headerLayout === 'bridge' ? 2 : 0).map(
      (bar) => ({
        ...bar,
        sizeBytes: barSizes.find((known) => known.index === bar.index)?.bytes,
      }),
    ),
    windows: headerLayout === 'bridge' ? decodeWindows(read) : [],
    capabilities: walk.found.map((one) => decodeCapability(one, read, size)),
    problems: walk.problems,
  };
}

function decodeCapability(one: FoundCapability, read: ConfigRead, size: number): DecodedCapability {
  const base = { list: one.list, id: one.id, version: one.version, offset: one.offset };
  const isDvsec = one.list === 'extended' && one.id === 0x23;
  const vendor = isDvsec ? read(one.offset + 4, 2) : 0;
  const dvsecId = isDvsec ? read(one.offset + 8, 2) : 0;
  const declaration = declarationAt(one.list, one.id, one.offset, read);
  if (declaration === undefined) {
    const names = one.list === 'standard' ? STANDARD_CAPABILITY_NAMES : EXTENDED_CAPABILITY_NAMES;
    return { ...base, name: names[one.id] ?? `capability 0x${one.id.toString(16)}`, fields: [] };
  }
  const words = new Uint32Array(declaration.layout.widthWords);
  for (let index = 0; index < words.length; index += 1) {
    const offset = one.offset + index * 4;
    words[index] = offset + 4 <= size ? read(offset, 4) : offset + 2 <= size ? read(offset, 2) : 0;
  }
  const end = (size - one.offset) * 8;
  const unmasked = one.list === 'standard' && one.id === Msi.id && (read(one.offset + 2, 2) & 0x100) === 0;
  const absent = [
    'capabilityId',
    'capabilityVersion',
    'nextCapability',
    ...(unmasked ? MSI_MASK_FIELDS : []),
  ];
  const fields = declaration.layout
    .decode(words)
    .filter((field) => field.high < end && !absent.includes(field.name));
  const shown = fields.map((field) =>
    /(?:Id|vendor)$/.test(field.name)
      ? { ...field, text: `0x${field.value.toString(16).padStart(4, '0')}` }
      : field,
  );
  const cxl = isDvsec && vendor === CXL_DVSEC_VENDOR ? (CXL_DVSEC_NAMES[dvsecId] ?? 'CXL') : undefined;
  return {
    ...base,
    name: cxl === undefined ? declaration.name : `Designated Vendor-Specific: ${cxl}`,
    fields: shown,
  };
}

function decodeBars(read: ConfigRead, count: number): Omit<DecodedBar, 'sizeBytes'>[] {
  const bars: Omit<DecodedBar, 'sizeBytes'>[] = [];
  for (let index = 0; index < count; index += 1) {
    const low = read(HeaderOffset.baseAddresses + index * 4, 4);
    if (low === 0) continue;
    if ((low & 1) !== 0) {
      bars.push({ index, kind: 'io', wide: false, prefetchable: false, address: BigInt((low & ~3) >>> 0) });
      continue;
    }
    const wide = (low & 6) === 4 && index + 1 < count;
    const high = wide ? read(HeaderOffset.baseAddresses + index * 4 + 4, 4) : 0;
    bars.push({
      index,
      kind: 'memory',
      wide,
      prefetchable: (low & 8) !== 0,
      address: (BigInt(high) << 32n) | BigInt((low & ~0xf) >>> 0),
    });
    if (wide) index += 1;
  }
  return bars;
}

/** Windows whose limit lies below their base are closed and left out. PCI-to-PCI bridge 1.2, 3.2.5. */
function decodeWindows(read: ConfigRead): DecodedWindow[] {
  const windows: DecodedWindow[] = [];
  const ioWide = (read(0x1c, 1) & 0xf) === 1;
  const ioBase = (BigInt(read(0x1c, 1) & 0xf0) << 8n) | (ioWide ? BigInt(read(0x30, 2)) << 16n : 0n);
  const ioLimit =
    (BigInt(read(0x1d, 1) & 0xf0) << 8n) | 0xfffn | (ioWide ? BigInt(read(0x32, 2)) << 16n : 0n);
  if (ioLimit > ioBase && !(ioBase === 0n && ioLimit === 0xfffn))
    windows.push({ kind: 'io', start: ioBase, end: ioLimit });
  const memoryBase = BigInt(read(0x20, 2) & 0xfff0) << 16n;
  const memoryLimit = (BigInt(read(0x22, 2) & 0xfff0) << 16n) | 0xfffffn;
  if (memoryLimit > memoryBase && memoryBase !== 0n) {
    windows.push({ kind: 'memory', start: memoryBase, end: memoryLimit });
  }
  const wide = (read(0x24, 2) & 0xf) === 1;
  const base = (BigInt(read(0x24, 2) & 0xfff0) << 16n) | (wide ? BigInt(read(0x28, 4)) << 32n : 0n);
  const limit =
    (BigInt(read(0x26, 2) & 0xfff0) << 16n) | 0xfffffn | (wide ? BigInt(read(0x2c, 4)) << 32n : 0n);
  if (limit > base && base !== 0n) windows.push({ kind: 'prefetchable', start: base, end: limit });
  return windows;
}
