import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName, memorySize, sizeInBytes } from './arguments.ts';
import { mappingCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

export const addMemory = defineAction({
  name: 'vm.add-memory',
  title: 'Plug memory into a virtual machine',
  arguments: z.object({ vm: machineName, memory: memorySize.describe('how much more, a multiple of 2M') }),
  danger: 'none',
  disabledReason: (host, { vm }) => missingMachine(host, vm),
  run(host, { vm, memory }) {
    host.addMemory(vm, sizeInBytes(memory));
    return { summary: `${vm} has ${memory} more memory`, value: { vm, memory } };
  },
  cost: (host, { vm, memory }) =>
    (host.machineState(vm)?.lockedBytes ?? 0n) === 0n ? 0 : mappingCost(sizeInBytes(memory)),
  linuxCommand: (_host, { vm, memory }) => [
    `virsh qemu-monitor-command ${vm} --hmp "object_add memory-backend-ram,id=m1,size=${sizeInBytes(memory) >> 20n}M"`,
    `virsh qemu-monitor-command ${vm} --hmp "device_add pc-dimm,id=d1,memdev=m1"`,
  ],
  candidates: (host, argument) => (argument === 'vm' ? machineNames(host) : []),
});
