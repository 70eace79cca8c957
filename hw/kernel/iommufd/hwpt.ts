/**
 * Hardware page tables: HWPT_PAGING shows a whole IOAS to devices, HWPT_NESTED is a first stage that the user manages
 * on top of one (drivers/iommu/iommufd/hw_pagetable.c).
 */
import { KernelError } from '../errno.ts';
import type { IommufdDevice } from './device.ts';
import type { DeviceIommu, InvalidationRequest, NestedDomain, UserData } from './device-iommu.ts';
import type { FaultQueue } from './fault-queue.ts';
import type { Ioas } from './ioas.ts';
import { IommufdObject, type ObjectTable } from './objects.ts';
import type { PagingDomain } from './paging-domain.ts';

/** IOMMU_HWPT_ALLOC_*. */
export const HwptFlag = { nestParent: 1, dirtyTracking: 2, faultIdValid: 4, pasid: 8 } as const;

const PAGING_FLAGS = 0xf;

abstract class HwptBase extends IommufdObject {
  /** May be attached by PASID, and below one. */
  readonly pasidCompatible: boolean;
  fault: FaultQueue | undefined;

  constructor(pasidCompatible: boolean) {
    super();
    this.pasidCompatible = pasidCompatible;
  }

  /** Takes page requests to this queue. */
  setFaultQueue(queue: FaultQueue): void {
    this.fault = queue;
    queue.users += 1;
  }

  protected releaseFaultQueue(): void {
    if (this.fault !== undefined) this.fault.users -= 1;
  }
}

export class HwptPaging extends HwptBase {
  readonly type = 'hwpt paging';
  readonly ioas: Ioas;
  readonly domain: PagingDomain;
  readonly nestParent: boolean;
  /** Made by attaching to the IOAS, gone with its last device; others may share it. */
  automatic = false;

  constructor(ioas: Ioas, domain: PagingDomain, flags: number) {
    super((flags & HwptFlag.pasid) !== 0);
    this.ioas = ioas;
    this.domain = domain;
    this.nestParent = (flags & HwptFlag.nestParent) !== 0;
    ioas.users += 1;
  }

  get enforcesCoherency(): boolean {
    return this.domain.enforcesCoherency;
  }

  destroy(): void {
    const at = this.ioas.pageTables.indexOf(this);
    if (at >= 0) {
      this.ioas.pageTables.splice(at, 1);
      this.ioas.table.removeDomain(this.domain);
    }
    this.domain.free();
    this.releaseFaultQueue();
    this.ioas.users -= 1;
  }
}

export class HwptNested extends HwptBase {
  readonly type = 'hwpt nested';
  readonly parent: HwptPaging;
  readonly domain: NestedDomain;

  constructor(parent: HwptPaging, domain: NestedDomain, flags: number) {
    super((flags & HwptFlag.pasid) !== 0);
    this.parent = parent;
    this.domain = domain;
    parent.users += 1;
  }

  invalidate(request: InvalidationRequest, handled: { count: number }): void {
    this.domain.invalidate(request, handled);
  }

  destroy(): void {
    this.domain.free();
    this.releaseFaultQueue();
    this.parent.users -= 1;
  }
}

export type Hwpt = HwptPaging | HwptNested;

/** The page table that shows an IOAS: itself, or the parent of a nested one. */
export function pagingBelow(hwpt: Hwpt): HwptPaging {
  return hwpt instanceof HwptPaging ? hwpt : hwpt.parent;
}

function refuse(detail: string, remedy?: string): KernelError {
  return new KernelError('EOPNOTSUPP', 'page table flags', detail, remedy);
}

/**
 * iommufd_hwpt_paging_alloc: makes a page table for the device and fills it with the IOAS.
 * @param beforeFill runs between making and filling: an automatic page table is attached there first.
 * @throws KernelError EOPNOTSUPP for flags that the hardware lacks, and those of attaching and filling.
 */
export function allocatePaging(
  objects: ObjectTable,
  iommu: DeviceIommu,
  ioas: Ioas,
  device: IommufdDevice,
  flags: number,
  data: UserData | undefined,
  beforeFill?: { attach(hwpt: HwptPaging): void; undo(hwpt: HwptPaging): void },
): HwptPaging {
  if ((flags & ~PAGING_FLAGS) !== 0) throw refuse(`flags 0x${flags.toString(16)} are not known`);
  if ((flags & HwptFlag.dirtyTracking) !== 0 && !iommu.canTrackDirty(device.device))
    throw refuse('the IOMMU behind the device cannot mark written pages');
  if ((flags & HwptFlag.faultIdValid) !== 0 && (flags & HwptFlag.nestParent) !== 0)
    throw refuse('a nesting parent takes no page requests itself');
  const domain = iommu.allocatePaging(
    device.device,
    {
      nestParent: (flags & HwptFlag.nestParent) !== 0,
      dirtyTracking: (flags & HwptFlag.dirtyTracking) !== 0,
      pasid: (flags & HwptFlag.pasid) !== 0,
    },
    data,
  );
  const hwpt = objects.add(new HwptPaging(ioas, domain, flags));
  try {
    // The mode is decided here and never changes: entries carry it.
    if (iommu.canEnforceCoherency(device.device)) domain.enforceCacheCoherency();
    beforeFill?.attach(hwpt);
    try {
      ioas.table.addDomain(domain);
    } catch (error) {
      beforeFill?.undo(hwpt);
      throw error;
    }
  } catch (error) {
    objects.remove(hwpt);
    throw error;
  }
  ioas.pageTables.push(hwpt);
  return hwpt;
}

/**
 * iommufd_hwpt_nested_alloc.
 * @throws KernelError EOPNOTSUPP for other flags, no data or a driver without nesting; EINVAL when the parent is no
 * nesting parent, automatic, or another driver's; EINVAL of the driver for data it cannot read.
 */
export function allocateNested(
  objects: ObjectTable,
  iommu: DeviceIommu,
  parent: HwptPaging,
  device: IommufdDevice,
  flags: number,
  data: UserData | undefined,
): HwptNested {
  const known = HwptFlag.faultIdValid | HwptFlag.pasid;
  if ((flags & ~known) !== 0) throw refuse(`flags 0x${flags.toString(16)} are not for a nested page table`);
  if (data === undefined) throw refuse('a nested page table needs data for the driver');
  if (iommu.allocateNested === undefined) throw refuse('the IOMMU driver has no nested page tables');
  if (parent.automatic || !parent.nestParent || !iommu.ownsDomain(device.device, parent.domain))
    throw new KernelError(
      'EINVAL',
      'no nesting parent',
      `page table ${parent.id} was not made as a nesting parent for this device`,
      'Allocate one with the flag NEST_PARENT.',
    );
  const pasid = (flags & HwptFlag.pasid) !== 0;
  const domain = iommu.allocateNested(device.device, parent.domain, { pasid }, data);
  return objects.add(new HwptNested(parent, domain, flags));
}
