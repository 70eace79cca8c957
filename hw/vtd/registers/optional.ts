/** Registers of features that few units have: memory types, performance monitoring, enhanced and virtual commands. */
import { bit, bits } from '../../layout.ts';
import type { Capabilities } from './capabilities.ts';
import { type Register, register, ro, rw, rw1c, wo } from './register.ts';

const memoryTypes = { requires: (c: Capabilities) => c.memoryTypes, source: 'VT-d 11.4.12' };
const performance = { requires: (c: Capabilities) => c.performanceMonitoring, source: 'VT-d 11.4.13' };
const enhanced = { requires: (c: Capabilities) => c.enhancedCommands, source: 'VT-d 11.4.14' };
const virtual = { requires: (c: Capabilities) => c.virtualCommands, source: 'VT-d 11.4.15' };

const MTRRCAP = register(
  'MTRRCAP',
  'memory type range capability',
  0x100,
  8,
  { variableRanges: ro(bits(0, 7)), fixedRanges: ro(bit(8)), writeCombining: ro(bit(10)) },
  { ...memoryTypes, reset: 0x50an },
);
const MTRRDEF = register(
  'MTRRDEF',
  'memory type range default',
  0x108,
  8,
  { type: rw(bits(0, 7)), fixedEnable: rw(bit(10)), enable: rw(bit(11)) },
  memoryTypes,
);

/** Where each fixed range begins, in the order of the registers. */
const FIXED_RANGES = [
  '64K_00000',
  '16K_80000',
  '16K_A0000',
  '4K_C0000',
  '4K_C8000',
  '4K_D0000',
  '4K_D8000',
  '4K_E0000',
  '4K_E8000',
  '4K_F0000',
  '4K_F8000',
];

const fixedRanges = FIXED_RANGES.map((range, index) =>
  register(
    `MTRR_FIX${range}`,
    'memory types of a fixed range',
    0x120 + 8 * index,
    8,
    { types: rw(bits(0, 63)) },
    memoryTypes,
  ),
);

const variableRanges = Array.from({ length: 10 }, (_, index) => [
  register(
    `MTRR_PHYSBASE${index}`,
    'base of a variable range',
    0x180 + 16 * index,
    8,
    { type: rw(bits(0, 7)), base: rw({ kind: 'address', low: 12, high: 63 }) },
    memoryTypes,
  ),
  register(
    `MTRR_PHYSMASK${index}`,
    'mask of a variable range',
    0x188 + 16 * index,
    8,
    { valid: rw(bit(11)), mask: rw({ kind: 'address', low: 12, high: 63 }) },
    memoryTypes,
  ),
]).flat();

const performanceRegisters = [
  register('PERFCAP', 'performance capability', 0x300, 8, { counters: ro(bits(0, 15)) }, performance),
  register(
    'PERFCFGOFF',
    'performance configuration offset',
    0x310,
    4,
    { offset: ro(bits(0, 31)) },
    performance,
  ),
  register('PERFOVFOFF', 'performance overflow offset', 0x318, 4, { offset: ro(bits(0, 31)) }, performance),
  register('PERFCNTROFF', 'performance counter offset', 0x31c, 4, { offset: ro(bits(0, 31)) }, performance),
  register('PERFINTRSTS', 'performance interrupt status', 0x324, 4, { overflow: rw1c(bit(0)) }, performance),
  register(
    'PERFINTRCTL',
    'performance interrupt control',
    0x328,
    4,
    { pending: ro(bit(30)), mask: rw(bit(31)) },
    { ...performance, reset: 0x80000000n },
  ),
  register('PERFEVNTCAP', 'performance event capability', 0x380, 8, { events: ro(bits(0, 31)) }, performance),
];

const enhancedCommands = [
  register(
    'ECMD',
    'enhanced command',
    0x400,
    8,
    { command: wo(bits(0, 7)), operand: wo(bits(16, 63)) },
    enhanced,
  ),
  register('ECEO', 'enhanced command operand', 0x408, 8, { operand: rw(bits(0, 63)) }, enhanced),
  register(
    'ECRSP',
    'enhanced command response',
    0x410,
    8,
    { inProgress: ro(bit(0)), status: ro(bits(1, 7)) },
    enhanced,
  ),
  register('ECCAP', 'enhanced command capability', 0x430, 8, { commands: ro(bits(0, 63)) }, enhanced),
];

const VCCAP = register(
  'VCCAP',
  'virtual command capability',
  0xe00,
  8,
  { pasidAllocation: ro(bit(0)) },
  { ...virtual, reset: 1n },
);
const VCMD_EO = register(
  'VCMD_EO',
  'virtual command operand',
  0xe08,
  8,
  { operand: rw(bits(0, 63)) },
  virtual,
);
const VCMD = register(
  'VCMD',
  'virtual command',
  0xe10,
  8,
  { command: wo(bits(0, 7, { 1: 'allocate a PASID', 2: 'free a PASID' })), operand: wo(bits(16, 35)) },
  virtual,
);
const VCRSP = register(
  'VCRSP',
  'virtual command response',
  0xe20,
  8,
  {
    inProgress: ro(bit(0)),
    status: ro(bits(1, 7, { 0: 'done', 1: 'no such command', 16: 'no PASID, or not one' })),
    result: ro(bits(16, 35)),
  },
  virtual,
);

/** Those with an effect of their own, by name. */
export const virtualCommandRegisters = { VCCAP, VCMD_EO, VCMD, VCRSP } as const;

/** The others, by offset. */
export const optionalRegisters: readonly Register[] = [
  MTRRCAP,
  MTRRDEF,
  ...fixedRanges,
  ...variableRanges,
  ...performanceRegisters,
  ...enhancedCommands,
] as unknown as Register[];
