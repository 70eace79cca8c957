/**
 * VFIO_DEVICE_GET_PCI_HOT_RESET_INFO and VFIO_DEVICE_PCI_HOT_RESET: the structures that go in and out, and what they are
 * checked for before a driver is asked. drivers/vfio/pci/vfio_pci_core.c.
 */
import { KernelError } from '../errno.ts';
import type { Process } from '../process/process.ts';
import type { VfioDevice } from './device.ts';
import type { GroupFile, VfioGroup } from './group.ts';
import { StructureBytes } from './uapi.ts';

/**
 * struct vfio_pci_dependent_device. `id`: the IOMMU group; for a device that is open by its own node the number of the
 * function in the same IOMMUFD context, or one of ResetOwnership.
 */
export interface AffectedFunction {
  readonly id: number;
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
}

/** VFIO_PCI_DEVID_OWNED, VFIO_PCI_DEVID_NOT_OWNED. */
export const ResetOwnership = { owned: 0, notOwned: -1 } as const;

/** struct vfio_pci_hot_reset_info: `flags` and `count` are written back, `count` also when there is too little room. */
export interface HotResetInfoRequest {
  readonly argsz: number;
  flags: number;
  count: number;
}

/** VFIO_PCI_HOT_RESET_FLAG_DEV_ID: ids are numbers of devices; _DEV_ID_OWNED: all of them belong to the caller. */
export const HotResetFlag = { deviceId: 1, allOwned: 2 } as const;

/** struct vfio_pci_hot_reset. `groups`: descriptors. */
export interface HotResetRequest {
  readonly argsz: number;
  readonly flags: number;
  readonly groups: readonly number[];
}

/** What shows that a caller may reset a device that others may hold: its groups, or its IOMMUFD context. */
export type ResetProof = readonly VfioGroup[] | { readonly context: object };

/** A driver whose devices can be reset together with what shares their bus. */
export interface HotResettable {
  /** How many functions the reset hits. @throws KernelError ENODEV: neither slot nor bus can be reset. */
  count(): number;
  /** Those functions; `context`: the caller has the device open by its node. @throws KernelError EPERM: no group. */
  affected(context: object | undefined): AffectedFunction[];
  /** @throws KernelError EINVAL: it hits a function that the caller does not hold. */
  run(proof: ResetProof): void;
}

function invalid(rule: string, detail: string, remedy?: string): KernelError {
  return new KernelError('EINVAL', rule, detail, remedy);
}

function resettable(device: VfioDevice): HotResettable {
  const { hotReset } = device.operations;
  if (hotReset !== undefined) return hotReset;
  throw new KernelError('ENOTTY', 'unknown request', `${device.name} sits on no PCI bus of its own`);
}

/** @throws KernelError ENOTTY, EINVAL (size), ENODEV, ENOSPC (`count` tells how many there are), EPERM. */
export function hotResetInfo(
  device: VfioDevice,
  request: HotResetInfoRequest,
  context: object | undefined,
): AffectedFunction[] {
  const target = resettable(device);
  if (request.argsz < StructureBytes.hotReset)
    throw invalid('hot reset structure', `argsz ${request.argsz} is too small`);
  const count = target.count();
  const room = Math.floor((request.argsz - StructureBytes.hotReset) / StructureBytes.affectedFunction);
  request.flags = 0;
  if (room < count) {
    request.count = count;
    throw new KernelError(
      'ENOSPC',
      'room for functions',
      `a reset of the bus of ${device.name} hits ${count} functions, the structure has room for ${room}`,
      `argsz ${StructureBytes.hotReset + count * StructureBytes.affectedFunction}`,
    );
  }
  const affected = target.affected(context);
  request.count = affected.length;
  if (context !== undefined) {
    const owned = affected.every(({ id }) => id !== ResetOwnership.notOwned);
    request.flags = HotResetFlag.deviceId | (owned ? HotResetFlag.allOwned : 0);
  }
  return affected;
}

/**
 * @throws KernelError ENOTTY, EINVAL (size, flags, no groups or groups for a node, more of them than functions, a file that
 * is no group, a function that is not held), ENODEV, EBADF.
 */
export function hotReset(
  device: VfioDevice,
  process: Process,
  request: HotResetRequest,
  context: object | undefined,
): void {
  const target = resettable(device);
  const { argsz, flags, groups } = request;
  if (argsz < StructureBytes.hotReset || flags !== 0)
    throw invalid('hot reset structure', `argsz ${argsz}, flags 0x${flags.toString(16)}`);
  if (groups.length > 0 === (context !== undefined))
    throw invalid(
      'hot reset groups',
      context === undefined
        ? 'a reset needs the descriptors of all groups it hits'
        : 'a device that is open by its node is reset without group descriptors',
    );
  const count = target.count();
  if (context !== undefined) {
    target.run({ context });
    return;
  }
  if (groups.length > count)
    throw invalid('hot reset groups', `${groups.length} groups for ${count} functions`);
  target.run(groups.map((descriptor) => groupBehind(process, descriptor)));
}

function groupBehind(process: Process, descriptor: number): VfioGroup {
  const { object } = process.descriptors.file(descriptor);
  if (object.fileKind === 'vfio group') return (object as GroupFile).group;
  throw invalid('not a group', `descriptor ${descriptor} is a ${object.fileKind}`);
}
