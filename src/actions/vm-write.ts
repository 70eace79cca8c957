import { z } from 'zod';
import { defineAction } from './action.ts';
import { byteAddress, bytesOfHex, hexBytes, machineName } from './arguments.ts';
import { machineNames, missingMachine } from './find.ts';

/** The guest's own CPU writes to its memory. */
export const writeMemory = defineAction({
  name: 'vm.write',
  title: 'Let the guest write to its memory',
  arguments: z.object({
    vm: machineName,
    address: byteAddress.describe('guest physical address'),
    data: hexBytes.describe('bytes, in hex'),
  }),
  danger: 'none',
  disabledReason: (host, { vm }) => missingMachine(host, vm),
  run(host, { vm, address, data }) {
    host.writeMachineMemory(vm, BigInt(address), bytesOfHex(data));
    return { summary: `${vm} wrote ${data.length / 2} bytes at ${address}`, value: { vm, address, data } };
  },
  linuxCommand: (_host, { address }) => [`# in the guest: a store to ${address}`],
  candidates: (host, argument) => (argument === 'vm' ? machineNames(host) : []),
});
