/** Addresses of hardware functions as text. */
import { formatPciAddress } from '../pci/address.ts';
import type { PciFunction } from '../pci/function.ts';

/** `0000:6a:01.0` */
export function addressOf(of: PciFunction): string {
  return formatPciAddress({
    segment: of.segment,
    bus: of.bus,
    device: of.devfn >>> 3,
    function: of.devfn & 7,
  });
}
