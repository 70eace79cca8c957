/**
 * Descriptors of the invalidation queue: 128 bits, or 256 with the upper half zero. VT-d 6.5.2. The driver encodes
 * them, the unit decodes and checks them, the screens show them: all from these layouts.
 */
import { address, bit, bits, type DecodedField, type Layout, layout } from '../layout.ts';

const type = { typeLow: bits(0, 3), typeHigh: bits(9, 11) };

/** Type numbers. */
export const DescriptorType = {
  contextCache: 1,
  iotlb: 2,
  deviceTlb: 3,
  interruptEntryCache: 4,
  wait: 5,
  pasidIotlb: 6,
  pasidCache: 7,
  pasidDeviceTlb: 8,
  pageGroupResponse: 9,
} as const;

export const ContextCacheDescriptor = layout(
  'context-cache invalidate',
  128,
  {
    ...type,
    granularity: bits(4, 5, { 1: 'global', 2: 'domain', 3: 'device' }),
    domainId: bits(16, 31),
    sourceId: bits(32, 47),
    functionMask: bits(48, 49),
  },
  'VT-d 6.5.2.1',
);

export const IotlbDescriptor = layout(
  'IOTLB invalidate',
  128,
  {
    ...type,
    granularity: bits(4, 5, { 1: 'global', 2: 'domain', 3: 'page in domain' }),
    drainWrites: bit(6),
    drainReads: bit(7),
    domainId: bits(16, 31),
    addressMask: bits(64, 69),
    invalidationHint: bit(70),
    address: address(76, 127),
  },
  'VT-d 6.5.2.3',
);

export const DeviceTlbDescriptor = layout(
  'device-TLB invalidate',
  128,
  {
    ...type,
    physicalFunctionLow: bits(12, 15),
    maximumPending: bits(16, 20),
    sourceId: bits(32, 47),
    physicalFunctionHigh: bits(52, 63),
    size: bit(64),
    address: address(76, 127),
  },
  'VT-d 6.5.2.5',
);

export const InterruptEntryCacheDescriptor = layout(
  'interrupt-entry-cache invalidate',
  128,
  {
    ...type,
    granularity: bit(4, { 0: 'global', 1: 'index' }),
    indexMask: bits(27, 31),
    index: bits(32, 47),
  },
  'VT-d 6.5.2.7',
);

export const WaitDescriptor = layout(
  'invalidation wait',
  128,
  {
    ...type,
    interrupt: bit(4),
    statusWrite: bit(5),
    fence: bit(6),
    pageRequestDrain: bit(7),
    statusData: bits(32, 63),
    statusAddress: address(66, 127),
  },
  'VT-d 6.5.2.8',
);

export const PasidIotlbDescriptor = layout(
  'PASID-based IOTLB invalidate',
  128,
  {
    ...type,
    granularity: bits(4, 5, { 2: 'PASID', 3: 'page in PASID' }),
    domainId: bits(16, 31),
    pasid: bits(32, 51),
    addressMask: bits(64, 69),
    invalidationHint: bit(70),
    address: address(76, 127),
  },
  'VT-d 6.5.2.4',
);

export const PasidCacheDescriptor = layout(
  'PASID-cache invalidate',
  128,
  {
    ...type,
    granularity: bits(4, 5, { 0: 'domain', 1: 'PASID in domain', 3: 'global' }),
    domainId: bits(16, 31),
    pasid: bits(32, 51),
  },
  'VT-d 6.5.2.2',
);

export const PasidDeviceTlbDescriptor = layout(
  'PASID-based device-TLB invalidate',
  128,
  {
    typeLow: bits(0, 3),
    maximumPending: bits(4, 8),
    typeHigh: bits(9, 11),
    physicalFunctionLow: bits(12, 15),
    sourceId: bits(16, 31),
    pasid: bits(32, 51),
    physicalFunctionHigh: bits(52, 63),
    global: bit(64, { 0: 'one PASID', 1: 'all PASIDs' }),
    size: bit(75),
    address: address(76, 127),
  },
  'VT-d 6.5.2.6',
);

export const PageGroupResponseDescriptor = layout(
  'page group response',
  128,
  {
    ...type,
    pasidPresent: bit(4),
    responseCode: bits(12, 15, { 0: 'success', 1: 'invalid request', 15: 'failure' }),
    requesterId: bits(16, 31),
    pasid: bits(32, 51),
    group: bits(67, 75),
  },
  'VT-d 7.7.1',
);

/** Layout of each descriptor type. */
const byType: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [DescriptorType.contextCache, ContextCacheDescriptor],
  [DescriptorType.iotlb, IotlbDescriptor],
  [DescriptorType.deviceTlb, DeviceTlbDescriptor],
  [DescriptorType.interruptEntryCache, InterruptEntryCacheDescriptor],
  [DescriptorType.wait, WaitDescriptor],
  [DescriptorType.pasidIotlb, PasidIotlbDescriptor],
  [DescriptorType.pasidCache, PasidCacheDescriptor],
  [DescriptorType.pasidDeviceTlb, PasidDeviceTlbDescriptor],
  [DescriptorType.pageGroupResponse, PageGroupResponseDescriptor],
]);

/** Type of a descriptor from its first word: bits 3:0, and bits 11:9 as bits 6:4. */
export function descriptorType(firstWord: number): number {
  return (firstWord & 0xf) | ((firstWord >>> 5) & 0x70);
}

/** The layout of a type, or undefined: reserved. */
export function descriptorLayout(type: number): Layout | undefined {
  return byType.get(type);
}

/** A descriptor as the screens show it. */
export interface DecodedDescriptor {
  readonly type: number;
  readonly name: string;
  readonly fields: readonly DecodedField[];
}

/** Takes a descriptor apart (4 words from `base`), also one of a reserved type. */
export function decodeDescriptor(words: ArrayLike<number>, base = 0): DecodedDescriptor {
  const number = descriptorType(words[base]);
  const found = byType.get(number);
  if (found === undefined) return { type: number, name: `reserved type ${number}`, fields: [] };
  return { type: number, name: found.name, fields: found.decode(words, base) };
}

/**
 * A descriptor as words: 4, or 8 for the 256-bit form. `type` sets both type fields.
 * @throws RangeError for a value that doesn't fit its field.
 */
export function encodeDescriptor<Name extends string>(
  of: Layout<Name>,
  type: number,
  values: Partial<Record<Name, number | bigint | boolean>>,
  widthBits: 128 | 256 = 128,
): Uint32Array {
  const encoded = of.encode(values);
  encoded[0] |= (type & 0xf) | ((type & 0x70) << 5);
  if (widthBits === 128) return encoded;
  const wide = new Uint32Array(8);
  wide.set(encoded);
  return wide;
}
