import { at, extendedCapability, flag } from './declaration.ts';

/** Process Address Space ID. PCIe 7.8.8. The function takes 2^maximumWidth PASIDs. */
export const PasidCapability = extendedCapability(
  0x1b,
  'pasid',
  'Process Address Space ID',
  8,
  {
    executeSupported: flag(4, 1),
    privilegedSupported: flag(4, 2),
    translatedRequestsSupported: flag(4, 3),
    maximumWidth: at(4, 8, 12),
    enable: flag(6, 0),
    executeEnable: flag(6, 1),
    privilegedEnable: flag(6, 2),
    translatedRequestsEnable: flag(6, 3),
  },
  {
    source: 'PCIe 7.8.8',
    writable: ['enable', 'executeEnable', 'privilegedEnable', 'translatedRequestsEnable'],
  },
);
