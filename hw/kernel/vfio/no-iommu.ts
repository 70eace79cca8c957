/**
 * No-IOMMU mode (drivers/vfio/container.c, group.c): functions that no IOMMU isolates, given to users who may do
 * everything anyhow. There is no address space to map into: the device reaches all memory by physical addresses.
 */
import { KernelError } from '../errno.ts';
import { commandLineWords } from '../iommu/grouping-options.ts';
import type { Process } from '../process/process.ts';
import type { Type1Environment } from './type1/state.ts';
import { Extension } from './uapi.ts';

/** The module parameter as the kernel command line sets it; off unless told. */
export function unsafeNoIommu(commandLine: string): boolean {
  const name = 'vfio.enable_unsafe_noiommu_mode';
  const last = commandLineWords(commandLine)
    .filter((word) => word === name || word.startsWith(`${name}=`))
    .at(-1);
  return last !== undefined && (last === name || /^(?:[yt1]|on)/i.test(last.slice(name.length + 1)));
}

/**
 * Whether VFIO makes a group for a function that is in none. 5.15: only where no IOMMU serves the bus at all.
 */
export function takesWithoutIommu(environment: Type1Environment): boolean {
  const { profile, vfioParameters, iommuPresent } = environment;
  return vfioParameters.unsafeNoIommu && !(profile.noIommuWholeBus && iommuPresent);
}

/** @throws KernelError EPERM: only who has raw access to I/O may touch such a group. */
export function requireRawIo(process: Process, groupId: number): void {
  if (process.capable('CAP_SYS_RAWIO')) return;
  throw new KernelError(
    'EPERM',
    'group without IOMMU',
    `group ${groupId} has no IOMMU: ${process.name} lacks CAP_SYS_RAWIO`,
    'Such a device reaches all memory: only the superuser may have it.',
  );
}

/** What the back end of such containers answers to CHECK_EXTENSION. */
export function noIommuExtension(extension: number, environment: Type1Environment): number {
  return extension === Extension.NOIOMMU_IOMMU && environment.vfioParameters.unsafeNoIommu ? 1 : 0;
}
