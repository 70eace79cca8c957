import {
  type DeviceScope,
  DMAR_HEADER_BYTES,
  DmarError,
  type DmarStructure,
  type DmarTable,
  type ScopeHop,
} from './dmar.ts';

const SIGNATURE = 'DMAR';
const SCOPE_HEADER_BYTES = 6;

class Reader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u8 = (offset: number): number => this.view.getUint8(offset);
  u16 = (offset: number): number => this.view.getUint16(offset, true);
  u32 = (offset: number): number => this.view.getUint32(offset, true);
  u64 = (offset: number): bigint => this.view.getBigUint64(offset, true);
  text = (offset: number, length: number): string =>
    String.fromCharCode(...this.bytes.subarray(offset, offset + length)).replace(/[\0 ]+$/, '');
}

function readScopes(reader: Reader, from: number, end: number): DeviceScope[] {
  const scopes: DeviceScope[] = [];
  let at = from;
  while (at < end) {
    if (at + SCOPE_HEADER_BYTES > end)
      throw new DmarError(
        `device scope at 0x${at.toString(16)} is cut off: ${end - at} of its 6 header bytes`,
        at,
      );
    const length = reader.u8(at + 1);
    if (length < SCOPE_HEADER_BYTES || length % 2 !== 0)
      throw new DmarError(`device scope length ${length}: must be 6 plus two for each path step`, at + 1);
    if (at + length > end)
      throw new DmarError(`device scope of ${length} bytes passes the end of its structure`, at + 1);
    const path: ScopeHop[] = [];
    for (let hop = at + SCOPE_HEADER_BYTES; hop < at + length; hop += 2)
      path.push({ device: reader.u8(hop), function: reader.u8(hop + 1) });
    scopes.push({
      type: reader.u8(at),
      flags: reader.u8(at + 2),
      enumerationId: reader.u8(at + 4),
      startBus: reader.u8(at + 5),
      path,
    });
    at += length;
  }
  return scopes;
}

/** Bytes a structure needs before its scopes begin, by type. */
const FIXED_BYTES: Readonly<Record<number, number>> = { 0: 16, 1: 24, 2: 8, 3: 20, 4: 8, 5: 8, 6: 8 };

function readStructure(reader: Reader, at: number, type: number, length: number): DmarStructure {
  const fixed = FIXED_BYTES[type] ?? 4;
  if (length < fixed)
    throw new DmarError(`structure of type ${type} has ${length} bytes, needs at least ${fixed}`, at + 2);
  const bytes = reader.bytes.slice(at, at + length);
  const end = at + length;
  const scopes = (from: number): DeviceScope[] => readScopes(reader, at + from, end);
  switch (type) {
    case 0:
      return {
        kind: 'DRHD',
        includeAll: (reader.u8(at + 4) & 1) !== 0,
        sizeShift: reader.u8(at + 5) & 0xf,
        segment: reader.u16(at + 6),
        registerBase: reader.u64(at + 8),
        scopes: scopes(16),
        bytes,
      };
    case 1:
      return {
        kind: 'RMRR',
        segment: reader.u16(at + 6),
        base: reader.u64(at + 8),
        limit: reader.u64(at + 16),
        scopes: scopes(24),
        bytes,
      };
    case 2:
      return {
        kind: 'ATSR',
        allPorts: (reader.u8(at + 4) & 1) !== 0,
        segment: reader.u16(at + 6),
        scopes: scopes(8),
        bytes,
      };
    case 3:
      return {
        kind: 'RHSA',
        registerBase: reader.u64(at + 8),
        proximityDomain: reader.u32(at + 16),
        bytes,
      };
    case 4: {
      const name = reader.bytes.subarray(at + 8, end);
      const nul = name.indexOf(0);
      return {
        kind: 'ANDD',
        deviceNumber: reader.u8(at + 7),
        name: String.fromCharCode(...(nul < 0 ? name : name.subarray(0, nul))),
        ...(nul < 0 ? { unterminated: true } : {}),
        bytes,
      };
    }
    case 5:
      return {
        kind: 'SATC',
        atcRequired: (reader.u8(at + 4) & 1) !== 0,
        segment: reader.u16(at + 6),
        scopes: scopes(8),
        bytes,
      };
    case 6:
      return { kind: 'SIDP', segment: reader.u16(at + 6), scopes: scopes(8), bytes };
    default:
      return { kind: 'unknown', type, bytes };
  }
}

/** What Linux's driver says about a table that it can read. dmar.c. */
function findOddities(structures: readonly DmarStructure[]): string[] {
  const odd: string[] = [];
  const units = structures.filter((structure) => structure.kind === 'DRHD');
  if (units.length === 0) odd.push('no remapping unit (DRHD) is listed');
  for (const unit of units)
    if (unit.registerBase === 0n) odd.push('a remapping unit has register base 0: drivers refuse it');
  for (const structure of structures) {
    if (structure.kind !== 'RMRR') continue;
    const { base, limit } = structure;
    if (limit < base || (base & 0xfffn) !== 0n || ((limit + 1n) & 0xfffn) !== 0n)
      odd.push(
        `reserved memory 0x${base.toString(16)}-0x${limit.toString(16)} is not made of whole 4 KiB pages`,
      );
  }
  return odd;
}

/**
 * Reads a DMAR table.
 * @throws DmarError with the offset: wrong signature, checksum or length, a structure or scope that is cut off.
 */
export function readDmar(bytes: Uint8Array): DmarTable {
  if (bytes.length < DMAR_HEADER_BYTES)
    throw new DmarError(`a DMAR table has at least 48 bytes, this has ${bytes.length}`, 0);
  const reader = new Reader(bytes);
  const signature = String.fromCharCode(...bytes.subarray(0, 4));
  if (signature !== SIGNATURE)
    throw new DmarError(`signature is ${JSON.stringify(signature)}, not "DMAR"`, 0);
  const length = reader.u32(4);
  if (length < DMAR_HEADER_BYTES || length > bytes.length)
    throw new DmarError(`the header says ${length} bytes, there are ${bytes.length}`, 4);
  let sum = 0;
  for (let index = 0; index < length; index += 1) sum = (sum + bytes[index]) & 0xff;
  if (sum !== 0) {
    const is = bytes[9];
    const right = (is - sum) & 0xff;
    throw new DmarError(`checksum is 0x${is.toString(16)}, 0x${right.toString(16)} would be right`, 9);
  }
  const warnings: string[] = [];
  if (length < bytes.length)
    warnings.push(`${bytes.length - length} bytes follow the table's end at 0x${length.toString(16)}`);
  const structures: DmarStructure[] = [];
  let at = DMAR_HEADER_BYTES;
  let trailingBytes: Uint8Array | undefined;
  while (at < length) {
    if (at + 4 > length)
      throw new DmarError(`structure is cut off: ${length - at} of its 4 header bytes`, at);
    const type = reader.u16(at);
    const size = reader.u16(at + 2);
    if (size === 0) {
      warnings.push(`structure of length zero at 0x${at.toString(16)}: the rest is not read`);
      trailingBytes = bytes.slice(at, length);
      break;
    }
    if (size < 4) throw new DmarError(`structure length ${size} is less than its header`, at + 2);
    if (at + size > length)
      throw new DmarError(
        `structure of type ${type} and ${size} bytes passes the table's end at 0x${length.toString(16)}`,
        at + 2,
      );
    structures.push(readStructure(reader, at, type, size));
    at += size;
  }
  const flags = reader.u8(37);
  return {
    revision: reader.u8(8),
    oemId: reader.text(10, 6),
    oemTableId: reader.text(16, 8),
    oemRevision: reader.u32(24),
    creatorId: reader.text(28, 4),
    creatorRevision: reader.u32(32),
    hostAddressWidth: reader.u8(36) + 1,
    interruptRemapping: (flags & 1) !== 0,
    x2apicOptOut: (flags & 2) !== 0,
    dmaControlOptIn: (flags & 4) !== 0,
    structures,
    warnings: [...warnings, ...findOddities(structures)],
    headerBytes: bytes.slice(0, DMAR_HEADER_BYTES),
    trailingBytes,
  };
}
