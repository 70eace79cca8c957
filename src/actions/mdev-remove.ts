import { z } from 'zod';
import { defineAction } from './action.ts';
import { uuid } from './arguments.ts';
import { missingMdev } from './find.ts';

export const removeMdev = defineAction({
  name: 'mdev.remove',
  title: 'Remove a mediated device',
  arguments: z.object({ uuid }),
  danger: 'confirm',
  disabledReason(host, args) {
    const missing = missingMdev(host, args.uuid);
    if (missing !== undefined) return missing;
    const owner = host.mdevs().find((mdev) => mdev.uuid === args.uuid)?.assignedTo;
    return owner === undefined ? undefined : `${args.uuid} is assigned to ${owner}; release it first`;
  },
  consequences: (_host, args) => [`the state of ${args.uuid} is lost`],
  run(host, args) {
    host.removeMdev(args.uuid);
    return { summary: `mediated device ${args.uuid} is gone`, value: { ...args } };
  },
  linuxCommand: (_host, args) => [`echo 1 > /sys/bus/mdev/devices/${args.uuid}/remove`],
  candidates: (host) => host.mdevs().map((mdev) => mdev.uuid),
});
