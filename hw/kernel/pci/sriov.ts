/** SR-IOV of a physical function as the kernel drives it: drivers/pci/iov.c. */
import type { PciDevice } from './pci-device.ts';

const CAPABILITY = 0x10;
const CONTROL = 0x08;
/** VF enable and VF memory space enable. */
const ENABLE = 0x09;

/** sriov_disable: the registers' side of it. A function without SR-IOV is left as it is. */
export function disableVirtualFunctions(device: PciDevice): void {
  const capability = device.extendedCapability(CAPABILITY);
  if (capability === undefined) return;
  device.write(capability + CONTROL, 2, device.read(capability + CONTROL, 2) & ~ENABLE);
}
