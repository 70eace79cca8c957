import { at, flag, standardCapability } from './declaration.ts';

/** Vital Product Data. PCI 3.0, appendix I. */
export const Vpd = standardCapability(
  0x03,
  'vpd',
  'Vital Product Data',
  8,
  { address: at(2, 0, 14), complete: flag(2, 15), data: at(4, 0, 31) },
  { source: 'PCI 3.0, I', writable: ['address', 'complete', 'data'] },
);
