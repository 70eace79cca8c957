/** sriov_numvfs: switching virtual functions on and off (drivers/pci/iov.c, pci-sysfs.c). */
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import { disableVirtualFunctions } from '../kernel/pci/sriov.ts';
import { Sriov } from '../pci/capabilities/sriov.ts';
import type { Machines } from './machines.ts';

const CONTROL = 0x08;
const TOTAL = 0x0e;
const COUNT = 0x10;
/** VF enable and VF memory space enable. */
const ENABLE = 0x09;

/**
 * @throws KernelError ENOENT (no SR-IOV, or no driver), ERANGE (more than the function has), EBUSY (some are on, or one
 * is in use).
 */
export function setVirtualFunctions(
  kernel: LinuxKernel,
  machines: Machines,
  pci: PciDevice,
  count: number,
): void {
  const capability = pci.extendedCapability(Sriov.id);
  if (capability === undefined)
    throw new KernelError(
      'ENOENT',
      'no SR-IOV',
      `${pci.name} has no sriov_numvfs: it lacks the SR-IOV capability`,
    );
  const total = pci.read(capability + TOTAL, 2);
  if (!Number.isInteger(count) || count < 0 || count > total)
    throw new KernelError(
      'ERANGE',
      'too many VFs',
      `${pci.name} has ${total} virtual functions, not ${count}`,
    );
  const present = kernel.topology.devices.filter((device) => device.physicalFunction === pci);
  if (count === present.length) return;
  if (kernel.deviceOf(pci)?.driver === undefined)
    throw new KernelError(
      'ENOENT',
      'no driver',
      `${pci.name} has no driver that could switch virtual functions`,
      'Bind its native driver.',
    );
  if (count > 0 && present.length > 0)
    throw new KernelError(
      'EBUSY',
      'VFs on already',
      `${present.length} virtual functions of ${pci.name} are on`,
      'Write 0 first.',
    );
  for (const virtual of present) {
    const owner = machines.ownerOf(virtual.name);
    if (owner !== undefined)
      throw new KernelError(
        'EBUSY',
        'VF in use',
        `${virtual.name} belongs to ${owner.name}`,
        `Release it from ${owner.name} first.`,
      );
  }
  switchVirtualFunctions(kernel, pci, count);
}

/** Off, and then so many on: hardware makes them, the kernel takes them on. */
export function switchVirtualFunctions(kernel: LinuxKernel, pci: PciDevice, count: number): void {
  const capability = pci.extendedCapability(Sriov.id);
  if (capability === undefined) return;
  const present = kernel.topology.devices.filter((device) => device.physicalFunction === pci);
  for (const virtual of [...present].reverse()) kernel.disappear(virtual);
  disableVirtualFunctions(pci);
  if (count === 0) return;
  pci.write(capability + COUNT, 2, count);
  pci.write(capability + CONTROL, 2, pci.read(capability + CONTROL, 2) | ENABLE);
  for (const virtual of kernel.topology.addVirtualFunctions(pci)) kernel.appear(virtual);
}
