/**
 * IOMMUFD as QEMU uses it (backends/iommufd.c, hw/vfio/iommufd.c): one /dev/iommu, one address space (IOAS) with all of
 * the machine's memory, a page table that devices share as long as the kernel lets them, one node per device. For a
 * machine with a virtual IOMMU that page table is a nesting parent: the guest's own tables can be put on it.
 */
import { KernelError } from '../kernel/errno.ts';
import { IommuProt } from '../kernel/iommu/types.ts';
import type { IommufdContext, IommufdModule } from '../kernel/iommufd/context.ts';
import { DeviceNodeFile, openDeviceNode } from '../kernel/iommufd/device-node.ts';
import { HwptFlag, HwptPaging } from '../kernel/iommufd/hwpt.ts';
import {
  destroy,
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptInvalidate,
  hwptSetDirtyTracking,
  ioasAlloc,
} from '../kernel/iommufd/hwpt-requests.ts';
import { ioasMap, ioasUnmap, MapFlag } from '../kernel/iommufd/ioas-requests.ts';
import { CorePagingDomain } from '../kernel/iommufd/paging-domain.ts';
import type { Process } from '../kernel/process/process.ts';
import type { DeviceFile, VfioDevice } from '../kernel/vfio/device.ts';
import { StructureBytes } from '../kernel/vfio/uapi.ts';
import type { DeviceUser, HeldMapping, MappedSlot } from './device-user.ts';

export interface IommufdNodes {
  readonly module: IommufdModule;
  /** The VFIO device behind a name, or undefined: it is bound to no VFIO driver. */
  vfioDevice(name: string): VfioDevice | undefined;
}

interface OpenDevice {
  readonly descriptor: number;
  readonly node: DeviceNodeFile;
  /** Number of the device in the descriptor, and of the page table it is attached to when the guest has none. */
  readonly id: number;
  readonly pageTable: number;
  /** The guest's table on top, once it has one. */
  nested: number | undefined;
}

/** struct iommu_hwpt_vtd_s1: flags, address of the guest's table, width in bits. */
const STAGE_1 = { dataType: 1, bytes: 24, tableOffset: 8, widthOffset: 16, width: 48 } as const;
/** struct iommu_hwpt_vtd_s1_invalidate: address, pages, flags. */
const INVALIDATION_BYTES = 24;
const PAGE_BYTES = 4096n;
const ATTACH_BYTES = 16;

export class IommufdUser implements DeviceUser {
  private readonly process: Process;
  private readonly nodes: IommufdNodes;
  private readonly slots: () => readonly MappedSlot[];
  private readonly nesting: boolean;
  private readonly devices = new Map<string, OpenDevice>();
  private opened:
    | { readonly context: IommufdContext; readonly descriptor: number; readonly ioas: number }
    | undefined;
  /** Page tables on the IOAS, oldest first. */
  private readonly pageTables: number[] = [];
  private tracking = false;

  /** @param nesting Page tables are made as nesting parents (a virtual IOMMU). */
  constructor(process: Process, nodes: IommufdNodes, slots: () => readonly MappedSlot[], nesting: boolean) {
    this.process = process;
    this.nodes = nodes;
    this.slots = slots;
    this.nesting = nesting;
  }

  get hasDevices(): boolean {
    return this.devices.size > 0;
  }

  get dirtyTracking(): boolean {
    return this.tracking;
  }

  get domains(): readonly object[] {
    const { opened } = this;
    if (opened === undefined) return [];
    return this.pageTables.flatMap((id) => {
      const table = opened.context.objects.find(id);
      if (!(table instanceof HwptPaging)) return [];
      return [table.domain instanceof CorePagingDomain ? table.domain.domain : table.domain];
    });
  }

  get mappings(): readonly HeldMapping[] {
    const { opened } = this;
    if (opened === undefined) return [];
    return [...opened.context.ioas(opened.ioas).table.allAreas()].map((area) => {
      const slot = this.slots().find(
        (one) => area.iova >= one.iova && area.iova < one.iova + one.lengthBytes,
      );
      return {
        iova: area.iova,
        lengthBytes: area.last - area.iova + 1n,
        userAddress: slot === undefined ? 0n : slot.userAddress + (area.iova - slot.iova),
        read: (area.prot & IommuProt.read) !== 0,
        write: (area.prot & IommuProt.write) !== 0,
      };
    });
  }

  attach(name: string): void {
    const { context, descriptor: iommufd } = this.open();
    let descriptor: number | undefined;
    try {
      descriptor = this.process.descriptors.install(
        openDeviceNode(this.nodes.vfioDevice(name), this.process),
      );
      const node = this.process.object(descriptor, DeviceNodeFile);
      const id = node.bind(this.process, { argsz: ATTACH_BYTES, flags: 0, descriptor: iommufd });
      const pageTable = this.attachToMemory(context, node, id);
      this.devices.set(name, { descriptor, node, id, pageTable, nested: undefined });
    } catch (error) {
      if (descriptor !== undefined) this.process.descriptors.close(descriptor);
      this.closeUnused();
      throw error;
    }
  }

  detach(name: string): void {
    const device = this.devices.get(name);
    if (device === undefined) return;
    this.devices.delete(name);
    this.process.descriptors.close(device.descriptor);
    if (device.nested !== undefined && this.opened !== undefined) destroy(this.opened.context, device.nested);
    this.closeUnused();
  }

  closeAll(): void {
    for (const name of [...this.devices.keys()]) this.detach(name);
  }

  deviceFile(name: string): DeviceFile {
    return this.device(name).node;
  }

  /** Everything in the context proves itself: no descriptors are passed. */
  hotReset(device: string): void {
    this.deviceFile(device).hotReset(this.process, { argsz: StructureBytes.hotReset, flags: 0, groups: [] });
  }

  mapSlot(slot: MappedSlot): void {
    const { opened } = this;
    if (opened !== undefined) this.map(opened.context, opened.ioas, slot);
  }

  unmapSlot(slot: MappedSlot): void {
    const { opened } = this;
    if (opened !== undefined)
      ioasUnmap(opened.context, { ioas: opened.ioas, iova: slot.iova, length: slot.lengthBytes });
  }

  setDirtyTracking(on: boolean): void {
    const { context } = this.requireOpen();
    for (const hwpt of this.pageTables) hwptSetDirtyTracking(context, { hwpt, flags: on ? 1 : 0 });
    this.tracking = on;
  }

  dirtyPages(slot: MappedSlot): Uint8Array {
    if (!this.tracking)
      throw new KernelError('EINVAL', 'not tracking', 'dirty tracking is off', 'Start it first.');
    const { context } = this.requireOpen();
    const union = new BigUint64Array(Number((slot.lengthBytes / PAGE_BYTES + 63n) / 64n));
    for (const hwpt of this.pageTables) {
      const words = hwptGetDirtyBitmap(context, {
        hwpt,
        flags: 0,
        iova: slot.iova,
        length: slot.lengthBytes,
        pageSize: PAGE_BYTES,
      });
      for (let word = 0; word < union.length; word += 1) union[word] |= words[word];
    }
    return new Uint8Array(union.buffer);
  }

  /** True when the guest's own table translates for the device. */
  isNested(name: string): boolean {
    return this.devices.get(name)?.nested !== undefined;
  }

  /**
   * The guest switched translation on for a device: its table at this guest address goes on top of the parent.
   * @throws KernelError EINVAL, EOPNOTSUPP: what the kernel says of the table or the unit.
   */
  nest(name: string, tableAddress: bigint): void {
    const device = this.device(name);
    if (device.nested !== undefined) return;
    const { context } = this.requireOpen();
    const data = new Uint8Array(STAGE_1.bytes);
    const view = new DataView(data.buffer);
    view.setBigUint64(STAGE_1.tableOffset, tableAddress, true);
    view.setUint32(STAGE_1.widthOffset, STAGE_1.width, true);
    const nested = hwptAlloc(context, {
      flags: 0,
      device: device.id,
      pageTable: device.pageTable,
      dataType: STAGE_1.dataType,
      data,
    });
    try {
      device.node.attach({ argsz: ATTACH_BYTES, flags: 0, pageTable: nested, pasid: 0 });
    } catch (error) {
      destroy(context, nested);
      throw error;
    }
    device.nested = nested;
  }

  /** The guest invalidated pages of its table: passed on to the unit. */
  invalidate(name: string, iova: bigint, pages: bigint): void {
    const { nested } = this.device(name);
    if (nested === undefined) return;
    const entry = new Uint8Array(INVALIDATION_BYTES);
    const view = new DataView(entry.buffer);
    view.setBigUint64(0, iova, true);
    view.setBigUint64(8, pages, true);
    hwptInvalidate(
      this.requireOpen().context,
      { hwpt: nested, dataType: 0, entryLength: INVALIDATION_BYTES, entryCount: 1, entries: [entry] },
      { count: 0 },
    );
  }

  /** A page table that is there already, as long as the device fits it; else one of its own. */
  private attachToMemory(context: IommufdContext, node: DeviceNodeFile, id: number): number {
    const request = { argsz: ATTACH_BYTES, flags: 0, pasid: 0 };
    for (const pageTable of this.pageTables) {
      try {
        node.attach({ ...request, pageTable });
        return pageTable;
      } catch (error) {
        // EINVAL: not compatible with this device; a page table of its own tells what is really wrong.
        if (!(error instanceof KernelError) || error.code !== 'EINVAL') throw error;
      }
    }
    const pageTable = this.newPageTable(context, id);
    try {
      node.attach({ ...request, pageTable });
    } catch (error) {
      destroy(context, pageTable);
      throw error;
    }
    this.pageTables.push(pageTable);
    if (this.tracking) hwptSetDirtyTracking(context, { hwpt: pageTable, flags: 1 });
    return pageTable;
  }

  /** With dirty tracking where the unit can do it; a nesting parent for a virtual IOMMU. */
  private newPageTable(context: IommufdContext, device: number): number {
    const request = { device, pageTable: this.requireOpen().ioas, dataType: 0, data: new Uint8Array(0) };
    const flags = this.nesting ? HwptFlag.nestParent : 0;
    try {
      return hwptAlloc(context, { ...request, flags: flags | HwptFlag.dirtyTracking });
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'EOPNOTSUPP') throw error;
      return hwptAlloc(context, { ...request, flags });
    }
  }

  private open() {
    if (this.opened !== undefined) return this.opened;
    const context = this.nodes.module.open(this.process);
    const descriptor = this.process.descriptors.install(context.file);
    try {
      const ioas = ioasAlloc(context, { flags: 0 });
      for (const slot of this.slots()) this.map(context, ioas, slot);
      this.opened = { context, descriptor, ioas };
      return this.opened;
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  /** Without devices nothing is kept: page tables, address space and descriptor go. */
  private closeUnused(): void {
    if (this.devices.size > 0 || this.opened === undefined) return;
    for (const pageTable of this.pageTables.splice(0)) destroy(this.opened.context, pageTable);
    this.process.descriptors.close(this.opened.descriptor);
    this.opened = undefined;
    this.tracking = false;
  }

  private map(context: IommufdContext, ioas: number, slot: MappedSlot): void {
    ioasMap(context, this.process, {
      ioas,
      flags: MapFlag.fixedIova | MapFlag.readable | MapFlag.writeable,
      userVa: slot.userAddress,
      length: slot.lengthBytes,
      iova: slot.iova,
    });
  }

  private device(name: string): OpenDevice {
    const device = this.devices.get(name);
    if (device === undefined)
      throw new KernelError('ENODEV', 'device not open', `${this.process.name} does not have ${name} open`);
    return device;
  }

  private requireOpen() {
    if (this.opened === undefined)
      throw new KernelError(
        'EINVAL',
        'no address space',
        `${this.process.name} has no device, so no page table`,
      );
    return this.opened;
  }
}
