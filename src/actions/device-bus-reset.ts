import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** A reset of the whole bus: all functions on it must belong to the machine that has the device. */
export const resetBus = defineAction({
  name: 'device.bus-reset',
  title: 'Reset the bus of the device',
  arguments: z.object({ device: pciAddress }),
  danger: 'confirm',
  disabledReason(host, { device }) {
    const missing = missingDevice(host, device);
    if (missing !== undefined || device === undefined) return missing;
    return host.resetSet(device).busReset.length === 0
      ? `${device} sits on a root bus: there is no bridge that could reset it`
      : undefined;
  },
  consequences: (host, { device }) =>
    host.resetSet(device).busReset.map((hit) => {
      const group = hit.group === undefined ? 'in no group' : `group ${hit.group}`;
      const holder =
        hit.assignedTo === undefined
          ? hit.driver === undefined
            ? 'no driver'
            : `driver ${hit.driver}`
          : `assigned to ${hit.assignedTo}`;
      return `${hit.device} loses its state (${group}, ${holder})`;
    }),
  run(host, { device }) {
    host.hotResetDevice(device);
    return { summary: `the bus of ${device} was reset`, value: { device } };
  },
  linuxCommand: (_host, { device }) => [
    `# ioctl(device ${device}, VFIO_DEVICE_PCI_HOT_RESET) with a descriptor for each group it hits`,
  ],
  candidates: (host) =>
    allDevices(host)
      .filter((device) => !device.isBridge)
      .map((device) => device.address),
});
