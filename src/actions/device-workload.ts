import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciOrUuid } from './arguments.ts';
import { missingDeviceOrMdev } from './find.ts';

/** A seeded series of transfers over the memory of the machine that has the device. */
export const runWorkload = defineAction({
  name: 'device.workload',
  title: 'Let the device work for a while',
  arguments: z.object({
    device: pciOrUuid,
    transfers: z.int().min(1).max(1_000_000).default(1000).describe('how many transfers'),
    seed: z.int().min(0).max(0xffffffff).default(1).describe('the same seed gives the same transfers'),
    stray: z.int().min(0).max(1000).default(0).describe('of a thousand, so many go past the memory'),
  }),
  danger: 'none',
  disabledReason: (host, { device }) => missingDeviceOrMdev(host, device),
  run(host, { device, transfers, seed, stray }) {
    const result = host.runWorkload({ device, transfers, seed, strayPerThousand: stray });
    return { summary: `${device} made ${transfers} transfers`, value: result };
  },
  linuxCommand: (_host, { device }) => [`# the guest driver of ${device} works: no command of the host`],
  candidates: (host, argument) =>
    argument === 'device'
      ? host.machineStates().flatMap((machine) => machine.devices.map((device) => device.device))
      : [],
});
