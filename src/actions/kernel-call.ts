import { z } from 'zod';
import { KERNEL_CALLS } from '../../hw/index.ts';
import { defineAction } from './action.ts';

/** `device=0000:6a:01.0 domain=D1` as names and values. */
function wordsOf(text: string | undefined): Record<string, string> {
  const words = (text ?? '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  return Object.fromEntries(
    words.map((word) => {
      const equals = word.indexOf('=');
      return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
    }),
  );
}

function callNamed(name: string | undefined) {
  return KERNEL_CALLS.find((call) => call.name === name);
}

/** A call inside the kernel that no file of sysfs makes: what a driver would do. */
export const callKernel = defineAction({
  name: 'kernel.call',
  title: 'Make a kernel call by name',
  arguments: z.object({
    call: z
      .string()
      .refine((name) => callNamed(name) !== undefined, 'is no kernel call')
      .describe('name of the call, such as iommu_attach_device_pasid'),
    with: z
      .string()
      .max(1000)
      .optional()
      .describe('its arguments, such as "device=0000:6a:01.0 domain=D1 pasid=5"'),
  }),
  danger: 'none',
  disabledReason(_host, args) {
    const call = callNamed(args.call);
    if (args.call !== undefined && call === undefined) return `there is no kernel call ${args.call}`;
    const given = wordsOf(args.with);
    const missing = call?.arguments.find((each) => each.optional !== true && given[each.name] === undefined);
    if (missing === undefined || args.with === undefined) return undefined;
    return `${args.call} needs ${missing.name}: ${missing.about}`;
  },
  run(host, args) {
    const value = host.kernel.calls.run(args.call, wordsOf(args.with));
    const told = value === null ? '' : `: ${JSON.stringify(value)}`;
    return { summary: `${args.call} = 0${told}`, value };
  },
  linuxCommand(_host, args) {
    const call = callNamed(args.call);
    return [
      `# in a ${call?.maker ?? 'driver'}: ${args.call}(${Object.values(wordsOf(args.with)).join(', ')})`,
      ...(call === undefined ? [] : [`# ${call.about} ${call.source}`]),
    ];
  },
  candidates(host, argument, args) {
    if (argument === 'call') return KERNEL_CALLS.map((call) => call.name);
    const call = callNamed(args.call);
    if (call === undefined) return [];
    const first = call.arguments.map((each) => `${each.name}=`).join(' ');
    return [first, ...host.kernel.calls.domainNames.map((name) => `domain=${name}`)];
  },
});
