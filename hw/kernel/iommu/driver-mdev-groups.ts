/**
 * The abandoned idea of July 2018 (RFC 03/10, "iommu/vt-d: Allocate groups for mediated devices"): the IOMMU driver's
 * device_group callback knows mediated devices and allocates a group for each. The mdev framework allocates one as well,
 * so an mdev ends up with two. Kept as something that can be shown, not as a way that works.
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { LinuxIommuCore } from './core.ts';
import type { Group } from './group.ts';

/** The two groups of one mdev. */
export interface DoubleGroup {
  readonly mdev: Device;
  /** By the mdev framework: the one that VFIO uses. */
  readonly ofFramework: Group | undefined;
  /** By the IOMMU driver: it has no member, since a device can be in one group only, and nobody ever opens it. */
  readonly ofDriver: Group;
  /** Why the idea was given up, in the words of the review. */
  readonly objections: readonly string[];
}

const OBJECTIONS = [
  'Allocating two groups for an mdev is strange: the mdev framework has made one already.',
  'The notion of mdev should not be exported to IOMMU drivers: each would need its own dev_is_mdev() special cases.',
  'The test needs the private mdev bus type, to be reached through symbol_get() and symbol_put() only.',
  'The driver treats all devices as PCI ones: its other operations know nothing of an mdev.',
] as const;

export class DriverMdevGroups {
  private readonly core: LinuxIommuCore;
  private readonly made = new Map<Device, Group>();

  constructor(core: LinuxIommuCore) {
    this.core = core;
  }

  /** device_group called for an mdev. @throws KernelError EINVAL: not an mdev; EEXIST: it was called before. */
  allocate(mdev: Device): DoubleGroup {
    if (mdev.bus !== 'mdev') {
      throw new KernelError(
        'EINVAL',
        'not an mdev',
        `${mdev.name} is on the ${mdev.bus} bus, not a mediated device.`,
      );
    }
    if (this.made.has(mdev)) {
      throw new KernelError(
        'EEXIST',
        'second group exists',
        `The driver made a group for ${mdev.name} already.`,
      );
    }
    const ofDriver = this.core.allocateGroup(`mdev ${mdev.name} by IOMMU driver`);
    this.made.set(mdev, ofDriver);
    return { mdev, ofFramework: this.core.groupOf(mdev), ofDriver, objections: OBJECTIONS };
  }

  /** Gives the driver's group back. */
  release(mdev: Device): void {
    const group = this.made.get(mdev);
    if (group === undefined) return;
    this.made.delete(mdev);
    this.core.dropGroup(group);
  }
}
