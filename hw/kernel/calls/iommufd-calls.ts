/** Requests of /dev/iommu about processes and address spaces, made by a process that the operator names. */
import { KernelError } from '../errno.ts';
import { HwptNested, HwptPaging } from '../iommufd/hwpt.ts';
import { destroy, ioasAlloc } from '../iommufd/hwpt-requests.ts';
import { Ioas } from '../iommufd/ioas.ts';
import {
  ioasAllowIovas,
  ioasCopy,
  ioasIovaRanges,
  ioasMap,
  ioasUnmap,
  MapFlag,
  OptionId,
  option,
} from '../iommufd/ioas-requests.ts';
import type { IommufdObject } from '../iommufd/objects.ts';
import type { CallArgument, CallValue, KernelCall } from './call.ts';
import { contextOf, hex, iova, length, SOURCE, user } from './iommufd-arguments.ts';
import { IOMMUFD_DEVICE_CALLS } from './iommufd-device-calls.ts';
import { endUser, userNamed } from './users.ts';
import { VFIO_CONTAINER_CALLS } from './vfio-container-calls.ts';

const ALL = (1n << 64n) - 1n;

const ioas: CallArgument = { name: 'ioas', kind: 'size', about: 'number of the address space' };
const rights: CallArgument = {
  name: 'rights',
  kind: 'text',
  about: 'what devices may do',
  optional: true,
  choices: ['r', 'w', 'rw'],
};

function rightsOf(text: string | undefined): number {
  const wanted = text ?? 'rw';
  return (wanted.includes('r') ? MapFlag.readable : 0) | (wanted.includes('w') ? MapFlag.writeable : 0);
}

function describe(object: IommufdObject): CallValue {
  const value: Record<string, CallValue> = { id: object.id, type: object.type, users: object.users };
  if (object instanceof Ioas) {
    value.mappings = object.table.areaCount;
    value.pageTables = object.pageTables.map((table) => table.id);
    value.largePages = object.table.largePages;
  } else if (object instanceof HwptPaging) {
    value.ioas = object.ioas.id;
    value.automatic = object.automatic;
    value.nestParent = object.nestParent;
    value.forPasids = object.pasidCompatible;
    value.snooping = object.enforcesCoherency;
  } else if (object instanceof HwptNested) {
    value.parent = object.parent.id;
  }
  return value;
}

const processes: readonly KernelCall[] = [
  {
    name: 'open_iommu',
    about: 'A process opens /dev/iommu. What it makes there exists for it alone.',
    source: SOURCE,
    arguments: [
      user,
      { name: 'uid', kind: 'size', about: 'user id of a new process; 0 unless told', optional: true },
      { name: 'memlock', kind: 'size', about: 'RLIMIT_MEMLOCK in bytes', optional: true },
      {
        name: 'node',
        kind: 'text',
        about: 'the container node instead: pages are charged to the process as type1 does',
        optional: true,
        choices: ['/dev/vfio/vfio'],
      },
    ],
    run(call, args) {
      const made = userNamed(call, args.user, { userId: Number(args.uid ?? 0) });
      if (args.memlock !== undefined) made.process.memoryLockLimitBytes = Number(args.memlock);
      made.openIommu(call, args.node as '/dev/vfio/vfio' | undefined);
      return null;
    },
  },
  {
    name: 'close_iommu',
    about: 'Closes it. Bound devices keep the objects alive until they are closed too.',
    source: SOURCE,
    arguments: [user],
    run(call, args) {
      userNamed(call, args.user).closeIommu();
      return null;
    },
  },
  {
    name: 'exit',
    about: 'The process ends; the kernel closes what it had open.',
    source: SOURCE,
    arguments: [user],
    run(call, args) {
      endUser(call, args.user);
      return null;
    },
  },
  {
    name: 'list_iommufd_objects',
    about: 'The objects of a descriptor, with who uses what.',
    source: SOURCE,
    arguments: [user],
    run: (call, args) => contextOf(call, args).objects.all.map(describe),
  },
  {
    name: 'IOMMU_DESTROY',
    about: 'Destroys an object that nothing uses.',
    source: SOURCE,
    arguments: [user, { name: 'id', kind: 'size', about: 'number of the object' }],
    run(call, args) {
      destroy(contextOf(call, args), Number(args.id));
      return null;
    },
  },
];

const addressSpaces: readonly KernelCall[] = [
  {
    name: 'IOMMU_IOAS_ALLOC',
    about: 'A new address space: no DMA is possible in it until something is mapped.',
    source: SOURCE,
    arguments: [user],
    run: (call, args) => ioasAlloc(contextOf(call, args), { flags: 0 }),
  },
  {
    name: 'IOMMU_IOAS_MAP',
    about: 'New memory of the process at an I/O address, or at a free one.',
    source: SOURCE,
    arguments: [user, ioas, length, { ...iova, optional: true }, rights],
    run(call, args) {
      const { process, context } = userNamed(call, args.user);
      const bytes = BigInt(args.length);
      const address = process.memory.mapAnonymous(Number((bytes + 0xfffn) & ~0xfffn));
      try {
        const at = ioasMap(context, process, {
          ioas: Number(args.ioas),
          flags: rightsOf(args.rights) | (args.iova === undefined ? 0 : MapFlag.fixedIova),
          userVa: BigInt(address),
          length: bytes,
          iova: BigInt(args.iova ?? 0),
        });
        return { iova: hex(at), memory: hex(address) };
      } catch (error) {
        process.memory.unmap(address, Number((bytes + 0xfffn) & ~0xfffn));
        throw error;
      }
    },
  },
  {
    name: 'IOMMU_IOAS_UNMAP',
    about: 'Takes whole mappings away; without address, all.',
    source: SOURCE,
    arguments: [user, ioas, { ...iova, optional: true }, { ...length, optional: true }],
    run(call, args) {
      const everything = args.iova === undefined && args.length === undefined;
      const bytes = ioasUnmap(contextOf(call, args), {
        ioas: Number(args.ioas),
        iova: BigInt(args.iova ?? 0),
        length: everything ? ALL : BigInt(args.length ?? 0),
      });
      return { unmapped: hex(bytes) };
    },
  },
  {
    name: 'IOMMU_IOAS_COPY',
    about: 'Shows what one address space maps in another: pinned and charged once.',
    source: SOURCE,
    arguments: [
      user,
      { name: 'source', kind: 'size', about: 'address space to copy from' },
      { name: 'target', kind: 'size', about: 'address space to copy to' },
      { name: 'source_iova', kind: 'address', about: 'where it is mapped' },
      length,
      {
        name: 'target_iova',
        kind: 'address',
        about: 'where it shall show; absent: anywhere',
        optional: true,
      },
      rights,
    ],
    run(call, args) {
      const at = ioasCopy(contextOf(call, args), {
        flags: rightsOf(args.rights) | (args.target_iova === undefined ? 0 : MapFlag.fixedIova),
        target: Number(args.target),
        source: Number(args.source),
        length: BigInt(args.length),
        targetIova: BigInt(args.target_iova ?? 0),
        sourceIova: BigInt(args.source_iova),
      });
      return { iova: hex(at) };
    },
  },
  {
    name: 'IOMMU_IOAS_IOVA_RANGES',
    about: 'What may be mapped: all but what devices and page tables reserve.',
    source: SOURCE,
    arguments: [user, ioas],
    run(call, args) {
      const { ranges, alignment } = ioasIovaRanges(contextOf(call, args), { ioas: Number(args.ioas) });
      return {
        alignment: hex(alignment),
        ranges: ranges.map(({ start, last }) => [hex(start), hex(last)]),
      };
    },
  },
  {
    name: 'IOMMU_IOAS_ALLOW_IOVAS',
    about: 'Where automatic places may lie; devices that would reserve part of it are refused.',
    source: SOURCE,
    arguments: [
      user,
      ioas,
      { name: 'ranges', kind: 'text', about: 'first-last,first-last; absent: everywhere', optional: true },
    ],
    run(call, args) {
      const ranges = (args.ranges ?? '').split(',').filter((part) => part !== '');
      ioasAllowIovas(contextOf(call, args), {
        ioas: Number(args.ioas),
        ranges: ranges.map((part) => {
          const [start, last] = part.split('-');
          if (!/^(0x)?[0-9a-f]+$/i.test(start) || !/^(0x)?[0-9a-f]+$/i.test(last ?? ''))
            throw new KernelError('EINVAL', 'not a range', `"${part}" is no range such as 0x1000-0x1fff.`);
          return { start: BigInt(start), last: BigInt(last) };
        }),
      });
      return null;
    },
  },
  {
    name: 'IOMMU_OPTION',
    about: 'RLIMIT_MODE: charge by process as type1 does. HUGE_PAGES: large pages of an address space.',
    source: SOURCE,
    arguments: [
      user,
      { name: 'option', kind: 'text', about: 'which', choices: ['RLIMIT_MODE', 'HUGE_PAGES'] },
      { name: 'value', kind: 'size', about: '0 or 1; absent: asks', optional: true },
      { ...ioas, optional: true },
    ],
    run(call, args) {
      const { process, context } = userNamed(call, args.user);
      const value = option(context, process, {
        option: args.option === 'RLIMIT_MODE' ? OptionId.rlimitMode : OptionId.hugePages,
        operation: args.value === undefined ? 1 : 0,
        object: Number(args.ioas ?? 0),
        value: BigInt(args.value ?? 0),
      });
      return value === undefined ? null : Number(value);
    },
  },
];

const all: readonly KernelCall[] = [
  ...processes,
  ...addressSpaces,
  ...IOMMUFD_DEVICE_CALLS,
  ...VFIO_CONTAINER_CALLS,
];

export const IOMMUFD_CALLS: readonly KernelCall[] = all.map((call) => ({ ...call, maker: 'process' }));
