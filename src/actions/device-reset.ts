import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** A function-level reset. */
export const resetDevice = defineAction({
  name: 'device.reset',
  title: 'Reset the device',
  arguments: z.object({ device: pciAddress }),
  danger: 'confirm',
  disabledReason(host, { device }) {
    const missing = missingDevice(host, device);
    if (missing !== undefined || device === undefined) return missing;
    return host.resetSet(device).methods.length === 0
      ? `${device} has no reset of its own; its whole bus may have one (device.bus-reset)`
      : undefined;
  },
  consequences(host, { device }) {
    const [method] = host.resetSet(device).methods;
    return method === undefined ? [] : [`whatever ${device} is doing is lost (reset by ${method})`];
  },
  run(host, { device }) {
    host.resetDevice(device);
    return { summary: `${device} was reset`, value: { device } };
  },
  linuxCommand: (_host, { device }) => [`echo 1 > /sys/bus/pci/devices/${device}/reset`],
  candidates: (host) =>
    allDevices(host)
      .filter((device) => !device.isBridge)
      .map((device) => device.address),
});
