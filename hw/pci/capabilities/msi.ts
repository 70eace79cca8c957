import { at, flag, standardCapability } from './declaration.ts';

/** Message Signalled Interrupts, the part all four forms share. PCI 3.0, 6.8.1. */
export const Msi = standardCapability(
  0x05,
  'msi',
  'Message Signalled Interrupts',
  8,
  {
    enable: flag(2, 0),
    multipleCapable: at(2, 1, 3, { 0: '1', 1: '2', 2: '4', 3: '8', 4: '16', 5: '32' }),
    multipleEnable: at(2, 4, 6, { 0: '1', 1: '2', 2: '4', 3: '8', 4: '16', 5: '32' }),
    address64: flag(2, 7),
    perVectorMask: flag(2, 8),
    messageAddress: at(4, 0, 31),
  },
  { source: 'PCI 3.0, 6.8.1', writable: ['enable', 'multipleEnable', 'messageAddress'] },
);
