import { z } from 'zod';
import { defineAction } from './action.ts';
import { uuid } from './arguments.ts';

export const undefineMdev = defineAction({
  name: 'mdev.undefine',
  title: 'Drop the definition of a mediated device',
  arguments: z.object({ uuid }),
  danger: 'confirm',
  disabledReason: (host, args) =>
    args.uuid === undefined || host.mdevDefinitions().some((definition) => definition.uuid === args.uuid)
      ? undefined
      : `${args.uuid} is not defined`,
  consequences: (_host, args) => [`${args.uuid} does not come back after a boot`],
  run(host, args) {
    host.undefineMdev(args.uuid);
    return { summary: `${args.uuid} is no longer defined`, value: { ...args } };
  },
  linuxCommand: (_host, args) => [`mdevctl undefine --uuid ${args.uuid}`],
  candidates: (host) => host.mdevDefinitions().map((definition) => definition.uuid),
});
