import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName, pciOrUuid } from './arguments.ts';
import { detachCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

/** Takes a device back from a virtual machine. */
export const releaseDevice = defineAction({
  name: 'vm.release',
  title: 'Take a device back from a virtual machine',
  arguments: z.object({ vm: machineName, device: pciOrUuid }),
  danger: 'confirm',
  disabledReason(host, { vm, device }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined || device === undefined) return missing;
    return host.machineState(vm)?.devices.some((candidate) => candidate.device === device)
      ? undefined
      : `${device} is not assigned to ${vm}`;
  },
  consequences: (_host, { vm, device }) => [`${vm} loses ${device} while it may be using it`],
  run(host, { vm, device }) {
    host.release(vm, device);
    return { summary: `${device} has left ${vm}`, value: { vm, device } };
  },
  cost: (host, { vm }) => ((host.machineState(vm)?.devices.length ?? 0) > 1 ? 0 : detachCost(host, vm)),
  linuxCommand: (_host, { vm, device }) => [`virsh qemu-monitor-command ${vm} --hmp "device_del ${device}"`],
  candidates(host, argument, { vm }) {
    if (argument === 'vm') return machineNames(host);
    const machines = host.machineStates().filter((machine) => vm === undefined || machine.name === vm);
    return machines.flatMap((machine) => machine.devices.map((device) => device.device));
  },
});
