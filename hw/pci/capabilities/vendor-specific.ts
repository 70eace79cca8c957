import { at, extendedCapability, standardCapability } from './declaration.ts';

/** Vendor-Specific Extended Capability. PCIe 7.9.5. `length` counts bytes from the header. */
export const VendorSpecificExtended = extendedCapability(
  0x0b,
  'vsec',
  'Vendor-Specific',
  8,
  { vsecId: at(4, 0, 15), revision: at(4, 16, 19), length: at(4, 20, 31) },
  { source: 'PCIe 7.9.5' },
);

/** Vendor-Specific capability of the conventional list. PCI 3.0, H. */
export const VendorSpecific = standardCapability(
  0x09,
  'vendor',
  'Vendor-Specific',
  4,
  { length: at(2, 0, 7) },
  { source: 'PCI 3.0, H' },
);
