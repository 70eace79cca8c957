import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** Writes sriov_numvfs. */
export const setVirtualFunctions = defineAction({
  name: 'sriov.set',
  title: 'Set the number of virtual functions',
  arguments: z.object({
    device: pciAddress,
    count: z.int().min(0).max(65535).describe('virtual functions to have'),
  }),
  danger: 'confirm',
  disabledReason(host, { device, count }) {
    const missing = missingDevice(host, device);
    if (missing !== undefined || device === undefined) return missing;
    const node = host.device(device);
    if (node === undefined || node.totalVirtualFunctions === 0) return `${device} has no SR-IOV capability`;
    if (count !== undefined && count > node.totalVirtualFunctions) {
      return `${device} has at most ${node.totalVirtualFunctions} virtual functions`;
    }
    return undefined;
  },
  consequences(host, { device }) {
    return (host.device(device)?.virtualFunctions ?? []).map((name) => `virtual function ${name} goes`);
  },
  run(host, { device, count }) {
    host.setVirtualFunctions(device, count);
    return { summary: `${device} has ${count} virtual functions`, value: { device, count } };
  },
  linuxCommand: (_host, { device, count }) => [`echo ${count} > /sys/bus/pci/devices/${device}/sriov_numvfs`],
  candidates: (host, argument) =>
    argument === 'device'
      ? allDevices(host)
          .filter((device) => device.totalVirtualFunctions > 0)
          .map((device) => device.address)
      : [],
});
