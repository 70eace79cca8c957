import { bit, bits, layout } from '../../layout.ts';

const SOURCE_VALIDATION = { 0: 'none', 1: 'source id under mask', 2: 'bus range', 3: 'reserved' } as const;
const SOURCE_QUALIFIER = {
  0: 'all bits',
  1: 'ignore bit 2',
  2: 'ignore bits 2:1',
  3: 'ignore bits 2:0',
} as const;

/** How an interrupt is delivered (field DLM). */
const DELIVERY_MODES = {
  0: 'fixed',
  1: 'lowest priority',
  2: 'SMI',
  4: 'NMI',
  5: 'INIT',
  7: 'ExtINT',
} as const;

/** Interrupt remapping table entry of a remapped interrupt. VT-d 9.9. */
export const InterruptEntry = layout(
  'interrupt remapping table entry',
  128,
  {
    present: bit(0),
    faultDisable: bit(1),
    destinationMode: bit(2, { 0: 'physical', 1: 'logical' }),
    redirectionHint: bit(3),
    triggerMode: bit(4, { 0: 'edge', 1: 'level' }),
    deliveryMode: bits(5, 7, DELIVERY_MODES),
    available: bits(8, 11),
    mode: bit(15, { 0: 'remapped', 1: 'posted' }),
    vector: bits(16, 23),
    destination: bits(32, 63),
    sourceId: bits(64, 79),
    sourceQualifier: bits(80, 81, SOURCE_QUALIFIER),
    sourceValidation: bits(82, 83, SOURCE_VALIDATION),
  },
  'VT-d 9.9',
);

/** Interrupt remapping table entry of a posted interrupt. VT-d 9.10. */
export const PostedInterruptEntry = layout(
  'interrupt remapping table entry (posted)',
  128,
  {
    present: bit(0),
    faultDisable: bit(1),
    available: bits(8, 11),
    urgent: bit(14),
    mode: bit(15, { 0: 'remapped', 1: 'posted' }),
    virtualVector: bits(16, 23),
    /** Bits 31:6 of the address of the posted-interrupt descriptor. */
    descriptorAddressLow: bits(38, 63),
    sourceId: bits(64, 79),
    sourceQualifier: bits(80, 81, SOURCE_QUALIFIER),
    sourceValidation: bits(82, 83, SOURCE_VALIDATION),
    /** Bits 63:32 of that address. */
    descriptorAddressHigh: bits(96, 127),
  },
  'VT-d 9.10',
);

/** Posted-interrupt descriptor: 64 bytes in memory, one for each virtual CPU. VT-d 9.11. */
export const PostedInterruptDescriptor = layout(
  'posted-interrupt descriptor',
  512,
  {
    requests0: bits(0, 63),
    requests1: bits(64, 127),
    requests2: bits(128, 191),
    requests3: bits(192, 255),
    outstanding: bit(256),
    suppress: bit(257),
    notificationVector: bits(272, 279),
    notificationDestination: bits(288, 319),
  },
  'VT-d 9.11',
);
