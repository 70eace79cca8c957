import { z } from 'zod';
import { defineAction } from './action.ts';
import { sysfsName, uuid } from './arguments.ts';

/** Makes a mediated device: a write to a type's create file. */
export const createMdev = defineAction({
  name: 'mdev.create',
  title: 'Create a mediated device',
  arguments: z.object({
    parent: sysfsName.describe('parent device'),
    type: z.string().min(1).max(128).describe('type, as the directory in mdev_supported_types is named'),
    uuid: uuid.optional().describe('UUID (made when left out)'),
  }),
  danger: 'none',
  disabledReason(host, { parent, type }) {
    const parents = host.mdevParents();
    if (parent === undefined)
      return parents.length === 0 ? 'no device of this host offers mediated devices' : undefined;
    const found = parents.find((candidate) => candidate.device === parent);
    if (found === undefined) return `${parent} offers no mediated devices`;
    if (type === undefined) return undefined;
    const offered = found.types.find((candidate) => candidate.id === type);
    if (offered === undefined) {
      return `${parent} has no type ${type}; it offers ${found.types.map((candidate) => candidate.id).join(', ')}`;
    }
    return offered.availableInstances > 0 ? undefined : `no instance of ${type} is available on ${parent}`;
  },
  resolve: (_host, args, chance) => ({ ...args, uuid: args.uuid ?? chance.uuid() }),
  run(host, args) {
    const made = args.uuid as string;
    host.createMdev(args.parent, args.type, made);
    return { summary: `mediated device ${made} of type ${args.type} is there`, value: { ...args } };
  },
  linuxCommand: (_host, { parent, type, uuid: name }) => [
    `echo ${name ?? '$(uuidgen)'} > /sys/class/mdev_bus/${parent}/mdev_supported_types/${type}/create`,
  ],
  candidates(host, argument, { parent }) {
    const parents = host.mdevParents();
    if (argument === 'parent') return parents.map((candidate) => candidate.device);
    if (argument !== 'type') return [];
    const types = parents.filter((candidate) => parent === undefined || candidate.device === parent);
    return types.flatMap((candidate) => candidate.types.map((type) => type.id));
  },
});
