import { at, extendedCapability } from './declaration.ts';

/** Advanced Error Reporting, the registers all functions have. PCIe 7.8.4. Masks are bit sets by error. */
export const Aer = extendedCapability(
  0x01,
  'aer',
  'Advanced Error Reporting',
  0x2c,
  {
    uncorrectableStatus: at(4, 0, 31),
    uncorrectableMask: at(8, 0, 31),
    uncorrectableSeverity: at(0x0c, 0, 31),
    correctableStatus: at(0x10, 0, 31),
    correctableMask: at(0x14, 0, 31),
    firstErrorPointer: at(0x18, 0, 4),
    ecrcGenerationCapable: at(0x18, 5, 5),
    ecrcGenerationEnable: at(0x18, 6, 6),
    ecrcCheckCapable: at(0x18, 7, 7),
    ecrcCheckEnable: at(0x18, 8, 8),
    headerLog0: at(0x1c, 0, 31),
    headerLog1: at(0x20, 0, 31),
    headerLog2: at(0x24, 0, 31),
    headerLog3: at(0x28, 0, 31),
  },
  {
    source: 'PCIe 7.8.4',
    version: 2,
    writable: [
      'uncorrectableMask',
      'uncorrectableSeverity',
      'correctableMask',
      'ecrcGenerationEnable',
      'ecrcCheckEnable',
    ],
    writeOneToClear: ['uncorrectableStatus', 'correctableStatus'],
  },
);
