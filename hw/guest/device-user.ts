/** How a machine's process gets at devices: by containers and groups, or by IOMMUFD and device nodes. */
import { KernelError } from '../kernel/errno.ts';
import type { DeviceFile } from '../kernel/vfio/device.ts';
import type { AffectedFunction } from '../kernel/vfio/hot-reset.ts';
import { StructureBytes } from '../kernel/vfio/uapi.ts';

/** Memory that devices of the owner may reach: addresses as the device uses them, and where the process has it. */
export interface MappedSlot {
  readonly iova: bigint;
  readonly lengthBytes: bigint;
  readonly userAddress: bigint;
}

/** A mapping as the kernel holds it. Byte addresses. */
export interface HeldMapping extends MappedSlot {
  readonly read: boolean;
  readonly write: boolean;
}

export interface DeviceUser {
  /** Opens a device. @throws KernelError of whichever call refuses; everything opened for it is closed again. */
  attach(device: string): void;
  detach(device: string): void;
  /** Closes everything in order. */
  closeAll(): void;
  /** Memory was added. @throws KernelError: it is reachable nowhere then. */
  mapSlot(slot: MappedSlot): void;
  unmapSlot(slot: MappedSlot): void;
  /** The open file of a device. @throws KernelError ENODEV: not open here. */
  deviceFile(device: string): DeviceFile;
  /** A reset of the device's whole bus. @throws KernelError ENODEV; EINVAL: it hits what this owner does not hold. */
  hotReset(device: string): void;
  /** True once devices are open, so that there is something to track. */
  readonly hasDevices: boolean;
  readonly dirtyTracking: boolean;
  setDirtyTracking(on: boolean): void;
  /** One round over a slot: a bit per 4 KiB page. */
  dirtyPages(slot: MappedSlot): Uint8Array;
  /** What the kernel holds of mappings for it, in order of addresses. */
  readonly mappings: readonly HeldMapping[];
  /** The IOMMU domains that its devices use for requests without tables of a guest. */
  readonly domains: readonly object[];
}

/** The functions that a hot reset of an open device hits: asked for their number first, then for all of them. */
export function affectedByHotReset(file: DeviceFile): AffectedFunction[] {
  const first = { argsz: StructureBytes.hotReset, flags: 0, count: 0 };
  try {
    return file.hotResetInfo(first);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'ENOSPC') throw error;
  }
  const argsz = StructureBytes.hotReset + first.count * StructureBytes.affectedFunction;
  return file.hotResetInfo({ argsz, flags: 0, count: 0 });
}
