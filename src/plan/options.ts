/** What the plan and export commands read from the command line in common. */
import type { ProfileName } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import { DEFAULT_TARGETS, parseVersion, type Targets } from '../export/targets.ts';

export interface TargetArguments {
  kernel?: string;
  qemu?: string;
  libvirt?: string;
  mdevctl?: string;
}

export const targetOptions = {
  kernel: { type: 'string', describe: 'kernel of the target, such as 6.1', requiresArg: true },
  qemu: { type: 'string', describe: 'QEMU of the target, such as 7.2', requiresArg: true },
  libvirt: { type: 'string', describe: 'libvirt of the target, such as 9.0', requiresArg: true },
  mdevctl: { type: 'string', describe: 'mdevctl of the target', requiresArg: true },
} as const;

export function targetsOf(argv: TargetArguments): Targets {
  return {
    linux: argv.kernel === undefined ? DEFAULT_TARGETS.linux : parseVersion(argv.kernel),
    qemu: argv.qemu === undefined ? DEFAULT_TARGETS.qemu : parseVersion(argv.qemu),
    libvirt: argv.libvirt === undefined ? DEFAULT_TARGETS.libvirt : parseVersion(argv.libvirt),
    mdevctl: argv.mdevctl === undefined ? DEFAULT_TARGETS.mdevctl : parseVersion(argv.mdevctl),
  };
}

/** The kernel profile that answers for a kernel version: the newest that is not newer. */
export function profileFor(targets: Targets): ProfileName {
  const [major, minor] = targets.linux;
  if (major > 7 || (major === 7 && minor >= 2)) return '7.2';
  if (major > 6 || (major === 6 && minor >= 1)) return '6.1';
  return '5.15';
}

/** `4G`, `512M`, `4GiB`, a number of bytes. @throws ApplicationError (usage). */
export function memoryBytes(text: string): number {
  const match = /^(\d{1,15})\s*([KMGT]?)(?:i?B)?$/i.exec(text);
  const scale =
    { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }[match?.[2].toUpperCase() ?? ''] ?? 1;
  const bytes = match === null ? Number.NaN : Number(match[1]) * scale;
  if (!Number.isSafeInteger(bytes) || bytes <= 0)
    throw usageError(`"${text}" is no size of memory`, 'write it as 4G');
  return bytes;
}

/** The value or values of an option, each of which may hold several separated by commas. */
export function listOf(value: unknown): string[] {
  const all = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return all
    .flatMap((item) => String(item).split(','))
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
