/**
 * Devices bound to an IOMMUFD descriptor, and how they are attached to page tables. Devices that the IOMMU cannot tell
 * apart (one group) share one attachment, and one for each PASID (drivers/iommu/iommufd/device.c).
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { IommufdContext } from './context.ts';
import type { DeviceIommu, ReportedGroup } from './device-iommu.ts';
import { allocatePaging, type Hwpt, HwptNested, HwptPaging, pagingBelow } from './hwpt.ts';
import { Ioas } from './ioas.ts';
import { IommufdObject } from './objects.ts';

/** IOMMU_NO_PASID: requests without PASID. */
export const NO_PASID = 0;

/** What a group has attached for one PASID, and which of its devices asked for it. */
interface Attachment {
  hwpt: Hwpt;
  readonly devices: Set<IommufdDevice>;
}

/** struct iommufd_group: the devices of one IOMMU group that are bound to one descriptor. */
export class IommufdGroup {
  readonly group: object;
  /** By PASID; NO_PASID is the device itself. */
  readonly attachments = new Map<number, Attachment>();
  /** Devices bound. */
  bound = 0;

  constructor(group: object) {
    this.group = group;
  }

  get hasPasids(): boolean {
    for (const pasid of this.attachments.keys()) if (pasid !== NO_PASID) return true;
    return false;
  }
}

/**
 * iommufd_device_bind: takes DMA ownership of the device for the descriptor.
 * @throws KernelError EINVAL without cache coherency, ENODEV without IOMMU group, EPERM when interrupts are not remapped
 * or a kernel driver or another owner uses the group.
 */
export function bindDevice(context: IommufdContext, device: Device, iommu: DeviceIommu): IommufdDevice {
  return context.call('iommufd_device_bind', { device: device.name }, () => bind(context, device, iommu));
}

function bind(context: IommufdContext, device: Device, iommu: DeviceIommu): IommufdDevice {
  if (!iommu.hasCacheCoherency(device))
    throw new KernelError('EINVAL', 'cache coherency', `the DMA of ${device.name} is not cache-coherent`);
  const group = iommu.groupOf(device);
  if (group === undefined)
    throw new KernelError(
      'ENODEV',
      'no IOMMU group',
      `${device.name} is behind no IOMMU`,
      'Switch the IOMMU on (intel_iommu=on), in firmware too.',
    );
  if (!iommu.hasIsolatedMsi(group) && !context.module.allowUnsafeInterrupts)
    throw new KernelError(
      'EPERM',
      'interrupts not isolated',
      `${device.name} could send interrupts of its choice: interrupt remapping is off`,
      'Switch interrupt remapping on, or set iommufd.allow_unsafe_interrupts=1 and accept the risk.',
    );
  iommu.claim(device, context);
  return context.objects.add(new IommufdDevice(context, device, context.groupFor(group), iommu));
}

export class IommufdDevice extends IommufdObject {
  readonly type = 'device';
  readonly context: IommufdContext;
  readonly device: Device;
  readonly group: IommufdGroup;
  readonly iommu: DeviceIommu;
  private readonly stopListening: () => void;

  constructor(context: IommufdContext, device: Device, group: IommufdGroup, iommu: DeviceIommu) {
    super();
    this.context = context;
    this.device = device;
    this.group = group;
    this.iommu = iommu;
    // The driver that bound it is a user until it unbinds.
    this.users = 2;
    group.bound += 1;
    this.stopListening = iommu.listenPageRequests(device, (reported) => this.deliver(reported));
  }

  /** iommufd_device_unbind: gives ownership back. The device must be detached. */
  unbind(): void {
    this.call('iommufd_device_unbind', {}, () => {
      this.users -= 1;
      this.context.objects.remove(this);
    });
  }

  destroy(): void {
    this.stopListening();
    this.iommu.release(this.device);
    this.group.bound -= 1;
    if (this.group.bound === 0) this.context.forgetGroup(this.group);
  }

  /** The page table attached for a PASID by this very device, or undefined. */
  attached(pasid = NO_PASID): Hwpt | undefined {
    const attachment = this.group.attachments.get(pasid);
    return attachment?.devices.has(this) ? attachment.hwpt : undefined;
  }

  /**
   * iommufd_device_attach: to a page table, or to an IOAS by an automatic page table. @returns number of the page table.
   * @throws KernelError ENOENT no such object, EINVAL another type, another page table in the group, or a PASID that
   * doesn't go together with it; EBUSY when this device has it attached; EADDRINUSE when mappings lie in what the
   * device reserves.
   */
  attach(id: number, pasid = NO_PASID): number {
    return this.call('iommufd_device_attach', { pageTable: id, pasid }, () => {
      const hwpt = this.change(id, pasid, (table) => this.doAttach(table, pasid), true);
      this.users += 1;
      return hwpt;
    });
  }

  /**
   * iommufd_device_replace: moves the whole group to another page table without a moment in between.
   * @returns number of the page table. @throws KernelError as attach; EINVAL when nothing is attached; on any error
   * the old one stays.
   */
  replace(id: number, pasid = NO_PASID): number {
    return this.call('iommufd_device_replace', { pageTable: id, pasid }, () =>
      this.change(id, pasid, (table) => this.doReplace(table, pasid), false),
    );
  }

  /** iommufd_device_detach: DMA of the group is blocked when its last device detaches. */
  detach(pasid = NO_PASID): void {
    this.call('iommufd_device_detach', { pasid }, () => {
      const hwpt = this.removeAttachment(pasid);
      if (hwpt === undefined) return;
      this.putHwpt(hwpt, 1);
      this.users -= 1;
    });
  }

  private call<Result>(name: string, request: object, body: () => Result): Result {
    return this.context.call(name, { device: this.device.name, ...request }, body);
  }

  /** Finds or makes the page table for `id` and hands it to `act`, which returns the one that is no longer used. */
  private change(
    id: number,
    pasid: number,
    act: (hwpt: Hwpt) => Hwpt | undefined,
    attaching: boolean,
  ): number {
    const object = this.context.objects.find(id);
    if (object === undefined)
      throw new KernelError('ENOENT', 'no such object', `object ${id} does not exist in this descriptor`);
    let result: { id: number; old: Hwpt | undefined };
    if (object instanceof HwptPaging || object instanceof HwptNested) result = { id, old: act(object) };
    else if (object instanceof Ioas) result = this.automatic(object, pasid, act, attaching);
    else
      throw new KernelError(
        'EINVAL',
        'no page table',
        `object ${id} is a ${object.type}: attach to an IOAS or a page table`,
      );
    if (result.old !== undefined) this.putHwpt(result.old, 1);
    return result.id;
  }

  /** Any automatic page table of the IOAS that will have the device, else a new one. */
  private automatic(
    ioas: Ioas,
    pasid: number,
    act: (hwpt: Hwpt) => Hwpt | undefined,
    attaching: boolean,
  ): { id: number; old: Hwpt | undefined } {
    for (const hwpt of ioas.pageTables) {
      if (!hwpt.automatic) continue;
      try {
        return { id: hwpt.id, old: act(hwpt) };
      } catch (error) {
        // EINVAL: the page table doesn't suit the device. Anything else is the answer.
        if (!(error instanceof KernelError) || error.code !== 'EINVAL') throw error;
      }
    }
    const fresh = allocatePaging(
      this.context.objects,
      this.iommu,
      ioas,
      this,
      0,
      undefined,
      attaching
        ? {
            attach: (hwpt) => void act(hwpt),
            undo: (hwpt) => {
              this.removeAttachment(pasid);
              hwpt.users -= 1;
            },
          }
        : undefined,
    );
    let old: Hwpt | undefined;
    if (!attaching) {
      try {
        old = act(fresh);
      } catch (error) {
        this.context.objects.remove(fresh);
        throw error;
      }
    }
    fresh.automatic = true;
    return { id: fresh.id, old };
  }

  /** iommufd_hw_pagetable_attach. */
  private doAttach(hwpt: Hwpt, pasid: number): undefined {
    const { attachments } = this.group;
    const existing = attachments.get(pasid);
    if (existing?.devices.has(this))
      throw new KernelError('EBUSY', 'already attached', `${this.device.name} is attached already`);
    if (existing !== undefined && existing.hwpt !== hwpt)
      throw new KernelError(
        'EINVAL',
        'group has another page table',
        `${this.names(existing)} of the same group is attached to page table ${existing.hwpt.id}`,
        'Attach to the same page table, or move that device first.',
      );
    const reserves = pasid === NO_PASID;
    const table = pagingBelow(hwpt).ioas.table;
    if (reserves) table.limits.reserveForDevice(this.iommu.reservedRegions(this.device), this);
    try {
      if (existing === undefined) {
        this.checkPasidCompatible(hwpt, pasid);
        this.checkFaults(hwpt);
        if (pasid === NO_PASID) this.iommu.attachGroup(hwpt.domain, this.group.group, this.device);
        else this.iommu.attachPasid(hwpt.domain, this.device, pasid);
        attachments.set(pasid, { hwpt, devices: new Set([this]) });
      } else {
        existing.devices.add(this);
      }
    } catch (error) {
      if (reserves) table.limits.unreserve(this);
      throw error;
    }
    hwpt.users += 1;
    return undefined;
  }

  /** iommufd_device_do_replace. @returns the old page table; its users of the group are moved but for one. */
  private doReplace(hwpt: Hwpt, pasid: number): Hwpt | undefined {
    const attachment = this.group.attachments.get(pasid);
    if (attachment === undefined || !attachment.devices.has(this))
      throw new KernelError('EINVAL', 'not attached', `${this.device.name} has nothing to replace`);
    const old = attachment.hwpt;
    if (hwpt === old) return undefined;
    const table = pagingBelow(hwpt).ioas.table;
    const oldTable = pagingBelow(old).ioas.table;
    const moves = pasid === NO_PASID && table !== oldTable;
    const reserved: IommufdDevice[] = [];
    try {
      if (moves) {
        for (const device of attachment.devices) {
          table.limits.reserveForDevice(this.iommu.reservedRegions(device.device), device);
          reserved.push(device);
        }
      }
      this.checkPasidCompatible(hwpt, pasid);
      if (pasid === NO_PASID) this.iommu.replaceGroup(old.domain, hwpt.domain, this.group.group, this.device);
      else this.iommu.replacePasid(old.domain, hwpt.domain, this.device, pasid);
    } catch (error) {
      for (const device of reserved) table.limits.unreserve(device);
      throw error;
    }
    this.cancelFaults(old, attachment.devices);
    if (moves) for (const device of attachment.devices) oldTable.limits.unreserve(device);
    attachment.hwpt = hwpt;
    hwpt.users += attachment.devices.size;
    old.users -= attachment.devices.size - 1;
    return old;
  }

  /** iommufd_hw_pagetable_detach: the page table is still counted as used by this device. */
  private removeAttachment(pasid: number): Hwpt | undefined {
    const attachment = this.group.attachments.get(pasid);
    if (attachment === undefined || !attachment.devices.delete(this)) return undefined;
    const { hwpt } = attachment;
    if (attachment.devices.size === 0) {
      if (pasid === NO_PASID) this.iommu.detachGroup(hwpt.domain, this.group.group);
      else this.iommu.detachPasid(hwpt.domain, this.device, pasid);
      this.group.attachments.delete(pasid);
    }
    this.cancelFaults(hwpt, [this]);
    if (pasid === NO_PASID) pagingBelow(hwpt).ioas.table.limits.unreserve(this);
    return hwpt;
  }

  /** iommufd_fault_iopf_handler: to the queue of what is attached for the requests' PASID. */
  private deliver({ pasid, requests, respond }: ReportedGroup): boolean {
    const queue = this.group.attachments.get(pasid ?? NO_PASID)?.hwpt.fault;
    if (queue === undefined) return false;
    queue.deliver({ deviceId: this.id, requests, respond });
    return true;
  }

  /** @throws KernelError EINVAL */
  private checkFaults(hwpt: Hwpt): void {
    if (hwpt.fault !== undefined && this.iommu.sharesPageRequests(this.device))
      throw new KernelError(
        'EINVAL',
        'page requests of a virtual function',
        `${this.device.name} shares its page-request queue with its physical function`,
        'Use a page table without fault queue.',
      );
  }

  /** PASIDs and the device itself go together only on page tables made for it. */
  private checkPasidCompatible(hwpt: Hwpt, pasid: number): void {
    const refuse = (detail: string): never => {
      throw new KernelError(
        'EINVAL',
        'page table without PASID flag',
        detail,
        'Allocate page tables with the flag PASID for the device and for its PASIDs.',
      );
    };
    if (pasid === NO_PASID) {
      if (!hwpt.pasidCompatible && this.group.hasPasids)
        refuse(`PASIDs of ${this.device.name} are attached, and page table ${hwpt.id} was not made for that`);
      return;
    }
    if (!hwpt.pasidCompatible) refuse(`page table ${hwpt.id} was not made for PASIDs`);
    const own = this.group.attachments.get(NO_PASID)?.hwpt;
    if (own !== undefined && !own.pasidCompatible)
      refuse(`${this.device.name} itself is on page table ${own.id}, which was not made for PASIDs`);
  }

  private putHwpt(hwpt: Hwpt, users: number): void {
    hwpt.users -= users;
    if (hwpt instanceof HwptPaging && hwpt.automatic) this.context.objects.tryDestroy(hwpt);
  }

  private cancelFaults(hwpt: Hwpt, devices: Iterable<IommufdDevice>): void {
    for (const device of devices) hwpt.fault?.cancel(device.id);
  }

  private names(attachment: Attachment): string {
    return [...attachment.devices].map((device) => device.device.name).join(', ');
  }
}
