import { z } from 'zod';
import { defineAction } from './action.ts';
import { sysfsName, uuid } from './arguments.ts';
import { definedUuids, missingDefinition } from './find.ts';

/** Makes a defined device and writes its attributes: mdevctl start. */
export const startMdev = defineAction({
  name: 'mdev.start',
  title: 'Start a defined mediated device',
  arguments: z.object({
    uuid,
    parent: sysfsName.optional().describe('parent device, where the UUID is defined under several'),
  }),
  danger: 'none',
  disabledReason(host, args) {
    const missing = missingDefinition(host, args.uuid, args.parent);
    if (missing !== undefined || args.uuid === undefined) return missing;
    return host.mdevs().some((mdev) => mdev.uuid === args.uuid) ? `${args.uuid} runs already` : undefined;
  },
  run(host, args) {
    host.startMdev(args.uuid, args.parent);
    const mdev = host.mdevs().find((one) => one.uuid === args.uuid);
    return {
      summary: `mediated device ${args.uuid} is there`,
      value: { uuid: args.uuid, parent: mdev?.parent ?? null, type: mdev?.type ?? null },
    };
  },
  linuxCommand: (_host, args) => [
    `mdevctl start --uuid ${args.uuid}${args.parent === undefined ? '' : ` --parent ${args.parent}`}`,
  ],
  candidates(host, argument, { uuid: name }) {
    if (argument === 'uuid') return definedUuids(host);
    const defined = host.mdevDefinitions().filter((one) => name === undefined || one.uuid === name);
    return defined.map((one) => one.parent);
  },
});
