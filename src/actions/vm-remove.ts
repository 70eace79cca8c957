import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { machineNames, missingMachine } from './find.ts';

export const removeMachine = defineAction({
  name: 'vm.remove',
  title: 'Remove a virtual machine',
  arguments: z.object({ vm: machineName }),
  danger: 'type the name',
  disabledReason(host, { vm }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined) return missing;
    return host.machineState(vm)?.state === 'running' ? `${vm} is running; stop it first` : undefined;
  },
  consequences: (host, { vm }) => [
    `${vm} is no longer defined`,
    ...(host.machineState(vm)?.devices ?? []).map((device) => `${device.device} leaves it`),
  ],
  run(host, { vm }) {
    host.removeMachine(vm);
    return { summary: `${vm} is gone`, value: { vm } };
  },
  linuxCommand: (_host, { vm }) => [`virsh undefine ${vm}`],
  candidates: machineNames,
});
