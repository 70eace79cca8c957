import { z } from 'zod';
import { defineAction } from './action.ts';
import { sysfsName, uuid } from './arguments.ts';

/** A definition of mdevctl: outlives a boot. */
export const defineMdev = defineAction({
  name: 'mdev.define',
  title: 'Define a mediated device that outlives a boot',
  arguments: z.object({
    parent: sysfsName.describe('parent device'),
    type: z.string().min(1).max(128).describe('type'),
    uuid: uuid.optional().describe('UUID (made when left out)'),
    autostart: z.boolean().default(false).describe('made again whenever its parent appears'),
  }),
  danger: 'none',
  disabledReason(host, { parent }) {
    if (parent === undefined) return undefined;
    return host.mdevParents().some((candidate) => candidate.device === parent)
      ? undefined
      : `${parent} offers no mediated devices`;
  },
  resolve: (_host, args, chance) => ({ ...args, uuid: args.uuid ?? chance.uuid() }),
  run(host, args) {
    host.defineMdev(args.parent, args.type, args.uuid as string, args.autostart);
    return { summary: `${args.uuid} is defined on ${args.parent}`, value: { ...args } };
  },
  linuxCommand: (_host, { parent, type, uuid: name, autostart }) => [
    `mdevctl define --uuid ${name ?? '$(uuidgen)'} --parent ${parent} --type ${type}${autostart ? ' --auto' : ''}`,
  ],
  candidates(host, argument, { parent }) {
    const parents = host.mdevParents();
    if (argument === 'parent') return parents.map((candidate) => candidate.device);
    if (argument !== 'type') return [];
    const types = parents.filter((candidate) => parent === undefined || candidate.device === parent);
    return types.flatMap((candidate) => candidate.types.map((type) => type.id));
  },
});
