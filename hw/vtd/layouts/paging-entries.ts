import { address, bit, bits, layout } from '../../layout.ts';

/** Second-level (second-stage) paging entry at any level. VT-d 9.8. */
export const SecondLevelEntry = layout(
  'second-level entry',
  64,
  {
    read: bit(0),
    write: bit(1),
    /** Execute of older revisions; ignored. */
    execute: bit(2),
    extendedMemoryType: bits(3, 5),
    ignorePageAttribute: bit(6),
    /** In an entry of level 2 or 3: this is a 2 MiB or 1 GiB page. */
    pageSize: bit(7),
    accessed: bit(8),
    dirty: bit(9),
    ignoredLow: bit(10),
    snoop: bit(11),
    address: address(12, 51),
    ignoredHigh: bits(52, 61),
    /** Transient mapping of older revisions. */
    transientMapping: bit(62),
    ignoredTop: bit(63),
  },
  'VT-d 9.8',
);

/** First-level (first-stage) paging entry at any level: the format of the x86-64 CPU. VT-d 9.7. */
export const FirstLevelEntry = layout(
  'first-level entry',
  64,
  {
    present: bit(0),
    write: bit(1),
    user: bit(2),
    writeThrough: bit(3),
    cacheDisable: bit(4),
    accessed: bit(5),
    dirty: bit(6),
    pageSize: bit(7),
    global: bit(8),
    ignoredLow: bit(9),
    extendedAccessed: bit(10),
    ignoredMiddle: bit(11),
    address: address(12, 51),
    ignoredHigh: bits(52, 62),
    executeDisable: bit(63),
  },
  'VT-d 9.7',
);
