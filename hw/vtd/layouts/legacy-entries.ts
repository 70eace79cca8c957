import { address, bit, bits, layout } from '../../layout.ts';

/** What the address-width code of a context or PASID-table entry stands for (AGAW). */
export const ADDRESS_WIDTHS = {
  1: '39 bits, 3 levels',
  2: '48 bits, 4 levels',
  3: '57 bits, 5 levels',
} as const;

/** Root entry of the legacy table: one for each bus. VT-d 9.1. */
export const LegacyRootEntry = layout(
  'root entry',
  128,
  {
    present: bit(0),
    contextTablePointer: address(12, 63),
  },
  'VT-d 9.1',
);

/** Context entry of the legacy table: one for each device and function of a bus. VT-d 9.3. */
export const LegacyContextEntry = layout(
  'context entry',
  128,
  {
    present: bit(0),
    faultDisable: bit(1),
    translationType: bits(2, 3, {
      0: 'untranslated requests only',
      1: 'all requests',
      2: 'pass-through',
      3: 'reserved',
    }),
    secondLevelPointer: address(12, 63),
    addressWidth: bits(64, 66, ADDRESS_WIDTHS),
    ignored: bits(67, 70),
    domainId: bits(72, 87),
  },
  'VT-d 9.3',
);
