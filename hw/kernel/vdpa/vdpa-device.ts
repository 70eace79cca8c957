/**
 * vDPA: a virtio device whose rings a piece of hardware serves, offered to user space by vhost (drivers/vhost/vdpa.c of
 * Linux 7.2). The device is no PCI function and has no requester id: its DMA carries that of its parent, so that it
 * lives inside the parent's IOMMU group without being a member that user space sees.
 */

import type { Frame, Page } from '../../memory/types.ts';
import { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { IommuCore, IommuDomain, IommuGroup } from '../iommu/types.ts';
import type { PinnedRun } from '../process/address-space.ts';
import type { OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';

const PAGE = 4096n;
/** VHOST_ACCESS_RO, _WO. */
const READ = 1;
const WRITE = 2;

/** A device that translates by itself (its own mapping operations): the IOMMU is not touched for it. */
export interface VdpaMapping {
  map(addressSpace: number, iova: bigint, length: bigint, frame: number, prot: number): void;
  unmap(addressSpace: number, iova: bigint, length: bigint): void;
}

export interface VdpaOptions {
  /** Groups of rings, and address spaces that they can be put in. 1 each unless the device translates by itself. */
  readonly ringGroups?: number;
  readonly addressSpaces?: number;
  readonly mapping?: VdpaMapping;
}

/** A mapping of user memory: runs of frames that stay pinned. */
interface VdpaRange {
  readonly addressSpace: number;
  readonly iova: bigint;
  readonly length: bigint;
  readonly runs: { frame: number; count: number }[];
}

const run: PinnedRun = { frame: 0, count: 0, reserved: false };

/** struct vdpa_device. */
export class VdpaDevice {
  readonly device: Device;
  /** Whose requester id the DMA carries. */
  readonly dmaDevice: Device;
  readonly ringGroups: number;
  readonly addressSpaces: number;
  readonly mapping: VdpaMapping | undefined;
  /** Address space of each group of rings. */
  readonly ringSpace: number[];
  private openedBy: VhostVdpa | undefined;

  /** @throws KernelError EINVAL: more than one address space needs mapping operations of its own. */
  constructor(name: string, dmaDevice: Device, options: VdpaOptions = {}) {
    this.device = new Device(name, 'vdpa', { parent: dmaDevice });
    this.dmaDevice = dmaDevice;
    this.ringGroups = options.ringGroups ?? 1;
    this.addressSpaces = options.addressSpaces ?? 1;
    this.mapping = options.mapping;
    this.ringSpace = new Array<number>(this.ringGroups).fill(0);
    if (this.mapping === undefined && (this.ringGroups > 1 || this.addressSpaces > 1))
      throw new KernelError(
        'EOPNOTSUPP',
        'vDPA address spaces',
        `${name} has several ring groups or address spaces but no mapping operations of its own`,
      );
  }

  /** The parent's IOMMU group: the device is not a member of it, but whoever claims the group locks it out. */
  groupIn(core: IommuCore): IommuGroup | undefined {
    return core.groupOf(this.dmaDevice);
  }

  get user(): VhostVdpa | undefined {
    return this.openedBy;
  }

  /**
   * Opens /dev/vhost-vdpa-N. Nobody's ownership of DMA is claimed: the parent's driver is in the kernel and stays there.
   * @throws KernelError EBUSY: open; ENODEV: no IOMMU; EINVAL: the parent shares its group; EBUSY: the group is not on
   * its default domain.
   */
  open(core: IommuCore, process: Process): VhostVdpa {
    if (this.openedBy !== undefined)
      throw new KernelError('EBUSY', 'vhost-vdpa open', `${this.device.name} is open already`);
    let domain: IommuDomain | undefined;
    if (this.mapping === undefined) {
      domain = core.allocateDomain(this.dmaDevice);
      try {
        core.attachDevice(domain, this.dmaDevice);
      } catch (error) {
        domain.free();
        throw error;
      }
    }
    this.openedBy = new VhostVdpa(this, core, process, domain, () => {
      this.openedBy = undefined;
    });
    return this.openedBy;
  }
}

/** An open vhost-vdpa device. */
export class VhostVdpa implements OpenFileObject {
  readonly fileKind = 'vhost-vdpa';
  readonly vdpa: VdpaDevice;
  readonly domain: IommuDomain | undefined;
  private readonly core: IommuCore;
  private readonly process: Process;
  private readonly closed: () => void;
  private ranges: VdpaRange[] = [];

  constructor(
    vdpa: VdpaDevice,
    core: IommuCore,
    process: Process,
    domain: IommuDomain | undefined,
    closed: () => void,
  ) {
    this.vdpa = vdpa;
    this.core = core;
    this.process = process;
    this.domain = domain;
    this.closed = closed;
  }

  /** VHOST_VDPA_SET_GROUP_ASID. @throws KernelError EINVAL: no such group or address space. */
  setRingSpace(group: number, addressSpace: number): void {
    if (group >= this.vdpa.ringGroups || addressSpace >= this.vdpa.addressSpaces)
      throw new KernelError('EINVAL', 'ring group', `group ${group}, address space ${addressSpace}`);
    this.vdpa.ringSpace[group] = addressSpace;
  }

  /**
   * VHOST_IOTLB_UPDATE: memory of the process at `iova`, pinned chunk by chunk.
   * @throws KernelError EINVAL (address space, nothing, not whole pages), EEXIST, ENOMEM: RLIMIT_MEMLOCK against all that
   * the process has pinned; EFAULT
   */
  map(addressSpace: number, iova: bigint, length: bigint, userVa: bigint, prot: number): void {
    this.checkRange(addressSpace, iova, length);
    if ((prot & (READ | WRITE)) === 0 || userVa % PAGE !== 0n)
      throw new KernelError('EINVAL', 'vhost mapping', 'a mapping has rights and starts at a page');
    const last = iova + length - 1n;
    if (this.ranges.some((range) => range.addressSpace === addressSpace && overlaps(range, iova, last)))
      throw new KernelError('EEXIST', 'already mapped', `0x${iova.toString(16)} is mapped`);
    const { memory } = this.process;
    const pages = Number(length / PAGE);
    const limit = Math.floor(this.process.memoryLockLimitBytes / 4096);
    if (!this.process.capable('CAP_IPC_LOCK') && memory.pinnedPages + pages > limit)
      throw new KernelError(
        'ENOMEM',
        'RLIMIT_MEMLOCK',
        `${memory.pinnedPages} pages are pinned, ${pages} more are wanted and ${limit} are allowed`,
        'Raise the limit on locked memory.',
      );
    const range: VdpaRange = { addressSpace, iova, length, runs: [] };
    let done = 0;
    try {
      while (done < pages) {
        memory.pin(Number(userVa / PAGE) + done, pages - done, (prot & WRITE) !== 0, run);
        range.runs.push({ frame: run.frame, count: run.count });
        this.mapRun(addressSpace, iova + BigInt(done) * PAGE, run.frame, run.count, prot);
        done += run.count;
      }
    } catch (error) {
      this.unmapRange(range, BigInt(done) * PAGE);
      throw error;
    }
    memory.pinnedPages += pages;
    this.ranges.push(range);
  }

  /** VHOST_IOTLB_INVALIDATE: ranges that lie inside go; one that is cut goes as a whole. */
  unmap(addressSpace: number, iova: bigint, length: bigint): void {
    this.checkRange(addressSpace, iova, length);
    const last = iova + length - 1n;
    const going = this.ranges.filter(
      (range) => range.addressSpace === addressSpace && overlaps(range, iova, last),
    );
    this.drop(going);
  }

  /** Everything is unmapped, the parent is back on its default domain. */
  release(): void {
    this.drop([...this.ranges]);
    if (this.domain !== undefined) {
      this.core.detachDevice(this.domain, this.vdpa.dmaDevice);
      this.domain.free();
    }
    this.closed();
  }

  private drop(going: readonly VdpaRange[]): void {
    for (const range of going) {
      this.unmapRange(range, range.length);
      this.process.memory.pinnedPages -= Number(range.length / PAGE);
    }
    this.ranges = this.ranges.filter((range) => !going.includes(range));
  }

  private mapRun(addressSpace: number, iova: bigint, frame: number, count: number, prot: number): void {
    if (this.domain !== undefined) this.domain.map(Number(iova / PAGE) as Page, frame as Frame, count, prot);
    else this.vdpa.mapping?.map(addressSpace, iova, BigInt(count) * PAGE, frame, prot);
  }

  private unmapRange(range: VdpaRange, length: bigint): void {
    if (length > 0n) {
      if (this.domain !== undefined)
        this.domain.unmap(Number(range.iova / PAGE) as Page, Number(length / PAGE));
      else this.vdpa.mapping?.unmap(range.addressSpace, range.iova, length);
    }
    for (const { frame, count } of range.runs) this.process.memory.unpin(frame, count);
  }

  private checkRange(addressSpace: number, iova: bigint, length: bigint): void {
    if (
      addressSpace >= this.vdpa.addressSpaces ||
      length === 0n ||
      iova % PAGE !== 0n ||
      length % PAGE !== 0n
    )
      throw new KernelError(
        'EINVAL',
        'vhost range',
        `address space ${addressSpace}, 0x${iova.toString(16)} + ${length}: not whole pages of one`,
      );
  }
}

function overlaps(range: VdpaRange, first: bigint, last: bigint): boolean {
  return range.iova <= last && range.iova + range.length - 1n >= first;
}
