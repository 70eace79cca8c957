import { at, flag, standardCapability } from './declaration.ts';

/** Power Management Interface. PCI PM 1.2, 3.2. */
export const PowerManagement = standardCapability(
  0x01,
  'pm',
  'Power Management',
  8,
  {
    version: at(2, 0, 2),
    pmeClock: flag(2, 3),
    deviceSpecificInit: flag(2, 5),
    auxiliaryCurrent: at(2, 6, 8),
    d1Support: flag(2, 9),
    d2Support: flag(2, 10),
    pmeSupport: at(2, 11, 15),
    powerState: at(4, 0, 1, { 0: 'D0', 1: 'D1', 2: 'D2', 3: 'D3hot' }),
    noSoftReset: flag(4, 3),
    pmeEnable: flag(4, 8),
    dataSelect: at(4, 9, 12),
    dataScale: at(4, 13, 14),
    pmeStatus: flag(4, 15),
  },
  {
    source: 'PCI PM 1.2, 3.2',
    writable: ['powerState', 'pmeEnable', 'dataSelect'],
    writeOneToClear: ['pmeStatus'],
  },
);
