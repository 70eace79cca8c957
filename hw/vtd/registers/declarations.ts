import { address, bit, bits } from '../../layout.ts';
import { CapabilityLayout, ExtendedCapabilityLayout } from './capabilities.ts';
import { optionalRegisters, virtualCommandRegisters } from './optional.ts';
import { type Register, register, ro, rw, rw1c, wo } from './register.ts';

/** Bits of GCMD and GSTS, which stand at the same positions in both. VT-d 11.4.4. */
export const GlobalBit = {
  translation: 1 << 31,
  rootTable: 1 << 30,
  faultLog: 1 << 29,
  advancedFaultLog: 1 << 28,
  writeBuffer: 1 << 27,
  queuedInvalidation: 1 << 26,
  interruptRemapping: 1 << 25,
  interruptTable: 1 << 24,
  compatibilityFormat: 1 << 23,
} as const;

/** Bits of the fault status register. VT-d 11.4.7.1. */
export const FaultStatusBit = {
  overflow: 1,
  pending: 2,
  advancedOverflow: 4,
  advancedPending: 8,
  queueError: 16,
  completionError: 32,
  timeOutError: 64,
} as const;

/** Mask and pending bit, as in every event control register. */
export const EventControlBit = { mask: 1 << 31, pending: 1 << 30 } as const;

/** Translation table mode of the root table address (TTM). */
export const TableMode = { legacy: 0, scalable: 1, reserved: 2, abortDma: 3 } as const;

const eventControl = { pending: ro(bit(30)), mask: rw(bit(31)) };
const EVENT_MASKED = { reset: 0x80000000n };
const GRANULARITY = { 0: 'none', 1: 'global', 2: 'domain', 3: 'device or page' } as const;

const VER = register('VER', 'version', 0x000, 4, { minor: ro(bits(0, 3)), major: ro(bits(4, 7)) });

const allReadOnly = (from: {
  ordered: readonly { name: string; kind: 'bit' | 'bits' | 'address'; low: number; high: number }[];
}) =>
  Object.fromEntries(
    from.ordered.map(({ name, kind, low, high }) => [name, ro({ kind, low, high })]),
  ) as Record<string, ReturnType<typeof ro>>;

const CAP = register('CAP', 'capability', 0x008, 8, allReadOnly(CapabilityLayout));
const ECAP = register('ECAP', 'extended capability', 0x010, 8, allReadOnly(ExtendedCapabilityLayout));

const GCMD = register('GCMD', 'global command', 0x018, 4, {
  compatibilityFormat: wo(bit(23)),
  setInterruptTable: wo(bit(24)),
  interruptRemapping: wo(bit(25)),
  queuedInvalidation: wo(bit(26)),
  writeBufferFlush: wo(bit(27)),
  advancedFaultLog: wo(bit(28)),
  setFaultLog: wo(bit(29)),
  setRootTable: wo(bit(30)),
  translation: wo(bit(31)),
});

const GSTS = register('GSTS', 'global status', 0x01c, 4, {
  compatibilityFormat: ro(bit(23)),
  interruptTableSet: ro(bit(24)),
  interruptRemapping: ro(bit(25)),
  queuedInvalidation: ro(bit(26)),
  writeBufferFlush: ro(bit(27)),
  advancedFaultLog: ro(bit(28)),
  faultLogSet: ro(bit(29)),
  rootTableSet: ro(bit(30)),
  translation: ro(bit(31)),
});

const RTADDR = register('RTADDR', 'root table address', 0x020, 8, {
  tableMode: rw(bits(10, 11, { 0: 'legacy', 1: 'scalable', 2: 'reserved', 3: 'abort DMA' })),
  rootTable: rw(address(12, 63)),
});

const CCMD = register('CCMD', 'context command', 0x028, 8, {
  domainId: rw(bits(0, 15)),
  sourceId: wo(bits(16, 31)),
  functionMask: wo(bits(32, 33)),
  actualGranularity: ro(bits(59, 60, GRANULARITY)),
  requestedGranularity: rw(bits(61, 62, GRANULARITY)),
  invalidate: rw(bit(63)),
});

const FSTS = register('FSTS', 'fault status', 0x034, 4, {
  overflow: rw1c(bit(0)),
  pending: ro(bit(1)),
  advancedOverflow: rw1c(bit(2)),
  advancedPending: rw1c(bit(3)),
  queueError: rw1c(bit(4)),
  completionError: rw1c(bit(5)),
  timeOutError: rw1c(bit(6)),
  recordIndex: ro(bits(8, 15)),
});

const FECTL = register('FECTL', 'fault event control', 0x038, 4, eventControl, EVENT_MASKED);
const FEDATA = register('FEDATA', 'fault event data', 0x03c, 4, { data: rw(bits(0, 15)) });
const FEADDR = register('FEADDR', 'fault event address', 0x040, 4, { address: rw(address(2, 31)) });
const FEUADDR = register(
  'FEUADDR',
  'fault event upper address',
  0x044,
  4,
  { address: rw(bits(0, 31)) },
  { requires: (c) => c.extendedInterruptMode },
);

const AFLOG = register(
  'AFLOG',
  'advanced fault log',
  0x058,
  8,
  { size: rw(bits(9, 11)), log: rw(address(12, 63)) },
  { requires: (c) => c.advancedFaultLogging },
);

const PMEN = register(
  'PMEN',
  'protected memory enable',
  0x064,
  4,
  { status: ro(bit(0)), enable: rw(bit(31)) },
  { requires: (c) => c.protectedLowMemory || c.protectedHighMemory },
);
/** Protected regions are aligned to 2 MiB in this model: bits below read zero in the base and ones count in the limit. */
const PLMBASE = register(
  'PLMBASE',
  'protected low memory base',
  0x068,
  4,
  { base: rw(address(21, 31)) },
  { requires: (c) => c.protectedLowMemory },
);
const PLMLIMIT = register(
  'PLMLIMIT',
  'protected low memory limit',
  0x06c,
  4,
  { limit: rw(address(21, 31)) },
  { requires: (c) => c.protectedLowMemory },
);
const PHMBASE = register(
  'PHMBASE',
  'protected high memory base',
  0x070,
  8,
  { base: rw(address(21, 63)) },
  { requires: (c) => c.protectedHighMemory },
);
const PHMLIMIT = register(
  'PHMLIMIT',
  'protected high memory limit',
  0x078,
  8,
  { limit: rw(address(21, 63)) },
  { requires: (c) => c.protectedHighMemory },
);

const queued = { requires: (c: { queuedInvalidation: number }) => c.queuedInvalidation };

const IQH = register('IQH', 'invalidation queue head', 0x080, 8, { head: ro(address(4, 18)) }, queued);
const IQT = register('IQT', 'invalidation queue tail', 0x088, 8, { tail: rw(address(4, 18)) }, queued);
const IQA = register(
  'IQA',
  'invalidation queue address',
  0x090,
  8,
  {
    size: rw(bits(0, 2)),
    descriptorWidth: rw(bit(11, { 0: '128 bits', 1: '256 bits' }), (c) => c.scalableMode || c.abortDmaMode),
    base: rw(address(12, 63)),
  },
  queued,
);
const ICS = register(
  'ICS',
  'invalidation completion status',
  0x09c,
  4,
  { waitComplete: rw1c(bit(0)) },
  queued,
);
const IECTL = register('IECTL', 'invalidation event control', 0x0a0, 4, eventControl, {
  ...EVENT_MASKED,
  ...queued,
});
const IEDATA = register(
  'IEDATA',
  'invalidation event data',
  0x0a4,
  4,
  { data: rw(bits(0, 15)), extendedData: rw(bits(16, 31)) },
  queued,
);
const IEADDR = register(
  'IEADDR',
  'invalidation event address',
  0x0a8,
  4,
  { address: rw(address(2, 31)) },
  queued,
);
const IEUADDR = register(
  'IEUADDR',
  'invalidation event upper address',
  0x0ac,
  4,
  { address: rw(bits(0, 31)) },
  { requires: (c) => c.queuedInvalidation && c.extendedInterruptMode },
);
const IQERCD = register(
  'IQERCD',
  'invalidation queue error record',
  0x0b0,
  8,
  {
    queueError: ro(
      bits(0, 3, {
        0: 'none reported',
        1: 'tail beyond the end',
        2: 'descriptor fetch failed',
        3: 'invalid descriptor type',
        4: 'reserved field set',
        5: 'descriptor width invalid for the mode',
        6: 'tail misaligned',
        7: 'invalid translation table mode',
      }),
    ),
    timeOutSourceId: ro(bits(32, 47)),
    completionSourceId: ro(bits(48, 63)),
  },
  queued,
);

const IRTA = register(
  'IRTA',
  'interrupt remapping table address',
  0x0b8,
  8,
  {
    size: rw(bits(0, 3)),
    extendedInterruptMode: rw(bit(11), (c) => c.extendedInterruptMode),
    table: rw(address(12, 63)),
  },
  { requires: (c) => c.interruptRemapping },
);

const paged = { requires: (c: { pageRequests: number }) => c.pageRequests };

const PQH = register('PQH', 'page request queue head', 0x0c0, 8, { head: rw(address(5, 18)) }, paged);
const PQT = register('PQT', 'page request queue tail', 0x0c8, 8, { tail: rw(address(5, 18)) }, paged);
const PQA = register(
  'PQA',
  'page request queue address',
  0x0d0,
  8,
  { size: rw(bits(0, 2)), base: rw(address(12, 63)) },
  paged,
);
const PRS = register(
  'PRS',
  'page request status',
  0x0dc,
  4,
  { pending: rw1c(bit(0)), overflow: rw1c(bit(1)) },
  paged,
);
const PECTL = register('PECTL', 'page request event control', 0x0e0, 4, eventControl, {
  ...EVENT_MASKED,
  ...paged,
});
const PEDATA = register('PEDATA', 'page request event data', 0x0e4, 4, { data: rw(bits(0, 15)) }, paged);
const PEADDR = register(
  'PEADDR',
  'page request event address',
  0x0e8,
  4,
  { address: rw(address(2, 31)) },
  paged,
);
const PEUADDR = register(
  'PEUADDR',
  'page request event upper address',
  0x0ec,
  4,
  { address: rw(bits(0, 31)) },
  paged,
);

const iotlb = { relativeTo: 'iotlb registers' as const };

const IVA = register(
  'IVA',
  'invalidate address',
  0,
  8,
  { addressMask: wo(bits(0, 5)), invalidationHint: wo(bit(6)), address: wo(address(12, 63)) },
  iotlb,
);
const IOTLB = register(
  'IOTLB',
  'IOTLB invalidate',
  8,
  8,
  {
    domainId: rw(bits(32, 47)),
    drainWrites: rw(bit(48)),
    drainReads: rw(bit(49)),
    actualGranularity: ro(bits(57, 58, GRANULARITY)),
    requestedGranularity: rw(bits(60, 61, GRANULARITY)),
    invalidate: rw(bit(63)),
  },
  iotlb,
);

/** Every register of the translation and interrupt remapping parts, by the specification's short name. */
export const registers = {
  VER,
  CAP,
  ECAP,
  GCMD,
  GSTS,
  RTADDR,
  CCMD,
  FSTS,
  FECTL,
  FEDATA,
  FEADDR,
  FEUADDR,
  AFLOG,
  PMEN,
  PLMBASE,
  PLMLIMIT,
  PHMBASE,
  PHMLIMIT,
  IQH,
  IQT,
  IQA,
  ICS,
  IECTL,
  IEDATA,
  IEADDR,
  IEUADDR,
  IQERCD,
  IRTA,
  PQH,
  PQT,
  PQA,
  PRS,
  PECTL,
  PEDATA,
  PEADDR,
  PEUADDR,
  IVA,
  IOTLB,
  ...virtualCommandRegisters,
} as const;

export type RegisterName = keyof typeof registers;

/** Every register, those of rare features included. */
export const registerList: readonly Register[] = [
  ...(Object.values(registers) as unknown as Register[]),
  ...optionalRegisters,
];
