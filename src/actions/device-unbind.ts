import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** Takes the driver off a function, as a write to its driver/unbind does. */
export const unbindDriver = defineAction({
  name: 'device.unbind',
  title: 'Unbind the driver',
  arguments: z.object({ device: pciAddress }),
  danger: 'confirm',
  disabledReason(host, { device }) {
    const missing = missingDevice(host, device);
    if (missing !== undefined || device === undefined) return missing;
    return host.device(device)?.driver === undefined ? `${device} is bound to no driver` : undefined;
  },
  consequences(host, { device }) {
    const node = host.device(device);
    return [
      `${device} (${node?.name ?? node?.className ?? 'device'}) stops working for the host`,
      ...(node?.mdevs ?? []).map((uuid) => `its mediated device ${uuid} is removed`),
    ];
  },
  run(host, { device }) {
    const driver = host.device(device)?.driver;
    host.unbindDriver(device);
    return { summary: `${device} is no longer bound to ${driver}`, value: { device, driver: null } };
  },
  linuxCommand: (_host, { device }) => [`echo ${device} > /sys/bus/pci/devices/${device}/driver/unbind`],
  candidates: (host) =>
    allDevices(host)
      .filter((device) => device.driver !== undefined)
      .map((device) => device.address),
});
