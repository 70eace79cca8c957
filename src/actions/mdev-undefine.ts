import { z } from 'zod';
import { defineAction } from './action.ts';
import { sysfsName, uuid } from './arguments.ts';
import { definedUuids, missingDefinition } from './find.ts';

export const undefineMdev = defineAction({
  name: 'mdev.undefine',
  title: 'Drop the definition of a mediated device',
  arguments: z.object({
    uuid,
    parent: sysfsName.optional().describe('only the definition under this parent'),
  }),
  danger: 'confirm',
  disabledReason: (host, args) => missingDefinition(host, args.uuid, args.parent),
  consequences: (_host, args) => [`${args.uuid} does not come back after a boot`],
  run(host, args) {
    host.undefineMdev(args.uuid, args.parent);
    return { summary: `${args.uuid} is no longer defined`, value: { ...args } };
  },
  linuxCommand: (_host, args) => [
    `mdevctl undefine --uuid ${args.uuid}${args.parent === undefined ? '' : ` --parent ${args.parent}`}`,
  ],
  candidates: (host, argument) =>
    argument === 'uuid' ? definedUuids(host) : host.mdevDefinitions().map((definition) => definition.parent),
});
