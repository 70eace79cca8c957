/**
 * The alternative of July 2018 (Jean-Philippe Brucker, "Re: [RFC PATCH 03/10] iommu/vt-d: Allocate groups for mediated
 * devices"): no domains and no groups for mdevs. The mdev module allocates a PASID on the mdev's parent, maps and unmaps
 * by that PASID, and installs it in the device by two operations of the parent. IOMMU drivers implement PASID operations
 * only. Never merged as such; iommu_attach_device_pasid is the same idea with domains.
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import { traced } from './call-log.ts';
import type { LinuxIommuCore } from './core.ts';
import type { DriverDomain } from './driver.ts';
import type { PasidSpace } from './pasid-space.ts';

/** What mdev_parent_ops would gain. */
export interface ParentPasidOperations {
  /** Installs the PASID in the part of the parent that serves the mdev. */
  setPasid(mdev: Device, pasid: number): void;
  clearPasid(mdev: Device, pasid: number): void;
}

/** A PASID of a parent and the tables behind it: there is no domain that a caller could see. */
interface ParentPasid {
  readonly parent: Device;
  readonly tables: DriverDomain;
  /** Where it is installed now. */
  installed: Device | undefined;
}

export class ParentPasids {
  private readonly core: LinuxIommuCore;
  private readonly numbers: PasidSpace;
  private readonly byPasid = new Map<number, ParentPasid>();

  constructor(core: LinuxIommuCore, numbers: PasidSpace) {
    this.core = core;
    this.numbers = numbers;
  }

  /** PASIDs now allocated on a parent, ascending. */
  of(parent: Device): number[] {
    return [...this.byPasid]
      .filter(([, entry]) => entry.parent === parent)
      .map(([pasid]) => pasid)
      .sort((a, b) => a - b);
  }

  /**
   * pasid_alloc on the parent: a number and empty tables behind it; nothing is mapped yet.
   * @throws KernelError ENODEV: no IOMMU; EOPNOTSUPP: the parent can't tag requests; ENOSPC: no number left.
   */
  allocate(parent: Device): number {
    return this.call('pasid_alloc', { parent: parent.name }, () => {
      const driver = this.core.groupOf(parent)?.driver;
      if (driver === undefined) {
        throw new KernelError('ENODEV', 'device without IOMMU', `No IOMMU translates for ${parent.name}.`);
      }
      const most = driver.maximumPasids(parent);
      if (most === 0) {
        throw new KernelError(
          'EOPNOTSUPP',
          'no PASID support',
          `${parent.name} can't tag its requests with PASIDs.`,
        );
      }
      const pasid = this.numbers.allocate(most - 1);
      if (pasid === undefined) {
        throw new KernelError(
          'ENOSPC',
          'PASIDs used up',
          `No PASID below ${most} is free for ${parent.name}.`,
        );
      }
      let tables: DriverDomain | undefined;
      try {
        tables = driver.allocate(parent, { type: 'unmanaged' });
        driver.attachPasid(tables, parent, pasid, undefined);
      } catch (error) {
        tables?.free();
        this.numbers.put(pasid);
        throw error;
      }
      this.byPasid.set(pasid, { parent, tables, installed: undefined });
      return pasid;
    });
  }

  /** pasid_free. @throws KernelError EBUSY: a device still has it installed; EINVAL: no such PASID. */
  free(pasid: number): void {
    this.call('pasid_free', { pasid }, () => {
      const entry = this.entry(pasid);
      if (entry.installed !== undefined) {
        throw new KernelError(
          'EBUSY',
          'PASID installed',
          `PASID ${pasid} is installed in ${entry.parent.name} for ${entry.installed.name}.`,
          'Clear it in the device first.',
        );
      }
      entry.tables.driver.detachPasid(entry.tables, entry.parent, pasid);
      entry.tables.free();
      this.byPasid.delete(pasid);
      this.numbers.put(pasid);
    });
  }

  /** Maps by PASID. @throws KernelError as a domain's `map`; EINVAL: no such PASID. */
  map(pasid: number, page: Page, frame: Frame, count: number, prot: number): void {
    this.call('iommu_map_pasid', { pasid, page, frame, count }, () =>
      this.entry(pasid).tables.map(page, frame, count, prot),
    );
  }

  /** Unmaps by PASID; pages unmapped. @throws KernelError EINVAL: no such PASID. */
  unmap(pasid: number, page: Page, count: number): number {
    return this.call('iommu_unmap_pasid', { pasid, page, count }, () =>
      this.entry(pasid).tables.unmap(page, count),
    );
  }

  /** set_pasid of the parent. @throws KernelError EBUSY: installed for another mdev; EINVAL: no such PASID. */
  install(operations: ParentPasidOperations, mdev: Device, pasid: number): void {
    this.call('set_pasid', { mdev: mdev.name, pasid }, () => {
      const entry = this.entry(pasid);
      if (entry.installed !== undefined) {
        throw new KernelError(
          'EBUSY',
          'PASID installed',
          `PASID ${pasid} serves ${entry.installed.name} already.`,
        );
      }
      operations.setPasid(mdev, pasid);
      entry.installed = mdev;
    });
  }

  /** clear_pasid of the parent. */
  clear(operations: ParentPasidOperations, mdev: Device, pasid: number): void {
    this.call('clear_pasid', { mdev: mdev.name, pasid }, () => {
      const entry = this.entry(pasid);
      if (entry.installed !== mdev) {
        throw new KernelError('EINVAL', 'PASID not installed', `PASID ${pasid} does not serve ${mdev.name}.`);
      }
      operations.clearPasid(mdev, pasid);
      entry.installed = undefined;
    });
  }

  /** What stands behind the PASID, for who shows bookkeeping. */
  tablesOf(pasid: number): DriverDomain | undefined {
    return this.byPasid.get(pasid)?.tables;
  }

  private entry(pasid: number): ParentPasid {
    const entry = this.byPasid.get(pasid);
    if (entry === undefined) {
      throw new KernelError('EINVAL', 'no such PASID', `PASID ${pasid} was not allocated on a parent.`);
    }
    return entry;
  }

  private call<Result>(name: string, args: Record<string, string | number>, body: () => Result): Result {
    return traced(this.core.trace, 'kernel/iommu', name, () => args, body);
  }
}
