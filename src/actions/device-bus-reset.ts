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
  disabledReason: (host, { device }) => missingDevice(host, device),
  consequences: (_host, { device }) => [`every function on the bus of ${device} loses its state`],
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
