import { at, flag, standardCapability } from './declaration.ts';

/** MSI-X. PCI 3.0, 6.8.2. `tableSize` is one less than the number of vectors; offsets count in 8 bytes. */
export const MsiX = standardCapability(
  0x11,
  'msix',
  'MSI-X',
  12,
  {
    tableSize: at(2, 0, 10),
    functionMask: flag(2, 14),
    enable: flag(2, 15),
    tableBar: at(4, 0, 2),
    tableOffset: at(4, 3, 31),
    pendingBar: at(8, 0, 2),
    pendingOffset: at(8, 3, 31),
  },
  { source: 'PCI 3.0, 6.8.2', writable: ['functionMask', 'enable'] },
);
