import { bit, bits, layout } from '../../layout.ts';

/** Capability register (CAP). VT-d 11.4.2. */
export const CapabilityLayout = layout(
  'CAP',
  64,
  {
    /** ND: 2^(4 + 2 × value) domain ids. */
    domainIdCode: bits(0, 2, {
      0: '16',
      1: '64',
      2: '256',
      3: '1024',
      4: '4096',
      5: '16384',
      6: '65536',
      7: 'reserved',
    }),
    advancedFaultLogging: bit(3),
    writeBufferFlushing: bit(4),
    protectedLowMemory: bit(5),
    protectedHighMemory: bit(6),
    cachingMode: bit(7),
    /** SAGAW: bit 1 = 39 bits, bit 2 = 48, bit 3 = 57. */
    addressWidths: bits(8, 12),
    /** MGAW: widest guest address, minus 1. */
    maximumGuestAddressWidth: bits(16, 21),
    zeroLengthRead: bit(22),
    isochrony: bit(23),
    /** FRO: in units of 16 bytes. */
    faultRecordOffset: bits(24, 33),
    /** SLLPS: bit 0 = 2 MiB, bit 1 = 1 GiB. */
    secondLevelLargePages: bits(34, 37),
    pageSelectiveInvalidation: bit(39),
    /** NFR: fault records, minus 1. */
    faultRecords: bits(40, 47),
    /** MAMV: 2^value pages at most in one page-selective invalidation. */
    maximumAddressMask: bits(48, 53),
    writeDraining: bit(54),
    readDraining: bit(55),
    firstLevel1GibPages: bit(56),
    postedInterrupts: bit(59),
    firstLevel5Levels: bit(60),
    enhancedCommands: bit(61),
    /** ESIRTPS: setting the interrupt table pointer invalidates the interrupt entry cache. */
    setInterruptTableInvalidates: bit(62),
    /** ESRTPS: setting the root table pointer invalidates all caches of DMA remapping. */
    setRootTableInvalidates: bit(63),
  },
  'VT-d 11.4.2',
);

/** Extended capability register (ECAP). VT-d 11.4.3. */
export const ExtendedCapabilityLayout = layout(
  'ECAP',
  64,
  {
    coherentPageWalk: bit(0),
    queuedInvalidation: bit(1),
    deviceTlb: bit(2),
    interruptRemapping: bit(3),
    extendedInterruptMode: bit(4),
    passThrough: bit(6),
    snoopControl: bit(7),
    /** IRO: in units of 16 bytes. */
    iotlbRegisterOffset: bits(8, 17),
    /** MHMV: 2^value entries at most in one index-selective invalidation. */
    maximumHandleMask: bits(20, 23),
    extendedContext: bit(24),
    memoryTypes: bit(25),
    nestedTranslation: bit(26),
    brokenPasid: bit(28),
    pageRequests: bit(29),
    executeRequests: bit(30),
    supervisorRequests: bit(31),
    noWriteFlag: bit(33),
    extendedAccessedFlag: bit(34),
    /** PSS: bits of a PASID, minus 1. */
    pasidSize: bits(35, 39),
    processAddressSpaceIds: bit(40),
    deviceTlbThrottle: bit(41),
    pageRequestDrain: bit(42),
    scalableMode: bit(43),
    virtualCommands: bit(44),
    secondLevelAccessDirty: bit(45),
    secondLevelTranslation: bit(46),
    firstLevelTranslation: bit(47),
    scalableWalkCoherency: bit(48),
    ridPasid: bit(49),
    trustedDomainIo: bit(50),
    performanceMonitoring: bit(51),
    abortDmaMode: bit(52),
    ridPrivilege: bit(53),
    /** HPTS, PTRS, PBDS: seen on the newest parts only. */
    hpts: bit(55),
    ptrs: bit(56),
    pbds: bit(57),
    stopMarker: bit(58),
  },
  'VT-d 11.4.3',
);

type CapabilityName =
  | keyof (typeof CapabilityLayout)['fields']
  | keyof (typeof ExtendedCapabilityLayout)['fields'];

/** CAP and ECAP taken apart: every field by name, as a number (0 or 1 for single bits). */
export type Capabilities = Readonly<Record<CapabilityName, number>>;

const halves = (value: bigint): Uint32Array =>
  Uint32Array.of(Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));

/** Takes the two registers apart. */
export function decodeCapabilities(cap: bigint, ecap: bigint): Capabilities {
  const decoded: Partial<Record<CapabilityName, number>> = {};
  for (const [from, value] of [
    [CapabilityLayout, cap],
    [ExtendedCapabilityLayout, ecap],
  ] as const) {
    const words = halves(value);
    for (const field of from.ordered) decoded[field.name as CapabilityName] = field.get(words);
  }
  return decoded as Capabilities;
}

/** Puts the two registers together; fields not named are 0. @throws RangeError for a value that doesn't fit. */
export function encodeCapabilities(capabilities: Partial<Capabilities>): { cap: bigint; ecap: bigint } {
  const part = (from: typeof CapabilityLayout | typeof ExtendedCapabilityLayout): bigint => {
    const words = new Uint32Array(2);
    for (const field of from.ordered) {
      const value = capabilities[field.name as CapabilityName];
      if (value !== undefined) field.set(words, value);
    }
    return BigInt(words[0]) | (BigInt(words[1]) << 32n);
  };
  return { cap: part(CapabilityLayout), ecap: part(ExtendedCapabilityLayout) };
}
