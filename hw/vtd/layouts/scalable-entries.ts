import { address, bit, bits, layout } from '../../layout.ts';
import { ADDRESS_WIDTHS } from './legacy-entries.ts';

/** Root entry of the scalable-mode table: two context tables for each bus. VT-d 9.2. */
export const ScalableRootEntry = layout(
  'scalable-mode root entry',
  128,
  {
    lowerPresent: bit(0),
    lowerContextTablePointer: address(12, 63),
    upperPresent: bit(64),
    upperContextTablePointer: address(76, 127),
  },
  'VT-d 9.2',
);

/** Scalable-mode context entry: one for each device and function of half a bus. VT-d 9.4. */
export const ScalableContextEntry = layout(
  'scalable-mode context entry',
  256,
  {
    present: bit(0),
    faultDisable: bit(1),
    deviceTlbEnable: bit(2),
    pasidEnable: bit(3),
    pageRequestEnable: bit(4),
    /** The directory has 2^(value + 7) entries. */
    pasidDirectorySize: bits(9, 11),
    pasidDirectoryPointer: address(12, 63),
    ridPasid: bits(64, 83),
    ridPrivilege: bit(84),
  },
  'VT-d 9.4',
);

/** PASID directory entry: leads to 64 PASID-table entries. VT-d 9.5. */
export const PasidDirectoryEntry = layout(
  'PASID directory entry',
  64,
  {
    present: bit(0),
    faultDisable: bit(1),
    pasidTablePointer: address(12, 63),
  },
  'VT-d 9.5',
);

/** PASID granular translation type. */
export const TranslationType = { firstLevel: 1, secondLevel: 2, nested: 3, passThrough: 4 } as const;

/** Scalable-mode PASID-table entry. VT-d 9.6. */
export const PasidTableEntry = layout(
  'PASID-table entry',
  512,
  {
    present: bit(0),
    faultDisable: bit(1),
    addressWidth: bits(2, 4, ADDRESS_WIDTHS),
    translationType: bits(6, 8, { 1: 'first-level', 2: 'second-level', 3: 'nested', 4: 'pass-through' }),
    secondLevelAccessDirtyEnable: bit(9),
    secondLevelPointer: address(12, 63),
    domainId: bits(64, 79),
    pageWalkSnoop: bit(87),
    pageSnoop: bit(88),
    cacheDisable: bit(89),
    extendedMemoryTypeEnable: bit(90),
    pageAttributeTable: bits(96, 127),
    supervisorRequestEnable: bit(128),
    /** Execute requests: of older revisions, decides nothing unless the unit reports execute requests. */
    executeRequestEnable: bit(129),
    firstLevelPagingMode: bits(130, 131, { 0: '4-level', 1: '5-level' }),
    writeProtectEnable: bit(132),
    /** No-execute and SMEP of older revisions: hardware ignores them now. */
    noExecuteEnable: bit(133),
    supervisorExecutePrevention: bit(134),
    extendedAccessedFlagEnable: bit(135),
    firstLevelPointer: address(140, 191),
  },
  'VT-d 9.6',
);
