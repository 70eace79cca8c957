import { address, bit, bits, layout } from '../../layout.ts';

/** Fault recording register. VT-d 11.4.7.3. `address` is the page of the request; interrupt faults hold the index in 63:48. */
export const FaultRecord = layout(
  'fault record',
  128,
  {
    address: address(12, 63),
    sourceId: bits(64, 79),
    typeHigh: bit(92),
    privileged: bit(93),
    execute: bit(94),
    pasidPresent: bit(95),
    reason: bits(96, 103),
    pasid: bits(104, 123),
    addressType: bits(124, 125, { 0: 'untranslated', 1: 'translation request', 2: 'translated' }),
    typeLow: bit(126),
    fault: bit(127),
  },
  'VT-d 11.4.7.3',
);

/** Page request descriptor: what the unit writes into the page-request queue. VT-d 7.4.1. */
export const PageRequestDescriptor = layout(
  'page request descriptor',
  256,
  {
    type: bits(0, 7, { 1: 'page request' }),
    pasidPresent: bit(8),
    privateDataPresent: bit(9),
    requesterId: bits(16, 31),
    pasid: bits(32, 51),
    execute: bit(52),
    privileged: bit(53),
    read: bit(64),
    write: bit(65),
    last: bit(66),
    group: bits(67, 75),
    address: address(76, 127),
    privateDataLow: bits(128, 191),
    privateDataHigh: bits(192, 255),
  },
  'VT-d 7.4.1',
);
