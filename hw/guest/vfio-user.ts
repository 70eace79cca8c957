/**
 * VFIO as a user-space owner uses it, in the order in which QEMU does (hw/vfio/container.c): one open group file per
 * IOMMU group, a container that groups share as long as the kernel lets them, every memory slot mapped in each
 * container, and one open file per device. Nothing here knows the kernel's insides: it only makes its calls.
 */

import { KernelError } from '../kernel/errno.ts';
import { IommuProt } from '../kernel/iommu/types.ts';
import type { Process } from '../kernel/process/process.ts';
import { Container } from '../kernel/vfio/container.ts';
import { DeviceFile } from '../kernel/vfio/device.ts';
import { GroupFile, type VfioGroup } from '../kernel/vfio/group.ts';
import { NONE } from '../kernel/vfio/type1/mapping-table.ts';
import { DirtyFlag, Extension, GroupStatus, MapFlag, StructureBytes } from '../kernel/vfio/uapi.ts';
import { affectedByHotReset, type DeviceUser, type HeldMapping, type MappedSlot } from './device-user.ts';

/** The files that a user of VFIO opens. */
export interface VfioNodes {
  /** open("/dev/vfio/vfio"): a descriptor of the process. */
  openContainer(process: Process): number;
  /** open("/dev/vfio/N"): a descriptor of the process. @throws KernelError ENOENT, EBUSY, … */
  openGroup(process: Process, group: number): number;
  /** The IOMMU group of a device. @throws KernelError ENODEV: it has none. */
  groupOf(device: string): number;
}

interface OpenContainer {
  readonly descriptor: number;
  readonly container: Container;
  readonly groups: OpenGroup[];
}

interface OpenGroup {
  readonly id: number;
  readonly descriptor: number;
  readonly group: VfioGroup;
  readonly devices: Map<string, number>;
}

const PAGE_BYTES = 4096n;

export class VfioUser implements DeviceUser {
  private readonly process: Process;
  private readonly nodes: VfioNodes;
  private readonly slots: () => readonly MappedSlot[];
  private readonly open: OpenContainer[] = [];
  private readonly takesUnsafe: boolean;
  private tracking = false;

  /** @param takesUnsafe It drives devices without IOMMU too, by physical addresses (DPDK does, QEMU does not). */
  constructor(process: Process, nodes: VfioNodes, slots: () => readonly MappedSlot[], takesUnsafe = false) {
    this.takesUnsafe = takesUnsafe;
    this.process = process;
    this.nodes = nodes;
    this.slots = slots;
  }

  get hasDevices(): boolean {
    return this.open.length > 0;
  }

  get domains(): readonly object[] {
    return this.open.flatMap(
      ({ container }) => container.backend?.state.domains.map((each) => each.domain) ?? [],
    );
  }

  get mappings(): readonly HeldMapping[] {
    const all: HeldMapping[] = [];
    for (const { container } of this.open) {
      const table = container.backend?.state.mappings;
      if (table === undefined) continue;
      for (let slot = table.first(); slot !== NONE; slot = table.next(slot)) {
        const flags = table.flags(slot);
        all.push({
          iova: BigInt(table.start(slot)) * PAGE_BYTES,
          lengthBytes: BigInt(table.pages(slot)) * PAGE_BYTES,
          userAddress: BigInt(table.userPage(slot)) * PAGE_BYTES,
          read: (flags & IommuProt.read) !== 0,
          write: (flags & IommuProt.write) !== 0,
        });
      }
    }
    return all;
  }

  /** The open file of a device. @throws KernelError ENODEV: not open here. */
  deviceFile(device: string): DeviceFile {
    for (const container of this.open) {
      for (const group of container.groups) {
        const descriptor = group.devices.get(device);
        if (descriptor !== undefined) return this.process.object(descriptor, DeviceFile);
      }
    }
    throw new KernelError('ENODEV', 'device not open', `${this.process.name} does not have ${device} open`);
  }

  /** With a descriptor of every group that the reset hits, as far as they are open here. */
  hotReset(device: string): void {
    const file = this.deviceFile(device);
    const wanted = new Set(affectedByHotReset(file).map(({ id }) => id));
    const groups = this.open
      .flatMap((container) => container.groups)
      .filter((group) => wanted.has(group.id))
      .map((group) => group.descriptor);
    file.hotReset(this.process, { argsz: StructureBytes.hotReset + 4 * groups.length, flags: 0, groups });
  }

  /** Opens a device. @throws KernelError of whichever call refuses; everything opened for it is closed again. */
  attach(device: string): void {
    const id = this.nodes.groupOf(device);
    const [container, group, fresh] = this.groupFor(id);
    try {
      const file = group.group.openDevice(device, this.process);
      group.devices.set(device, this.process.descriptors.install(file));
    } catch (error) {
      if (fresh) this.closeGroup(container, group);
      throw error;
    }
  }

  /** Closes a device; its group when it was the last one of it, its container when that was the last group. */
  detach(device: string): void {
    for (const container of this.open) {
      for (const group of container.groups) {
        const descriptor = group.devices.get(device);
        if (descriptor === undefined) continue;
        this.process.descriptors.close(descriptor);
        group.devices.delete(device);
        if (group.devices.size === 0) this.closeGroup(container, group);
        return;
      }
    }
  }

  /** Closes everything in order: devices, groups, containers. */
  closeAll(): void {
    for (const container of [...this.open])
      for (const group of [...container.groups])
        for (const device of [...group.devices.keys()]) this.detach(device);
  }

  /** Memory was added: MAP_DMA in every container. @throws KernelError; containers that took it are unmapped again. */
  mapSlot(slot: MappedSlot): void {
    const done: Container[] = [];
    try {
      for (const container of this.mapped) {
        this.mapInto(container, slot);
        done.push(container);
      }
    } catch (error) {
      for (const container of done) this.unmapFrom(container, slot);
      throw error;
    }
  }

  unmapSlot(slot: MappedSlot): void {
    for (const container of this.mapped) this.unmapFrom(container, slot);
  }

  /** VFIO_IOMMU_DIRTY_PAGES start or stop in every container. */
  setDirtyTracking(on: boolean): void {
    // One that can't be tracked refuses before any other has begun.
    for (const { container } of this.open) container.driver('dirty tracking');
    for (const { container } of this.open)
      container.dirtyPages({
        argsz: StructureBytes.dirtyBitmap,
        flags: on ? DirtyFlag.start : DirtyFlag.stop,
      });
    this.tracking = on;
  }

  get dirtyTracking(): boolean {
    return this.tracking;
  }

  /** One round of GET_BITMAP over a slot in every container: the union of what they say, a bit per 4 KiB page. */
  dirtyPages(slot: MappedSlot): Uint8Array {
    const pages = slot.lengthBytes / PAGE_BYTES;
    const bytes = Number((pages + 63n) / 64n) * 8;
    const union = new Uint8Array(bytes);
    for (const { container } of this.open) {
      const own = new Uint8Array(bytes);
      container.dirtyPages({
        argsz: StructureBytes.dirtyBitmap + StructureBytes.dirtyBitmapGet,
        flags: DirtyFlag.getBitmap,
        iova: slot.iova,
        size: slot.lengthBytes,
        bitmap: {
          pgsize: PAGE_BYTES,
          sizeBytes: BigInt(bytes),
          user: {
            read: (offset, length) => own.slice(offset, offset + length),
            write: (offset, part) => own.set(part, offset),
          },
        },
      });
      for (let index = 0; index < bytes; index += 1) union[index] |= own[index];
    }
    return union;
  }

  /** Containers that memory is mapped in: those with an IOMMU. */
  private get mapped(): Container[] {
    return this.open.map(({ container }) => container).filter((container) => !container.noIommu);
  }

  /** The open group with its container; the third value tells that it was opened by this call. */
  private groupFor(id: number): [OpenContainer, OpenGroup, boolean] {
    for (const container of this.open) {
      const known = container.groups.find((group) => group.id === id);
      if (known !== undefined) return [container, known, false];
    }
    const descriptor = this.nodes.openGroup(this.process, id);
    try {
      const { group } = this.process.object(descriptor, GroupFile);
      this.requireViable(group);
      const opened: OpenGroup = { id, descriptor, group, devices: new Map() };
      const container = this.joinPresent(opened) ?? this.joinFresh(opened);
      container.groups.push(opened);
      return [container, opened, true];
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  private requireViable(group: VfioGroup): void {
    if ((group.status(StructureBytes.groupStatus) & GroupStatus.viable) !== 0) return;
    throw new KernelError(
      'EINVAL',
      'group not viable',
      `group ${group.id} is not viable: a member is bound to a driver that is no VFIO driver`,
      'Bind every endpoint of the group to vfio-pci, or to no driver.',
    );
  }

  /** A container that is open already and takes the group. */
  private joinPresent(opened: OpenGroup): OpenContainer | undefined {
    for (const container of this.open) {
      try {
        opened.group.setContainer(this.process, container.descriptor);
        return container;
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        // QEMU tries the next container whatever the reason; a fresh one tells what is really wrong.
      }
    }
    return undefined;
  }

  private joinFresh(opened: OpenGroup): OpenContainer {
    const descriptor = this.nodes.openContainer(this.process);
    try {
      opened.group.setContainer(this.process, descriptor);
      try {
        const container = this.process.object(descriptor, Container);
        const unsafe = this.takesUnsafe && opened.group.noIommu;
        container.setIommu(unsafe ? Extension.NOIOMMU_IOMMU : Extension.TYPE1v2_IOMMU, this.process);
        if (!unsafe) for (const slot of this.slots()) this.mapInto(container, slot);
        if (this.tracking)
          container.dirtyPages({ argsz: StructureBytes.dirtyBitmap, flags: DirtyFlag.start });
        const made: OpenContainer = { descriptor, container, groups: [] };
        this.open.push(made);
        return made;
      } catch (error) {
        opened.group.unsetContainer();
        throw error;
      }
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  private closeGroup(container: OpenContainer, group: OpenGroup): void {
    group.group.unsetContainer();
    this.process.descriptors.close(group.descriptor);
    container.groups.splice(container.groups.indexOf(group), 1);
    if (container.groups.length > 0) return;
    this.process.descriptors.close(container.descriptor);
    this.open.splice(this.open.indexOf(container), 1);
  }

  private mapInto(container: Container, slot: MappedSlot): void {
    container.mapDma(this.process, {
      argsz: StructureBytes.mapDma,
      flags: MapFlag.read | MapFlag.write,
      vaddr: slot.userAddress,
      iova: slot.iova,
      size: slot.lengthBytes,
    });
  }

  private unmapFrom(container: Container, slot: MappedSlot): void {
    container.unmapDma(this.process, {
      argsz: StructureBytes.unmapDma,
      flags: 0,
      iova: slot.iova,
      size: slot.lengthBytes,
    });
  }
}
