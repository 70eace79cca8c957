import { z } from 'zod';
import { defineAction } from './action.ts';
import { sysfsName, uuid } from './arguments.ts';
import { definedUuids, missingDefinition } from './find.ts';

/** Changes a definition: mdevctl modify. */
export const modifyMdev = defineAction({
  name: 'mdev.modify',
  title: 'Change the definition of a mediated device',
  arguments: z
    .object({
      uuid,
      parent: sysfsName.optional().describe('parent device, where the UUID is defined under several'),
      type: z.string().min(1).max(128).optional().describe('another type'),
      autostart: z.boolean().optional().describe('made again whenever its parent appears'),
      addattr: z.string().min(1).max(255).optional().describe('file to write at its start'),
      value: z.string().max(4096).optional().describe('what is written to the file that is added'),
      delattr: z.boolean().optional().describe('take an attribute away: the last one, or that at index'),
      index: z.int().min(0).max(1024).optional().describe('position of the attribute, from 0'),
    })
    .refine(({ addattr, value }) => (addattr === undefined) === (value === undefined), {
      path: ['addattr'],
      message: 'and value belong together',
    })
    .refine(({ addattr, delattr }) => addattr === undefined || delattr !== true, {
      path: ['delattr'],
      message: 'and addattr exclude each other',
    }),
  danger: 'none',
  disabledReason: (host, args) => missingDefinition(host, args.uuid, args.parent),
  run(host, args) {
    const { uuid: name, parent, type, autostart, addattr, value, delattr, index } = args;
    host.modifyMdev(name, {
      parent,
      type,
      autostart,
      ...(addattr === undefined ? {} : { add: { file: addattr, value: value ?? '', index } }),
      ...(delattr === true ? { remove: { index } } : {}),
    });
    return { summary: `the definition of ${name} is changed`, value: { ...args } };
  },
  linuxCommand(_host, args) {
    const at = args.index === undefined ? '' : ` --index ${args.index}`;
    return [
      [
        `mdevctl modify --uuid ${args.uuid}`,
        ...(args.parent === undefined ? [] : [`--parent ${args.parent}`]),
        ...(args.type === undefined ? [] : [`--type ${args.type}`]),
        ...(args.autostart === undefined ? [] : [args.autostart ? '--auto' : '--manual']),
        ...(args.addattr === undefined
          ? []
          : [`--addattr ${args.addattr} --value ${quoted(args.value ?? '')}${at}`]),
        ...(args.delattr === true ? [`--delattr${at}`] : []),
      ].join(' '),
    ];
  },
  candidates(host, argument, { uuid: name }) {
    if (argument === 'uuid') return definedUuids(host);
    const defined = host.mdevDefinitions().filter((one) => name === undefined || one.uuid === name);
    if (argument === 'parent') return defined.map((one) => one.parent);
    if (argument !== 'type') return [];
    return host
      .mdevParents()
      .filter((parent) => defined.some((one) => one.parent === parent.device))
      .flatMap((parent) => parent.types.map((type) => type.id));
  },
});

/** One word of a shell. */
function quoted(text: string): string {
  return /^[\w:.@/=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
