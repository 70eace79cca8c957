import { z } from 'zod';
import { finish, type Host, type Work } from '../../hw/index.ts';
import { type ActionResult, defineAction } from './action.ts';
import { pciOrUuid } from './arguments.ts';
import { missingDeviceOrMdev } from './find.ts';

const workload = z.object({
  device: pciOrUuid,
  transfers: z.int().min(1).max(1_000_000).default(1000).describe('how many transfers'),
  seed: z.int().min(0).max(0xffffffff).default(1).describe('the same seed gives the same transfers'),
  stray: z.int().min(0).max(1000).default(0).describe('of a thousand, so many go past the memory'),
});

function* work(host: Host, { device, transfers, seed, stray }: z.infer<typeof workload>): Work<ActionResult> {
  const value = yield* host.runWorkloadInSteps({ device, transfers, seed, strayPerThousand: stray });
  return { summary: `${device} made ${transfers} transfers`, value };
}

/** A seeded series of transfers over the memory of the machine that has the device. */
export const runWorkload = defineAction({
  name: 'device.workload',
  title: 'Let the device work for a while',
  arguments: workload,
  danger: 'none',
  disabledReason: (host, { device }) => missingDeviceOrMdev(host, device),
  run: (host, args) => finish(work(host, args)),
  runInSteps: work,
  linuxCommand: (_host, { device }) => [`# the guest driver of ${device} works: no command of the host`],
  candidates: (host, argument) =>
    argument === 'device'
      ? host.machineStates().flatMap((machine) => machine.devices.map((device) => device.device))
      : [],
});
