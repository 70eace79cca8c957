import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName } from './arguments.ts';
import { detachCost } from './cost.ts';
import { machineNames, missingMachine } from './find.ts';

export const killMachine = defineAction({
  name: 'vm.kill',
  title: 'Kill a virtual machine',
  arguments: z.object({ vm: machineName }),
  danger: 'type the name',
  disabledReason(host, { vm }) {
    const missing = missingMachine(host, vm);
    if (missing !== undefined || vm === undefined) return missing;
    return host.machineState(vm)?.state === 'running' ? undefined : `${vm} is not running`;
  },
  consequences: (host, { vm }) => [
    `${vm}: whatever it was doing is lost; the kernel closes its devices`,
    ...(host.machineState(vm)?.devices ?? []).map((device) => `${device.device} leaves it`),
  ],
  run(host, { vm }) {
    host.killMachine(vm);
    return { summary: `${vm} was killed`, value: { vm, state: 'stopped' } };
  },
  cost: (host, { vm }) => detachCost(host, vm),
  linuxCommand: (_host, { vm }) => [`kill -9 $(pgrep -f "name ${vm}")`],
  candidates: machineNames,
});
