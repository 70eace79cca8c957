/** Operations on containers and groups. */
import { iommufd, KernelError, kernel, type Process } from '../../../hw/index.ts';
import { hex, type OperationCall } from './operation.ts';
import type { ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, (world: ReplayWorld, call: Call) => number | undefined>>;

const {
  Container,
  DeviceFile,
  GroupFile,
  DirtyFlag,
  Extension,
  MapFlag,
  Request,
  UnmapFlag,
  VfioPciOperations,
} = kernel;

const MAP_FLAGS = { READ: MapFlag.read, WRITE: MapFlag.write, VADDR: MapFlag.vaddr };
const UNMAP_FLAGS = { DIRTY_BITMAP: UnmapFlag.getDirtyBitmap, ALL: UnmapFlag.all, VADDR: UnmapFlag.vaddr };
const DIRTY_FLAGS = { START: DirtyFlag.start, STOP: DirtyFlag.stop, GET_BITMAP: DirtyFlag.getBitmap };
const EXTENSIONS: Readonly<Record<string, number>> = {
  ...Extension,
  RESERVED_TYPE1_NESTING: Extension.TYPE1_NESTING_IOMMU,
};

/** Sizes that the recorder passes when an operation names none. */
const ARGSZ = { map: 32, unmap: 24, unmapWithBitmap: 48, info: 4096, dirty: 8, dirtyGet: 48, status: 8 };
/** The recorder's bitmap buffer: larger sizes are claimed, not allocated. */
const BITMAP_ROOM = 0x100000;

function fault(): KernelError {
  return new KernelError('EFAULT', 'bad pointer', 'the pointer leads nowhere');
}

export function remember(call: Call, value: number): void {
  const name = call.args.text('as');
  if (name !== undefined) call.symbols.set(name, value);
}

/** Installs an open file under the operation's symbol. */
function rememberFile(call: Call, file: kernel.OpenFile): undefined {
  remember(call, call.process.descriptors.install(file));
  call.out.fd = call.args.text('as');
}

function containerOf({ process, args }: Call, name = 'container'): kernel.Container {
  return process.object(args.symbol(name), Container, 'ENOTTY');
}

function groupOf({ process, args }: Call, name = 'group'): kernel.VfioGroup {
  return process.object(args.symbol(name), GroupFile, 'ENOTTY').group;
}

/** The recorder's bitmap: prefilled, as large as the operation says, and what of it is printed. */
export class RecorderBitmap {
  readonly request: kernel.BitmapRequest;
  private readonly bytes: Uint8Array;

  constructor(call: Call) {
    const { args } = call;
    const sizeBytes = args.wide('bitmap_size');
    const room = sizeBytes > BigInt(BITMAP_ROOM) ? BITMAP_ROOM : Math.ceil(Number(sizeBytes) / 8) * 8;
    this.bytes = new Uint8Array(Math.max(room, 8)).fill(args.number('bitmap_prefill_byte'));
    const bad = args.boolean('bitmap_bad_pointer');
    const { bytes } = this;
    this.request = {
      pgsize: args.wide('bitmap_pgsize'),
      sizeBytes,
      user: {
        read(offset, length) {
          if (bad) throw fault();
          return bytes.slice(offset, offset + length);
        },
        write(offset, content) {
          if (bad) throw fault();
          bytes.set(content, offset);
        },
      },
    };
  }

  /** The words that the recorder shows: those the range needs, and one more where there is room. */
  words(rangeBytes: bigint): string[] {
    const needed = Number((rangeBytes / 4096n + 63n) / 64n) + 1;
    const there = Number(this.request.sizeBytes / 8n);
    const view = new DataView(this.bytes.buffer);
    return Array.from({ length: Math.min(needed, there, this.bytes.length / 8) }, (_, index) =>
      hex(view.getBigUint64(index * 8, true)),
    );
  }
}

/** The answer of GET_INFO as the recorder prints it: fields beyond the size given are not there. */
export function printInfo(out: Record<string, unknown>, info: kernel.Type1Info, argsz: number): void {
  out.argsz = info.argsz;
  out.flags = hex(info.flags);
  out.iova_pgsizes = hex(info.pageSizes);
  if (argsz < 24) return;
  out.cap_offset = info.capabilityOffset;
  if (info.capabilityOffset === 0) return;
  out.caps = info.capabilities.map((each) => {
    if (each.id === 2) {
      return {
        id: 2,
        version: 1,
        name: 'migration',
        flags: hex(each.flags),
        pgsize_bitmap: hex(each.pageSizes),
        max_dirty_bitmap_size: hex(each.maximumDirtyBitmapBytes),
      };
    }
    if (each.id === 3) return { id: 3, version: 1, name: 'dma_avail', avail: each.available };
    return {
      id: 1,
      version: 1,
      name: 'iova_range',
      ranges: each.ranges.map(({ start, end }) => [hex(start), hex(end)]),
    };
  });
}

const groups: Operations = {
  open_container(world, call) {
    if (call.args.text('path') === '/dev/iommu')
      return rememberFile(call, world.iommufd.open(call.process).file);
    return rememberFile(call, world.kernel.vfio.openContainer());
  },

  open_group(world, call) {
    const { args } = call;
    const uuid = args.text('group_of_mdev');
    const symbol = args.text('group') ?? '';
    const number =
      uuid === undefined
        ? (call.symbols.get(symbol) ?? world.groupNumber(symbol))
        : (world.groupOfMdev(uuid)?.id ?? -1);
    // A symbol of an open descriptor is no number of a group.
    const wanted = symbol.startsWith('group:') ? world.groupNumber(symbol) : number;
    return rememberFile(
      call,
      world.kernel.vfio.openGroup(call.process, uuid === undefined ? wanted : number),
    );
  },

  group_set_container(_world, call) {
    const { process, args } = call;
    const group = groupOf(call);
    group.setContainer(process, args.boolean('null_pointer') ? undefined : args.symbol('container'));
    return undefined;
  },

  group_unset_container(_world, call) {
    groupOf(call).unsetContainer();
    return undefined;
  },

  group_get_status(_world, call) {
    const flags = groupOf(call).status(call.args.number('argsz', ARGSZ.status));
    call.out.viable = flags & 1;
    call.out.container_set = (flags >> 1) & 1;
    call.out.flags = hex(flags);
    return undefined;
  },

  group_get_device_fd(world, call) {
    const group = groupOf(call);
    return rememberFile(call, group.openDevice(world.deviceName(call.args.text('device') ?? '')));
  },

  group_node_exists(world, call) {
    const symbol = call.args.text('group') ?? '';
    const number = symbol.startsWith('group:') ? world.groupNumber(symbol) : call.args.symbol('group');
    call.out.exists = world.kernel.vfio.groups.some((group) => group.id === number) ? 1 : 0;
    return undefined;
  },

  remember_group_number(world, call) {
    remember(call, world.groupNumber(call.args.text('group') ?? ''));
    return undefined;
  },

  chown_group_node(world, call) {
    const number = world.groupNumber(call.args.text('group') ?? '');
    const node = world.kernel.vfio.groups.find((group) => group.id === number);
    if (node === undefined)
      throw new KernelError('ENOENT', 'no group node', `/dev/vfio/${number} does not exist`);
    node.nodeUserId = call.args.number('uid');
    return undefined;
  },
};

const containers: Operations = {
  get_api_version: (_world, call) => containerOf(call).apiVersion(),

  check_extension: (_world, call) => containerOf(call).checkExtension(call.args.number('extension_number')),

  set_iommu(_world, call) {
    const { args } = call;
    containerOf(call).setIommu(EXTENSIONS[args.text('type') ?? ''] ?? args.number('type'));
    return undefined;
  },

  iommu_get_info(_world, call) {
    const argsz = call.args.number('argsz', ARGSZ.info);
    printInfo(call.out, containerOf(call).info(argsz), argsz);
    return undefined;
  },

  map_dma(_world, call) {
    const { process, args } = call;
    if (args.boolean('null_pointer')) {
      containerOf(call).driver('map');
      throw fault();
    }
    containerOf(call).mapDma(process, {
      argsz: args.number('argsz', ARGSZ.map),
      flags: args.flags('flags', MAP_FLAGS),
      vaddr: args.wide('vaddr'),
      iova: args.wide('iova'),
      size: args.wide('size'),
    });
    return undefined;
  },

  unmap_dma(_world, call) {
    const { process, args, out } = call;
    const flags = args.flags('flags', UNMAP_FLAGS);
    const withBitmap = (flags & UnmapFlag.getDirtyBitmap) !== 0;
    const bitmap = withBitmap ? new RecorderBitmap(call) : undefined;
    const size = args.wide('size');
    // type1 leaves the size field alone when it fails.
    out.size = hex(size);
    const unmapped = containerOf(call).unmapDma(process, {
      argsz: args.number('argsz', withBitmap ? ARGSZ.unmapWithBitmap : ARGSZ.unmap),
      flags,
      iova: args.wide('iova'),
      size,
      bitmap: bitmap?.request,
    });
    out.size = hex(unmapped);
    if (bitmap !== undefined) out.bitmap = bitmap.words(size);
    return undefined;
  },

  dirty_pages(_world, call) {
    const { args, out } = call;
    const flags = args.flags('flags', DIRTY_FLAGS);
    const get = (flags & DirtyFlag.getBitmap) !== 0;
    const bitmap = get ? new RecorderBitmap(call) : undefined;
    const size = args.wide('size');
    containerOf(call).dirtyPages({
      argsz: args.number('argsz', get ? ARGSZ.dirtyGet : ARGSZ.dirty),
      flags,
      iova: args.wide('iova'),
      size,
      bitmap: bitmap?.request,
    });
    if (bitmap !== undefined) out.bitmap = bitmap.words(size);
    return undefined;
  },
};

function notTty(): KernelError {
  return new KernelError('ENOTTY', 'unknown request', 'the file does not know this request');
}

/**
 * A request by its bare number; structures are never given, only null pointers.
 * @param withIommufd The kernel has device nodes.
 */
export function rawRequest(call: Call, withIommufd: boolean): number {
  const { process, args } = call;
  const { object } = process.descriptors.file(args.symbol('fd'));
  const number = args.number('number');
  if (object instanceof Container) return containerRequest(object, number, args.number('arg'));
  if (object instanceof GroupFile) return groupRequest(object.group, number);
  if (object instanceof DeviceFile) return deviceRequest(object, number, withIommufd);
  throw notTty();
}

function containerRequest(container: kernel.Container, number: number, argument: number): number {
  if (number === Request.GET_API_VERSION) return container.apiVersion();
  if (number === Request.CHECK_EXTENSION) return container.checkExtension(argument);
  if (number === Request.SET_IOMMU) {
    container.setIommu(argument);
    return 0;
  }
  container.driver('request');
  const known: readonly number[] = [
    Request.IOMMU_GET_INFO,
    Request.IOMMU_MAP_DMA,
    Request.IOMMU_UNMAP_DMA,
    Request.IOMMU_DIRTY_PAGES,
  ];
  if (known.includes(number)) throw fault();
  throw notTty();
}

function groupRequest(group: kernel.VfioGroup, number: number): number {
  if (number === Request.GROUP_UNSET_CONTAINER) {
    group.unsetContainer();
    return 0;
  }
  const known: readonly number[] = [
    Request.GROUP_GET_STATUS,
    Request.GROUP_SET_CONTAINER,
    Request.GROUP_GET_DEVICE_FD,
  ];
  if (known.includes(number)) throw fault();
  throw notTty();
}

function deviceRequest(device: kernel.DeviceFile, number: number, withIommufd: boolean): number {
  if (withIommufd && number === Request.DEVICE_BIND_IOMMUFD) throw fault();
  const ofNode = [Request.DEVICE_ATTACH_IOMMUFD_PT, Request.DEVICE_DETACH_IOMMUFD_PT];
  if (number === Request.DEVICE_RESET) {
    device.reset();
    return 0;
  }
  const ofPci = [
    Request.DEVICE_GET_PCI_HOT_RESET_INFO,
    Request.DEVICE_PCI_HOT_RESET,
    Request.DEVICE_IOEVENTFD,
  ];
  const known: readonly number[] = [
    Request.DEVICE_GET_INFO,
    Request.DEVICE_GET_REGION_INFO,
    Request.DEVICE_GET_IRQ_INFO,
    Request.DEVICE_SET_IRQS,
    Request.DEVICE_FEATURE,
    ...(device.operations instanceof VfioPciOperations ? ofPci : []),
    ...(device instanceof iommufd.DeviceNodeFile ? ofNode : []),
  ];
  if (known.includes(number)) throw fault();
  throw notTty();
}

export const containerOperations: Operations = { ...groups, ...containers };
