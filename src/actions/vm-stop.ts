import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { detachCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

export const stopMachine = defineAction({
  name: 'vm.stop',
  title: 'Stop a virtual machine',
  arguments: z.object({ vm: machineName }),
  danger: 'confirm',
  disabledReason(host, { vm }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined) return missing;
    return host.machineState(vm)?.state === 'running' ? undefined : `${vm} is not running`;
  },
  consequences: (host, { vm }) => [
    `${vm}: its devices go back, its memory is lost`,
    ...(host.machineState(vm)?.devices ?? []).map((device) => `${device.device} leaves it`),
  ],
  run(host, { vm }) {
    host.stopMachine(vm);
    return { summary: `${vm} has stopped`, value: { vm, state: 'stopped' } };
  },
  cost: (host, { vm }) => detachCost(host, vm),
  linuxCommand: (_host, { vm }) => [`virsh shutdown ${vm}`],
  candidates: machineNames,
});
