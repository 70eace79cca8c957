import { z } from 'zod';
import { defineAction } from './action.ts';
import { byteAddress, machineName, memorySize, pciOrUuid, sizeInBytes } from './arguments.ts';
import { machineNames, missingMachine } from './find.ts';

/** The guest's own kernel unmaps for a device and invalidates what the unit cached of it. */
export const guestUnmap = defineAction({
  name: 'vm.guest-unmap',
  title: 'Let the guest unmap for its device (virtual IOMMU)',
  arguments: z.object({
    vm: machineName,
    device: pciOrUuid,
    iova: byteAddress.describe('first address that the device loses'),
    length: memorySize.default('4K').describe('how much, a multiple of 4K'),
  }),
  danger: 'none',
  disabledReason(host, { vm, device }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined || device === undefined) return missing;
    return host.machineState(vm)?.devices.some((candidate) => candidate.device === device)
      ? undefined
      : `${device} is not assigned to ${vm}`;
  },
  run(host, { vm, device, iova, length }) {
    host.guestUnmap(vm, device, BigInt(iova), sizeInBytes(length));
    return { summary: `${vm} unmaps ${iova} for ${device}`, value: { vm, device, iova, length } };
  },
  linuxCommand: (_host, { vm, iova }) => [`# in the guest ${vm}: dma_unmap_page() of ${iova}`],
  candidates(host, argument, { vm }) {
    if (argument === 'vm') return machineNames(host);
    if (argument !== 'device') return [];
    const machines = host.machineStates().filter((machine) => vm === undefined || machine.name === vm);
    return machines.flatMap((machine) => machine.devices.map((device) => device.device));
  },
});
