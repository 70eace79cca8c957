import { z } from 'zod';
import { defineAction } from './action.ts';
import { driverName, pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** Writes driver_override: which driver may bind from now on. */
export const overrideDriver = defineAction({
  name: 'device.override',
  title: 'Set or clear driver_override',
  arguments: z.object({
    device: pciAddress,
    driver: driverName.optional().describe('driver; left out: cleared'),
  }),
  danger: 'none',
  disabledReason: (host, { device }) => missingDevice(host, device),
  run(host, { device, driver }) {
    host.setDriverOverride(device, driver);
    return {
      summary:
        driver === undefined
          ? `driver_override of ${device} is cleared`
          : `only ${driver} may bind ${device}`,
      value: { device, driverOverride: driver ?? null },
    };
  },
  linuxCommand: (_host, { device, driver }) => [
    `echo ${driver ?? ''} > /sys/bus/pci/devices/${device}/driver_override`,
  ],
  candidates: (host, argument, { device }) =>
    argument === 'driver'
      ? device === undefined
        ? []
        : host.driversFor(device)
      : allDevices(host).map((node) => node.address),
});
