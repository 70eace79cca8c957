/**
 * Makes the configuration bytes of a function from values by field name: what a device model or a built-in host
 * declares. Capabilities are placed and chained in the order given.
 */
import { bytesOf, type Layout } from '../layout.ts';
import type { CapabilityDeclaration } from './capabilities/declaration.ts';
import { BridgeHeader, EndpointHeader } from './layouts.ts';

type Values<Name extends string> = Partial<Record<Name, number | bigint | boolean>>;
type FieldNames<L> = L extends Layout<infer Name> ? Name : never;

/** A capability with its values, ready to be placed. */
export interface PlacedCapability {
  readonly declaration: CapabilityDeclaration;
  readonly bytes: Uint8Array;
  /** Wanted offset; absent: the next free place. */
  readonly offset: number | undefined;
}

/**
 * One capability with the named fields set, all others zero.
 * @param options.offset where it shall stand (multiple of 4; below 0x100 for the conventional list)
 * @param options.lengthBytes room it takes when that differs from its layout (MSI forms, a DVSEC's tail)
 */
export function capability<Name extends string>(
  declaration: CapabilityDeclaration<Name>,
  values: Values<Name> = {},
  options: { offset?: number; lengthBytes?: number } = {},
): PlacedCapability {
  const bytes = bytesOf(declaration.layout.encode(values));
  const length = Math.max(options.lengthBytes ?? declaration.layout.widthBytes, 4);
  const sized = new Uint8Array(length);
  sized.set(bytes.subarray(0, length));
  return { declaration: declaration as CapabilityDeclaration, bytes: sized, offset: options.offset };
}

export interface EndpointConfiguration {
  readonly header: Values<FieldNames<typeof EndpointHeader>>;
  readonly capabilities?: readonly PlacedCapability[];
  /** 256 or 4096; 4096 unless told. */
  readonly size?: 256 | 4096;
}

export interface BridgeConfiguration {
  readonly header: Values<FieldNames<typeof BridgeHeader>>;
  readonly capabilities?: readonly PlacedCapability[];
  readonly size?: 256 | 4096;
}

/** Configuration bytes of an endpoint (header type 0). @throws RangeError when a capability finds no room. */
export function endpointConfiguration(configuration: EndpointConfiguration): Uint8Array {
  return place(EndpointHeader.encode(configuration.header), configuration);
}

/** Configuration bytes of a bridge or port (header type 1). @throws RangeError when a capability finds no room. */
export function bridgeConfiguration(configuration: BridgeConfiguration): Uint8Array {
  return place(BridgeHeader.encode({ ...configuration.header, headerLayout: 1 }), configuration);
}

function place(
  header: Uint32Array,
  configuration: { capabilities?: readonly PlacedCapability[]; size?: 256 | 4096 },
): Uint8Array {
  const size = configuration.size ?? 4096;
  const bytes = new Uint8Array(size);
  bytes.set(bytesOf(header).subarray(0, 0x40));
  const all = configuration.capabilities ?? [];
  chainStandard(
    bytes,
    all.filter((one) => one.declaration.list === 'standard'),
  );
  chainExtended(
    bytes,
    all.filter((one) => one.declaration.list === 'extended'),
  );
  return bytes;
}

function chainStandard(bytes: Uint8Array, list: readonly PlacedCapability[]): void {
  let free = 0x40;
  let pointer = 0x34;
  for (const one of list) {
    const offset = one.offset ?? free;
    check(one, offset, 0x40, 0x100);
    bytes.set(one.bytes, offset);
    bytes[offset] = one.declaration.id;
    bytes[offset + 1] = 0;
    bytes[pointer] = offset;
    pointer = offset + 1;
    free = (offset + one.bytes.length + 3) & ~3;
    bytes[0x06] |= 0x10;
  }
}

function chainExtended(bytes: Uint8Array, list: readonly PlacedCapability[]): void {
  let free = 0x100;
  let previous: number | undefined;
  for (const one of list) {
    const offset = one.offset ?? free;
    check(one, offset, 0x100, bytes.length);
    bytes.set(one.bytes, offset);
    const { id, version } = one.declaration;
    bytes.set([id & 0xff, id >>> 8, version, 0], offset);
    if (previous !== undefined) {
      bytes[previous + 2] |= (offset & 0xf) << 4;
      bytes[previous + 3] = offset >>> 4;
    } else if (offset !== 0x100) {
      throw new RangeError(
        `${one.declaration.name}: the extended list starts at 0x100, not 0x${offset.toString(16)}`,
      );
    }
    previous = offset;
    free = (offset + one.bytes.length + 3) & ~3;
  }
}

function check(one: PlacedCapability, offset: number, from: number, end: number): void {
  if (offset % 4 !== 0 || offset < from || offset + one.bytes.length > end) {
    throw new RangeError(
      `${one.declaration.name}: no room at 0x${offset.toString(16)} (0x${from.toString(16)} to 0x${end.toString(16)})`,
    );
  }
}
