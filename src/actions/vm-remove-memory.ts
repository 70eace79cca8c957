import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { mappingCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

export const removeMemory = defineAction({
  name: 'vm.remove-memory',
  title: 'Unplug the memory that was plugged in last',
  arguments: z.object({ vm: machineName }),
  danger: 'confirm',
  disabledReason: (host, { vm }) => missingMachine(host, vm),
  consequences: (_host, { vm }) => [`what ${vm} keeps in that memory is lost`],
  run(host, { vm }) {
    host.removeMemory(vm);
    return { summary: `the memory plugged into ${vm} last is out again`, value: { vm } };
  },
  cost(host, { vm }) {
    const machine = host.machineState(vm);
    return machine === undefined || machine.lockedBytes === 0n
      ? 0
      : mappingCost(machine.slots.at(-1)?.lengthBytes ?? 0n);
  },
  linuxCommand: (_host, { vm }) => [`virsh qemu-monitor-command ${vm} --hmp "device_del d1"`],
  candidates: machineNames,
});
