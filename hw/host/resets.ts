/**
 * Resets of PCI functions: of one alone through VFIO_DEVICE_RESET, of a whole bus through VFIO_DEVICE_PCI_HOT_RESET, with
 * the rule that a bus may be reset only by who holds everything on it (drivers/vfio/pci/vfio_pci_core.c).
 */
import type { DeviceUser } from '../guest/device-user.ts';
import type { Device } from '../kernel/device.ts';
import { hotResetSet, resetMethods } from '../kernel/drivers/pci-reset.ts';
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { Machines } from './machines.ts';
import type { ResetSetState } from './state.ts';

export function resetSetState(kernel: LinuxKernel, machines: Machines, device: Device): ResetSetState {
  const { pci } = device;
  if (pci === undefined) return { methods: [], busReset: [] };
  return {
    methods: resetMethods(pci),
    busReset: hotResetSet(pci).map((hit) => {
      const own = kernel.deviceOf(hit);
      return {
        device: hit.name,
        group: own === undefined ? undefined : kernel.iommu.groupOf(own)?.id,
        driver: own?.driver?.name,
        assignedTo: machines.ownerOf(hit.name)?.name,
      };
    }),
  };
}

/** VFIO_DEVICE_RESET by its owner. @throws KernelError ENODEV: no running machine has it; EINVAL: it has no reset of its own. */
export function resetFunction(machines: Machines, name: string): void {
  ownerOf(machines, name).deviceFile(name).reset();
}

/**
 * VFIO_DEVICE_PCI_HOT_RESET by its owner.
 * @throws KernelError ENODEV: no running machine has it, or its bus can't be reset; EINVAL: the reset would hit a function
 * that the machine does not hold.
 */
export function hotReset(machines: Machines, name: string): void {
  ownerOf(machines, name).hotReset(name);
}

function ownerOf(machines: Machines, name: string): DeviceUser {
  const user = machines.ownerOf(name)?.user;
  if (user !== undefined) return user;
  throw new KernelError('ENODEV', 'device not open', `no running machine has ${name}`);
}
