import { at, extendedCapability, flag } from './declaration.ts';

/** Alternative Routing-ID Interpretation. PCIe 7.8.7. */
export const Ari = extendedCapability(
  0x0e,
  'ari',
  'Alternative Routing-ID Interpretation',
  8,
  {
    mfvcFunctionGroups: flag(4, 0),
    acsFunctionGroups: flag(4, 1),
    nextFunction: at(4, 8, 15),
    mfvcFunctionGroupsEnable: flag(6, 0),
    acsFunctionGroupsEnable: flag(6, 1),
    functionGroup: at(6, 4, 6),
  },
  {
    source: 'PCIe 7.8.7',
    writable: ['mfvcFunctionGroupsEnable', 'acsFunctionGroupsEnable', 'functionGroup'],
  },
);
