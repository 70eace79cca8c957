import { at, extendedCapability, flag } from './declaration.ts';

/** Page Request Interface. PCIe 10.5.2. */
export const Pri = extendedCapability(
  0x13,
  'pri',
  'Page Request Interface',
  16,
  {
    enable: flag(4, 0),
    reset: flag(4, 1),
    responseFailure: flag(6, 0),
    unexpectedGroupIndex: flag(6, 1),
    stopped: flag(6, 8),
    responsePasidRequired: flag(6, 15),
    maximumOutstanding: at(8, 0, 31),
    allocatedOutstanding: at(12, 0, 31),
  },
  {
    source: 'PCIe 10.5.2',
    writable: ['enable', 'reset', 'allocatedOutstanding'],
    writeOneToClear: ['responseFailure', 'unexpectedGroupIndex'],
  },
);
