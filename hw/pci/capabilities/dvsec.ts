import { at, extendedCapability, flag } from './declaration.ts';

/** Designated Vendor-Specific, the part all vendors share. PCIe 7.9.6. `length` counts bytes from the header. */
export const Dvsec = extendedCapability(
  0x23,
  'dvsec',
  'Designated Vendor-Specific',
  0x0a,
  { vendor: at(4, 0, 15), revision: at(4, 16, 19), length: at(4, 20, 31), dvsecId: at(8, 0, 15) },
  { source: 'PCIe 7.9.6' },
);

/** Vendor and id of the Scalable I/O Virtualization DVSEC. */
export const SIOV_DVSEC = { vendor: 0x8086, id: 5, lengthBytes: 0x18 } as const;

/** Vendor of the CXL DVSECs (the CXL consortium). */
export const CXL_DVSEC_VENDOR = 0x1e98;

/** Intel Scalable I/O Virtualization DVSEC, revision 1. Page sizes: bit n stands for 2^(n + 12) bytes. */
export const SiovDvsec = extendedCapability(
  0x23,
  'siov',
  'Scalable I/O Virtualization',
  SIOV_DVSEC.lengthBytes,
  {
    vendor: at(4, 0, 15),
    revision: at(4, 16, 19),
    length: at(4, 20, 31),
    dvsecId: at(8, 0, 15),
    functionDependencyLink: at(0x0a, 0, 7),
    homogeneous: flag(0x0b, 0),
    supportedPageSizes: at(0x0c, 0, 31),
    systemPageSize: at(0x10, 0, 31),
    interruptMessageStorage: flag(0x14, 0),
  },
  { source: 'Intel Scalable I/O Virtualization 3.1', writable: ['systemPageSize'] },
);

/** What the CXL DVSEC ids stand for. CXL 3.0, table 8-2. */
export const CXL_DVSEC_NAMES: Readonly<Record<number, string>> = {
  0: 'CXL device',
  2: 'CXL non-CXL function map',
  3: 'CXL extensions for ports',
  4: 'CXL GPF for ports',
  5: 'CXL GPF for devices',
  7: 'CXL flex bus port',
  8: 'CXL register locator',
  9: 'CXL multi-logical device',
  10: 'CXL test capability',
};
