import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { mappingCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

export const startMachine = defineAction({
  name: 'vm.start',
  title: 'Start a virtual machine',
  arguments: z.object({ vm: machineName }),
  danger: 'none',
  disabledReason(host, { vm }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined) return missing;
    return host.machineState(vm)?.state === 'running' ? `${vm} is running already` : undefined;
  },
  run(host, { vm }) {
    host.startMachine(vm);
    return { summary: `${vm} is running`, value: { vm, state: 'running' } };
  },
  cost(host, { vm }) {
    const machine = host.machineState(vm);
    return machine === undefined || machine.devices.length === 0 ? 0 : mappingCost(machine.memoryBytes);
  },
  linuxCommand: (_host, { vm }) => [`virsh start ${vm}`],
  candidates: machineNames,
});
