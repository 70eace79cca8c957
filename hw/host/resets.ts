/**
 * Resets of PCI functions: of one alone through VFIO_DEVICE_RESET, of a whole bus through VFIO_DEVICE_PCI_HOT_RESET, with
 * the rule that a bus may be reset only by who holds everything on it (drivers/vfio/pci/vfio_pci_core.c).
 */
import type { Device } from '../kernel/device.ts';
import { hotResetSet, resetMethods } from '../kernel/drivers/pci-reset.ts';
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import { HeaderOffset } from '../pci/layouts.ts';
import type { Machines } from './machines.ts';
import type { ResetSetState } from './state.ts';

const EXPRESS = 0x10;
const SECONDARY_BUS_RESET = 0x40;
const INITIATE_FUNCTION_RESET = 0x8000;
/** Control words of capabilities that the kernel saves over a reset: id, offset, list. */
const SAVED: readonly (readonly [id: number, offset: number, extended: boolean])[] = [
  [0x05, 2, false],
  [0x11, 2, false],
  [0x1b, 6, true],
  [0x13, 12, true],
  [0x13, 4, true],
  [0x0f, 6, true],
];

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

/** @throws KernelError ENODEV: no running machine has it; EINVAL: it has no reset of its own. */
export function resetFunction(kernel: LinuxKernel, machines: Machines, name: string): void {
  const owner = machines.ownerOf(name);
  if (owner?.user === undefined)
    throw new KernelError('ENODEV', 'device not open', `no running machine has ${name}`);
  owner.user.deviceFile(name).reset();
  const pci = kernel.topology.find(name);
  if (pci === undefined || resetMethods(pci)[0] !== 'flr') return;
  const express = pci.capability(EXPRESS);
  if (express === undefined) return;
  keepingState(pci, () => {
    pci.write(express + 8, 2, pci.read(express + 8, 2) | INITIATE_FUNCTION_RESET);
  });
}

/**
 * @throws KernelError ENODEV: no running machine has it, or its bus can't be reset; EINVAL: the reset would hit a function
 * that the machine does not hold.
 */
export function hotReset(machines: Machines, device: Device): void {
  const { pci } = device;
  const owner = machines.ownerOf(device.name);
  if (pci === undefined || owner?.isRunning !== true)
    throw new KernelError('ENODEV', 'device not open', `no running machine has ${device.name}`);
  const bridge = pci.bus.bridge;
  const hit = hotResetSet(pci);
  if (bridge === undefined || hit.length === 0)
    throw new KernelError(
      'ENODEV',
      'no bus reset',
      `${device.name} sits on a root bus: there is no bridge that could reset it`,
    );
  const foreign = hit.find((one) => one.headerType === 0 && machines.ownerOf(one.name) !== owner);
  if (foreign !== undefined)
    throw new KernelError(
      'EINVAL',
      'reset hits others',
      `a reset of bus ${pci.bus.number.toString(16).padStart(2, '0')} hits ${foreign.name}, which ${owner.name} does not have`,
      `Assign ${foreign.name} to ${owner.name} as well.`,
    );
  const control = bridge.read(HeaderOffset.bridgeControl, 2);
  const pulse = (left: readonly PciDevice[]): void => {
    const [first, ...rest] = left;
    if (first === undefined) {
      bridge.write(HeaderOffset.bridgeControl, 2, control | SECONDARY_BUS_RESET);
      bridge.write(HeaderOffset.bridgeControl, 2, control);
    } else keepingState(first, () => pulse(rest));
  };
  pulse(hit);
}

/** pci_save_state and pci_restore_state around a reset. */
function keepingState(pci: PciDevice, reset: () => void): void {
  const command = pci.read(HeaderOffset.command, 2);
  const saved = SAVED.flatMap(([id, offset, extended]) => {
    const at = extended ? pci.extendedCapability(id) : pci.capability(id);
    return at === undefined ? [] : [{ at: at + offset, value: pci.read(at + offset, 2) }];
  });
  reset();
  for (const { at, value } of saved) pci.write(at, 2, value);
  pci.write(HeaderOffset.command, 2, command);
}
