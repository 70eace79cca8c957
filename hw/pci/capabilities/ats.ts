import { at, extendedCapability, flag } from './declaration.ts';

/** Address Translation Services. PCIe 10.5.1. Queue depth 0 stands for 32; the unit is 2^(stu + 12) bytes. */
export const Ats = extendedCapability(
  0x0f,
  'ats',
  'Address Translation Service',
  8,
  {
    invalidateQueueDepth: at(4, 0, 4),
    pageAlignedRequest: flag(4, 5),
    globalInvalidate: flag(4, 6),
    relaxedOrdering: flag(4, 7),
    smallestTranslationUnit: at(6, 0, 4),
    enable: flag(6, 15),
  },
  { source: 'PCIe 10.5.1', writable: ['smallestTranslationUnit', 'enable'] },
);
