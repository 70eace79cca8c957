import { z } from 'zod';
import { defineAction } from './action.ts';
import { driverName, pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** Binds a driver to a function, as a write to the driver's bind file does. */
export const bindDriver = defineAction({
  name: 'device.bind',
  title: 'Bind a driver',
  arguments: z.object({ device: pciAddress, driver: driverName }),
  danger: 'none',
  disabledReason(host, { device }) {
    const missing = missingDevice(host, device);
    if (missing !== undefined || device === undefined) return missing;
    const driver = host.device(device)?.driver;
    return driver === undefined ? undefined : `${device} is bound to ${driver}; unbind it first`;
  },
  run(host, { device, driver }) {
    host.bindDriver(device, driver);
    return { summary: `${device} is bound to ${driver}`, value: { device, driver } };
  },
  linuxCommand: (_host, { device, driver }) => [
    `echo ${driver} > /sys/bus/pci/devices/${device}/driver_override`,
    `echo ${device} > /sys/bus/pci/drivers/${driver}/bind`,
  ],
  candidates(host, argument, { device }) {
    if (argument === 'driver') return device === undefined ? [] : host.driversFor(device);
    return allDevices(host)
      .filter((node) => node.driver === undefined)
      .map((node) => node.address);
  },
});
