/**
 * Registers of a streaming accelerator in the manner of Intel DSA: BAR 0 holds capabilities, commands and the work
 * queue configuration table, BAR 2 the submission portals. Source: Intel Data Streaming Accelerator Architecture
 * Specification, chapter 9; only what a host driver and a console need.
 */
import { bit, bits, layout } from '../layout.ts';

/** Offsets in BAR 0, bytes. */
export const AcceleratorRegister = {
  version: 0x00,
  generalCapabilities: 0x10,
  queueCapabilities: 0x20,
  groupCapabilities: 0x30,
  engineCapabilities: 0x38,
  tableOffsets: 0x60,
  generalConfiguration: 0x80,
  generalControl: 0x88,
  generalStatus: 0x90,
  command: 0xa0,
  commandStatus: 0xa8,
  /** Where the table of work queue configurations begins, and the size of one entry. */
  queueConfiguration: 0x500,
  queueConfigurationBytes: 32,
} as const;

/** WQCAP. */
export const QueueCapabilities = layout(
  'Work queue capabilities',
  64,
  {
    totalSize: bits(0, 15),
    queues: bits(16, 23),
    configurationSize: bits(24, 27),
    sharedMode: bit(48),
    dedicatedMode: bit(49),
    ats: bit(50),
    priority: bit(51),
    occupancy: bit(52),
  },
  'DSA 9.2.7',
);

/** One entry of the WQCFG table. */
export const QueueConfiguration = layout(
  'Work queue configuration',
  256,
  {
    size: bits(0, 15),
    threshold: bits(32, 47),
    mode: bit(64, { 0: 'shared', 1: 'dedicated' }),
    blockOnFault: bit(65),
    priority: bits(68, 71),
    pasid: bits(72, 91),
    pasidEnable: bit(92),
    privileged: bit(93),
    maximumTransferShift: bits(96, 100),
    maximumBatchShift: bits(101, 104),
    state: bits(222, 223, { 0: 'disabled', 1: 'enabled' }),
  },
  'DSA 9.2.20',
);

/** CMD: writing it runs the command. */
export const CommandRegister = layout(
  'Command',
  32,
  { operand: bits(0, 19), command: bits(20, 24), interruptRequest: bit(31) },
  'DSA 9.2.13',
);

/** CMDSTS. */
export const CommandStatus = layout(
  'Command status',
  32,
  { error: bits(0, 7), result: bits(8, 23), active: bit(31) },
  'DSA 9.2.14',
);

/** Commands that go to CMD, with what their operand is. */
export const AcceleratorCommand = {
  enableDevice: 1,
  disableDevice: 2,
  drainAll: 3,
  abortAll: 4,
  resetDevice: 5,
  /** Operand: the index of the queue. */
  enableQueue: 6,
  /** Operand from here to resetQueue: a bit mask of 16 queues, bits 19:16 choose the bank of 16. */
  disableQueue: 7,
  drainQueue: 8,
  abortQueue: 9,
  resetQueue: 10,
  /** Operand: the PASID. */
  drainPasid: 11,
  abortPasid: 12,
} as const;

/** Error codes in CMDSTS. */
export const AcceleratorError = {
  success: 0x00,
  invalidCommand: 0x01,
  invalidQueue: 0x02,
  deviceEnabled: 0x10,
  busMasterDisabled: 0x12,
  queueSizeOutOfRange: 0x14,
  deviceNotEnabled: 0x20,
  queueEnabled: 0x21,
  queueSizeZero: 0x22,
  queueMode: 0x24,
  pasidEnable: 0x26,
  queueNotEnabled: 0x32,
} as const;
