/** The requests of a VFIO container, on an IOMMUFD descriptor: what old programs see of it. */
import { KernelError } from '../errno.ts';
import { iommuInfo, mapDma, setIommu, unmapDma } from '../iommufd/vfio-compat.ts';
import { StructureBytes } from '../vfio/uapi.ts';
import type { CallArgument, KernelCall } from './call.ts';
import { contextOf, device, hex, iova, user } from './iommufd-arguments.ts';
import { userNamed } from './users.ts';

const SOURCE = 'drivers/iommu/iommufd/vfio_compat.c, Linux 6.2 on';
const TYPES: Readonly<Record<string, number>> = { TYPE1: 1, TYPE1v2: 3 };
const READ = 1;
const WRITE = 2;
const UNMAP_ALL = 2;

const size: CallArgument = { name: 'size', kind: 'size', about: 'bytes' };
const group: CallArgument = { name: 'group', kind: 'group', about: 'the group, or a device of it' };

export const VFIO_CONTAINER_CALLS: readonly KernelCall[] = [
  {
    name: 'VFIO_GROUP_SET_CONTAINER',
    about: 'Opens a group and makes the descriptor of /dev/iommu its container. Ownership is claimed later.',
    source: SOURCE,
    arguments: [user, group],
    run(call, args) {
      userNamed(call, args.user).joinGroup(call, call.group(args.group).id);
      return null;
    },
  },
  {
    name: 'VFIO_GROUP_UNSET_CONTAINER',
    about: 'The reverse, and closes the group.',
    source: SOURCE,
    arguments: [user, group],
    run(call, args) {
      userNamed(call, args.user).leaveGroup(call.group(args.group).id);
      return null;
    },
  },
  {
    name: 'VFIO_SET_IOMMU',
    about: 'TYPE1 may cut mappings, so large pages go off; TYPE1v2 takes whole ones.',
    source: SOURCE,
    arguments: [user, { name: 'type', kind: 'text', about: 'which', choices: Object.keys(TYPES) }],
    run(call, args) {
      setIommu(contextOf(call, args), TYPES[args.type]);
      return null;
    },
  },
  {
    name: 'VFIO_GROUP_GET_DEVICE_FD',
    about: 'Opens a device of a group: bound and attached here, not at SET_CONTAINER.',
    source: SOURCE,
    arguments: [user, device],
    run(call, args) {
      const found = call.kernel.iommu.groupOf(call.device(args.device));
      if (found === undefined)
        throw new KernelError('ENODEV', 'no IOMMU group', `${args.device} is in no IOMMU group.`);
      userNamed(call, args.user).openByGroup(found.id, args.device);
      return null;
    },
  },
  {
    name: 'VFIO_IOMMU_MAP_DMA',
    about: 'New memory of the process at an I/O address.',
    source: SOURCE,
    arguments: [user, iova, size],
    run(call, args) {
      const { process, context } = userNamed(call, args.user);
      const bytes = BigInt(args.size);
      const pages = Number((bytes + 0xfffn) & ~0xfffn);
      const address = process.memory.mapAnonymous(pages);
      try {
        mapDma(context, process, {
          argsz: StructureBytes.mapDma,
          flags: READ | WRITE,
          vaddr: BigInt(address),
          iova: BigInt(args.iova),
          size: bytes,
        });
      } catch (error) {
        process.memory.unmap(address, pages);
        throw error;
      }
      return { memory: hex(address) };
    },
  },
  {
    name: 'VFIO_IOMMU_UNMAP_DMA',
    about: 'Takes a range away; without one, everything. The answer is what the size field holds.',
    source: SOURCE,
    arguments: [user, { ...iova, optional: true }, { ...size, optional: true }],
    run(call, args) {
      const all = args.iova === undefined && args.size === undefined;
      const written = { size: BigInt(args.size ?? 0) };
      unmapDma(
        contextOf(call, args),
        { argsz: StructureBytes.unmapDma, flags: all ? UNMAP_ALL : 0, iova: BigInt(args.iova ?? 0) },
        written,
      );
      return { size: hex(written.size) };
    },
  },
  {
    name: 'VFIO_IOMMU_GET_INFO',
    about: 'Page sizes and usable ranges; there is no limit on mappings.',
    source: SOURCE,
    arguments: [user],
    run(call, args) {
      const info = iommuInfo(contextOf(call, args), StructureBytes.iommuInfo);
      return {
        pageSizes: hex(info.pageSizes),
        available: info.available,
        ranges: info.ranges.map(({ start, last }) => [hex(start), hex(last)]),
      };
    },
  },
];
