import { at, extendedCapability } from './declaration.ts';

/** Device Serial Number. PCIe 7.9.3. */
export const SerialNumber = extendedCapability(
  0x03,
  'dsn',
  'Device Serial Number',
  12,
  { serialLow: at(4, 0, 31), serialHigh: at(8, 0, 31) },
  { source: 'PCIe 7.9.3' },
);
