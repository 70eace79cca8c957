/** Requests about devices and page tables: bind, attach, nested stages, dirty pages, page requests. */
import { KernelError } from '../errno.ts';
import { FaultQueue, PAGE_FAULT_BYTES } from '../iommufd/fault-queue.ts';
import { HwptFlag } from '../iommufd/hwpt.ts';
import {
  faultQueueAlloc,
  getHardwareInfo,
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptInvalidate,
  hwptSetDirtyTracking,
  viommuAlloc,
} from '../iommufd/hwpt-requests.ts';
import type { CallArgument, CallValue, KernelCall } from './call.ts';
import { contextOf, device, hex, iova, length, SOURCE, user } from './iommufd-arguments.ts';
import { userNamed } from './users.ts';

const NODE_SOURCE = 'drivers/vfio/device_cdev.c, Linux 6.6 on';
const ALL = (1n << 64n) - 1n;

const hwpt: CallArgument = { name: 'hwpt', kind: 'size', about: 'number of the page table' };
const pasid: CallArgument = {
  name: 'pasid',
  kind: 'pasid',
  about: 'PASID; absent: requests without one',
  optional: true,
};

/** First stage of a nested translation: struct iommu_hwpt_vtd_s1. */
function stageOne(table: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, table, true);
  view.setUint32(16, width, true);
  return bytes;
}

function invalidation(address: bigint, pages: bigint): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, address, true);
  view.setBigUint64(8, pages, true);
  return bytes;
}

const devices: readonly KernelCall[] = [
  {
    name: 'VFIO_DEVICE_BIND_IOMMUFD',
    about: 'Opens a device by its own node and takes DMA ownership: its group is blocked from then on.',
    source: NODE_SOURCE,
    arguments: [user, device],
    run: (call, args) => userNamed(call, args.user).bind(call, args.device),
  },
  {
    name: 'VFIO_DEVICE_ATTACH_IOMMUFD_PT',
    about: 'Attaches a device, or a PASID of it, to an address space or a page table; again to move.',
    source: NODE_SOURCE,
    arguments: [user, device, { name: 'pt', kind: 'size', about: 'address space or page table' }, pasid],
    run(call, args) {
      const { node } = userNamed(call, args.user).node(args.device);
      return node.attach({
        argsz: 16,
        flags: args.pasid === undefined ? 0 : 1,
        pageTable: Number(args.pt),
        pasid: Number(args.pasid ?? 0),
      });
    },
  },
  {
    name: 'VFIO_DEVICE_DETACH_IOMMUFD_PT',
    about: 'Detaches: blocked again.',
    source: NODE_SOURCE,
    arguments: [user, device, pasid],
    run(call, args) {
      const { node } = userNamed(call, args.user).node(args.device);
      node.detach({ argsz: 12, flags: args.pasid === undefined ? 0 : 1, pasid: Number(args.pasid ?? 0) });
      return null;
    },
  },
  {
    name: 'close_device',
    about: 'Closes the node: detached, ownership given back.',
    source: NODE_SOURCE,
    arguments: [user, device],
    run(call, args) {
      userNamed(call, args.user).closeDevice(args.device);
      return null;
    },
  },
  {
    name: 'IOMMU_GET_HW_INFO',
    about: 'CAP and ECAP of the unit behind a bound device, PASIDs, what it can.',
    source: SOURCE,
    arguments: [user, device],
    run(call, args) {
      const owner = userNamed(call, args.user);
      const info = getHardwareInfo(owner.context, {
        device: owner.node(args.device).id,
        flags: 0,
        room: 64,
      });
      const view = new DataView(info.bytes.buffer, info.bytes.byteOffset, info.bytes.byteLength);
      const registers: Record<string, CallValue> =
        info.bytes.length >= 24
          ? { cap: hex(view.getBigUint64(8, true)), ecap: hex(view.getBigUint64(16, true)) }
          : {};
      return {
        type: info.type,
        ...registers,
        pasidBits: info.pasidBits,
        capabilities: hex(info.capabilities),
      };
    },
  },
];

const pageTables: readonly KernelCall[] = [
  {
    name: 'IOMMU_HWPT_ALLOC',
    about: 'A page table of one’s own: on an address space, or a first stage on a nesting parent.',
    source: SOURCE,
    arguments: [
      user,
      device,
      { name: 'pt', kind: 'size', about: 'address space, or nesting parent' },
      { name: 'flags', kind: 'text', about: 'nest_parent, dirty, pasid, with commas', optional: true },
      {
        name: 'table',
        kind: 'address',
        about: 'root of the first stage, as the parent maps it',
        optional: true,
      },
      { name: 'width', kind: 'size', about: 'bits of the first stage: 48 or 57', optional: true },
      { name: 'fault_queue', kind: 'size', about: 'queue for page requests', optional: true },
    ],
    run(call, args) {
      const owner = userNamed(call, args.user);
      const words: Readonly<Record<string, number>> = {
        nest_parent: HwptFlag.nestParent,
        dirty: HwptFlag.dirtyTracking,
        pasid: HwptFlag.pasid,
      };
      let flags = args.fault_queue === undefined ? 0 : HwptFlag.faultIdValid;
      for (const word of (args.flags ?? '').split(',').filter((each) => each !== '')) {
        if (words[word] === undefined)
          throw new KernelError(
            'EINVAL',
            'no such flag',
            `"${word}" is none of ${Object.keys(words).join(', ')}.`,
          );
        flags |= words[word];
      }
      const nested = args.table !== undefined;
      return hwptAlloc(owner.context, {
        flags,
        device: owner.node(args.device).id,
        pageTable: Number(args.pt),
        dataType: nested ? 1 : 0,
        data: nested ? stageOne(BigInt(args.table), Number(args.width ?? 48)) : new Uint8Array(0),
        faultQueue: Number(args.fault_queue ?? 0),
      });
    },
  },
  {
    name: 'IOMMU_HWPT_INVALIDATE',
    about: 'The user changed its first stage: drops what is cached of it.',
    source: SOURCE,
    arguments: [
      user,
      hwpt,
      { ...iova, about: 'first page; absent: everything', optional: true },
      { name: 'pages', kind: 'size', about: 'how many; 1 unless told', optional: true },
    ],
    run(call, args) {
      const handled = { count: 0 };
      const entry =
        args.iova === undefined
          ? invalidation(0n, ALL)
          : invalidation(BigInt(args.iova), BigInt(args.pages ?? 1));
      hwptInvalidate(
        contextOf(call, args),
        { hwpt: Number(args.hwpt), dataType: 0, entryLength: 24, entryCount: 1, entries: [entry] },
        handled,
      );
      return handled.count;
    },
  },
  {
    name: 'IOMMU_HWPT_SET_DIRTY_TRACKING',
    about: 'Lets the unit mark what devices write, from a clean state.',
    source: SOURCE,
    arguments: [user, hwpt, { name: 'on', kind: 'text', about: 'on or off', choices: ['on', 'off'] }],
    run(call, args) {
      hwptSetDirtyTracking(contextOf(call, args), {
        hwpt: Number(args.hwpt),
        flags: args.on === 'on' ? 1 : 0,
      });
      return null;
    },
  },
  {
    name: 'IOMMU_HWPT_GET_DIRTY_BITMAP',
    about: 'Pages written since the last reading, one bit each.',
    source: SOURCE,
    arguments: [user, hwpt, iova, length],
    run(call, args) {
      const words = hwptGetDirtyBitmap(contextOf(call, args), {
        hwpt: Number(args.hwpt),
        flags: 0,
        iova: BigInt(args.iova),
        length: BigInt(args.length),
        pageSize: 4096n,
      });
      return [...words].map((word) => hex(word));
    },
  },
  {
    name: 'IOMMU_VIOMMU_ALLOC',
    about:
      'A virtual IOMMU that the hardware knows: there is none for VT-d, nested page tables take its place.',
    source: SOURCE,
    arguments: [user, device, { name: 'type', kind: 'size', about: 'type of the virtual IOMMU' }],
    run(call, args) {
      const owner = userNamed(call, args.user);
      return viommuAlloc(owner.context, { device: owner.node(args.device).id, type: Number(args.type) });
    },
  },
  {
    name: 'IOMMU_FAULT_QUEUE_ALLOC',
    about: 'A queue that page requests of devices are read from and answered by.',
    source: SOURCE,
    arguments: [user],
    run(call, args) {
      const { process, context } = userNamed(call, args.user);
      const queue = faultQueueAlloc(context, { flags: 0 });
      process.descriptors.install(queue.file.file);
      return queue.id;
    },
  },
  {
    name: 'read_fault_queue',
    about: 'The page requests that wait, group by group.',
    source: SOURCE,
    arguments: [user, { name: 'queue', kind: 'size', about: 'number of the queue' }],
    run(call, args) {
      const queue = contextOf(call, args).objects.get(Number(args.queue), FaultQueue, 'a fault queue');
      const bytes = queue.read(PAGE_FAULT_BYTES * 64);
      const view = new DataView(bytes.buffer);
      return Array.from({ length: bytes.length / PAGE_FAULT_BYTES }, (_, index) => {
        const at = index * PAGE_FAULT_BYTES;
        return {
          device: view.getUint32(at + 4, true),
          pasid: (view.getUint32(at, true) & 1) === 0 ? null : view.getUint32(at + 8, true),
          group: view.getUint32(at + 12, true),
          permission: view.getUint32(at + 16, true),
          address: hex(view.getBigUint64(at + 24, true)),
          cookie: view.getUint32(at + 36, true),
        };
      });
    },
  },
  {
    name: 'answer_fault_queue',
    about: 'Answers a group of page requests.',
    source: SOURCE,
    arguments: [
      user,
      { name: 'queue', kind: 'size', about: 'number of the queue' },
      { name: 'cookie', kind: 'size', about: 'as read' },
      { name: 'answer', kind: 'text', about: 'what the device is told', choices: ['success', 'invalid'] },
    ],
    run(call, args) {
      const queue = contextOf(call, args).objects.get(Number(args.queue), FaultQueue, 'a fault queue');
      const bytes = new Uint8Array(8);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, Number(args.cookie), true);
      view.setUint32(4, args.answer === 'success' ? 0 : 1, true);
      queue.write(bytes);
      return null;
    },
  },
];

export const IOMMUFD_DEVICE_CALLS: readonly KernelCall[] = [...devices, ...pageTables];
