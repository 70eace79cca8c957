import { at, flag, standardCapability } from './declaration.ts';

/** Advanced Features of conventional PCI (function level reset without PCI Express). PCI AF ECN. */
export const AdvancedFeatures = standardCapability(
  0x13,
  'af',
  'Advanced Features',
  6,
  {
    length: at(2, 0, 7),
    transactionsPendingSupported: flag(3, 0),
    functionLevelReset: flag(3, 1),
    initiateReset: flag(4, 0),
    transactionsPending: flag(5, 0),
  },
  { source: 'PCI AF ECN', writable: ['initiateReset'] },
);
