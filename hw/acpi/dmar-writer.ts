import {
  type DeviceScope,
  DMAR_HEADER_BYTES,
  type DmarStructure,
  type DmarTable,
  STRUCTURE_TYPES,
} from './dmar.ts';

class Writer {
  private readonly bytes: number[];
  constructor(bytes: number[] = []) {
    this.bytes = bytes;
  }
  u8(value: number): this {
    this.bytes.push(value & 0xff);
    return this;
  }
  u16(value: number): this {
    return this.u8(value).u8(value >>> 8);
  }
  u32(value: number): this {
    return this.u16(value).u16(value >>> 16);
  }
  u64(value: bigint): this {
    return this.u32(Number(value & 0xffffffffn)).u32(Number(value >> 32n));
  }
  text(value: string, length: number): this {
    for (let index = 0; index < length; index += 1)
      this.u8(index < value.length ? value.charCodeAt(index) : 0);
    return this;
  }
  scopes(scopes: readonly DeviceScope[]): this {
    for (const scope of scopes) {
      this.u8(scope.type)
        .u8(6 + 2 * scope.path.length)
        .u8(scope.flags)
        .u8(0);
      this.u8(scope.enumerationId).u8(scope.startBus);
      for (const hop of scope.path) this.u8(hop.device).u8(hop.function);
    }
    return this;
  }
  get content(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

/** The bytes of one structure: those that were read, or new ones. */
function structureBytes(structure: DmarStructure): Uint8Array {
  if (structure.bytes !== undefined) return structure.bytes;
  const body = new Writer();
  switch (structure.kind) {
    case 'DRHD':
      body.u8(Number(structure.includeAll)).u8(structure.sizeShift).u16(structure.segment);
      body.u64(structure.registerBase).scopes(structure.scopes);
      break;
    case 'RMRR':
      body.u16(0).u16(structure.segment).u64(structure.base).u64(structure.limit).scopes(structure.scopes);
      break;
    case 'ATSR':
      body.u8(Number(structure.allPorts)).u8(0).u16(structure.segment).scopes(structure.scopes);
      break;
    case 'RHSA':
      body.u32(0).u64(structure.registerBase).u32(structure.proximityDomain);
      break;
    case 'ANDD':
      body.u8(0).u16(0).u8(structure.deviceNumber).text(structure.name, structure.name.length).u8(0);
      break;
    case 'SATC':
      body.u8(Number(structure.atcRequired)).u8(0).u16(structure.segment).scopes(structure.scopes);
      break;
    case 'SIDP':
      body.u16(0).u16(structure.segment).scopes(structure.scopes);
      break;
    case 'unknown':
      break;
  }
  const content = body.content;
  const type = structure.kind === 'unknown' ? structure.type : STRUCTURE_TYPES[structure.kind];
  const head = new Writer().u16(type).u16(content.length + 4).content;
  return Uint8Array.from([...head, ...content]);
}

/** Writes the table with right length and checksum. Structures that were read come out as they were. */
export function writeDmar(table: DmarTable): Uint8Array {
  const parts = table.structures.map(structureBytes);
  if (table.trailingBytes !== undefined) parts.push(table.trailingBytes);
  const length = DMAR_HEADER_BYTES + parts.reduce((sum, part) => sum + part.length, 0);
  const header = new Writer()
    .text('DMAR', 4)
    .u32(length)
    .u8(table.revision)
    .u8(0)
    .text(table.oemId, 6)
    .text(table.oemTableId, 8)
    .u32(table.oemRevision)
    .text(table.creatorId, 4)
    .u32(table.creatorRevision)
    .u8(table.hostAddressWidth - 1)
    .u8(
      Number(table.interruptRemapping) |
        (Number(table.x2apicOptOut) << 1) |
        (Number(table.dmaControlOptIn) << 2),
    )
    .text('', 10).content;
  const bytes = new Uint8Array(length);
  bytes.set(header);
  if (table.headerBytes !== undefined) {
    // Names keep their padding, the flags byte and the reserved bytes what firmware left there.
    bytes.set(table.headerBytes.subarray(10, DMAR_HEADER_BYTES), 10);
  }
  let at = DMAR_HEADER_BYTES;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  let sum = 0;
  for (const value of bytes) sum = (sum + value) & 0xff;
  bytes[9] = -sum & 0xff;
  return bytes;
}
