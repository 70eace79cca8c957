import { z } from 'zod';
import { defineAction } from './action.ts';
import { machineName, memorySize, sizeInBytes } from './arguments.ts';

export const createMachine = defineAction({
  name: 'vm.create',
  title: 'Create a virtual machine',
  arguments: z.object({
    vm: machineName,
    memory: memorySize.default('512M').describe('RAM, a multiple of 2M, such as 512M'),
    lockLimit: memorySize.optional().describe('RLIMIT_MEMLOCK of its process (none when left out)'),
    hugePages: z.boolean().optional().describe('memory of 2M pages'),
    iommufd: z.boolean().optional().describe('devices by IOMMUFD and their own nodes (kernel 7.2)'),
    viommu: z
      .boolean()
      .optional()
      .describe('a virtual IOMMU: the guest keeps tables of its own, nested on ours'),
    kind: z
      .enum(['virtual machine', 'process'])
      .default('virtual machine')
      .describe('a guest under QEMU, or a process that drives devices itself (DPDK)'),
  }),
  danger: 'none',
  disabledReason: (host, { vm }) =>
    vm !== undefined && host.machineState(vm) !== undefined
      ? `there is a virtual machine ${vm} already`
      : undefined,
  run(host, { vm, memory, lockLimit, kind, hugePages, iommufd, viommu }) {
    host.createMachine(vm, sizeInBytes(memory), {
      kind,
      ...(hugePages === undefined ? {} : { hugePages }),
      ...(iommufd === undefined ? {} : { iommufd }),
      ...(viommu === undefined ? {} : { virtualIommu: viommu }),
      ...(lockLimit === undefined ? {} : { lockLimitBytes: sizeInBytes(lockLimit) }),
    });
    return { summary: `${vm} runs, with ${memory} of memory`, value: { vm, memory, kind } };
  },
  linuxCommand: (_host, { vm, memory, kind, lockLimit }) => [
    ...(lockLimit === undefined ? [] : [`ulimit -l ${sizeInBytes(lockLimit) / 1024n}`]),
    kind === 'process'
      ? `dpdk-testpmd --file-prefix=${vm} --socket-mem=${sizeInBytes(memory) >> 20n} -- -i`
      : `qemu-system-x86_64 -name ${vm} -machine q35,accel=kvm -m ${sizeInBytes(memory) >> 20n}M -S`,
  ],
});
