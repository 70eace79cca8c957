import { z } from 'zod';
import { defineAction } from './action.ts';
import { byteAddress, machineName, memorySize, pciOrUuid, sizeInBytes } from './arguments.ts';
import { machineNames, missingMachine } from './find.ts';

/** The guest's own kernel maps for a device, in the tables of its virtual IOMMU. */
export const guestMap = defineAction({
  name: 'vm.guest-map',
  title: 'Let the guest map for its device (virtual IOMMU)',
  arguments: z.object({
    vm: machineName,
    device: pciOrUuid,
    iova: byteAddress.describe('address that the device will use'),
    address: byteAddress.describe('guest physical address behind it'),
    length: memorySize.default('4K').describe('how much, a multiple of 4K'),
    writable: z.boolean().default(true).describe('the device may write there'),
  }),
  danger: 'none',
  disabledReason(host, { vm, device }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined || device === undefined) return missing;
    return host.machineState(vm)?.devices.some((candidate) => candidate.device === device)
      ? undefined
      : `${device} is not assigned to ${vm}`;
  },
  run(host, { vm, device, iova, address, length, writable }) {
    host.guestMap(vm, {
      device,
      iova: BigInt(iova),
      guestAddress: BigInt(address),
      lengthBytes: sizeInBytes(length),
      writable,
    });
    return {
      summary: `${vm} maps ${iova} to ${address} for ${device}`,
      value: { vm, device, iova, address, length },
    };
  },
  linuxCommand: (_host, { vm, iova }) => [`# in the guest ${vm}: dma_map_page(), which gives ${iova}`],
  candidates(host, argument, { vm }) {
    if (argument === 'vm') return machineNames(host);
    if (argument !== 'device') return [];
    const machines = host.machineStates().filter((machine) => vm === undefined || machine.name === vm);
    return machines.flatMap((machine) => machine.devices.map((device) => device.device));
  },
});
