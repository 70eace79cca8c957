/** Operations on /dev/iommu: address spaces, page tables, options (class ioas, hwpt and the random ones). */
import { iommufd, type Process } from '../../../hw/index.ts';
import { hex, type Operation, type OperationCall } from './operation.ts';

/** What these operations need of the replayed machine. */
export interface IommufdWorld {
  readonly iommufd: iommufd.IommufdModule;
  readonly selftest: iommufd.IommufdSelftest;
}

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, Operation<IommufdWorld, Process>>>;

const MAP_FLAGS = { FIXED_IOVA: 1, WRITEABLE: 2, READABLE: 4 };
const HWPT_FLAGS = { NEST_PARENT: 1, DIRTY_TRACKING: 2, FAULT_ID_VALID: 4, PASID: 8 };
const BITMAP_FLAGS = { NO_CLEAR: 1 };
const OPTIONS: Readonly<Record<string, number>> = { RLIMIT_MODE: 0, HUGE_PAGES: 1 };
const VFIO_IOAS_OPERATIONS: Readonly<Record<string, number>> = { get: 0, set: 1, clear: 2 };
/** Data of a page table: of the self-test, and of a first stage on VT-d. */
const SELFTEST_DATA = 0xdead;
const VTD_STAGE_1_DATA = 1;
const VTD_HARDWARE_INFO = 1;
/** Room the recorder gives GET_HW_INFO. */
const INFO_ROOM = 64;

/** The context behind a descriptor argument. */
export function contextOf({ process, args }: Call, name = 'iommufd'): iommufd.IommufdContext {
  return process.object(args.symbol(name), iommufd.IommufdContext, 'ENOTTY');
}

/**
 * The structure's size, when the operation gives one of its own. The recorder's IOAS_ALLOC is followed by bytes that
 * are not zero, its other structures by zeros.
 */
function checkSize(call: Call, name: iommufd.IommufdRequestName): void {
  if (!call.args.has('struct_size')) return;
  iommufd.checkStructureSize(name, call.args.number('struct_size'), name !== 'IOAS_ALLOC');
}

function remember(call: Call, value: number): void {
  const name = call.args.text('as');
  if (name !== undefined) call.symbols.set(name, value);
}

/** Makes an object number known by its symbol. */
function rememberId(call: Call, id: number): undefined {
  remember(call, id);
  call.out.id = call.args.text('as') ?? hex(id);
}

/** Object number of a symbol; one that was never made is passed as -1. */
const id = (call: Call, name: string): number => call.args.symbol(name) >>> 0;

const addressSpaces: Operations = {
  open_iommufd(world, call) {
    const context = world.iommufd.open(call.process);
    remember(call, call.process.descriptors.install(context.file));
    call.out.fd = call.args.text('as');
    return undefined;
  },

  ioas_alloc(_world, call) {
    const context = contextOf(call);
    checkSize(call, 'IOAS_ALLOC');
    return rememberId(call, iommufd.ioasAlloc(context, { flags: call.args.number('flags') }));
  },

  destroy(_world, call) {
    iommufd.destroy(contextOf(call), id(call, 'id'));
    return undefined;
  },

  ioas_map(_world, call) {
    const { args, out } = call;
    const context = contextOf(call);
    checkSize(call, 'IOAS_MAP');
    const iova = iommufd.ioasMap(context, call.process, {
      ioas: id(call, 'ioas'),
      flags: args.flags('flags', MAP_FLAGS),
      userVa: args.wide('user_va'),
      length: args.wide('length'),
      iova: args.wide('iova'),
    });
    out.iova = hex(iova);
    return undefined;
  },

  ioas_map_file(_world, call) {
    const { args, out } = call;
    const iova = iommufd.ioasMapFile(contextOf(call), call.process, {
      ioas: id(call, 'ioas'),
      flags: args.flags('flags', MAP_FLAGS),
      descriptor: args.symbol('file'),
      start: args.wide('start'),
      length: args.wide('length'),
      iova: args.wide('iova'),
    });
    out.iova = hex(iova);
    return undefined;
  },

  ioas_copy(_world, call) {
    const { args, out } = call;
    const iova = iommufd.ioasCopy(contextOf(call), {
      flags: args.flags('flags', MAP_FLAGS),
      target: id(call, 'dst'),
      source: id(call, 'src'),
      length: args.wide('length'),
      targetIova: args.wide('dst_iova'),
      sourceIova: args.wide('src_iova'),
    });
    out.dst_iova = hex(iova);
    return undefined;
  },

  ioas_unmap(_world, call) {
    const { args, out } = call;
    const length = iommufd.ioasUnmap(contextOf(call), {
      ioas: id(call, 'ioas'),
      iova: args.wide('iova'),
      length: args.wide('length'),
    });
    out.length = hex(length);
    return undefined;
  },

  ioas_iova_ranges(_world, call) {
    const { args, out } = call;
    const { ranges, alignment } = iommufd.ioasIovaRanges(contextOf(call), { ioas: id(call, 'ioas') });
    const room = args.number('num', ranges.length);
    out.num_iovas = ranges.length;
    out.iova_alignment = hex(alignment);
    out.ranges = ranges.slice(0, room).map(({ start, last }) => [hex(start), hex(last)]);
    iommufd.checkRoom(ranges.length, room);
    return undefined;
  },

  ioas_allow_iovas(_world, call) {
    const ranges = call.args.list('ranges').map((range) => {
      const [start, last] = Array.isArray(range) ? range : [];
      return { start: BigInt(String(start)), last: BigInt(String(last)) };
    });
    iommufd.ioasAllowIovas(contextOf(call), { ioas: id(call, 'ioas'), ranges });
    return undefined;
  },

  ioas_change_process(_world, call) {
    iommufd.ioasChangeProcess(contextOf(call), call.process, {});
    return undefined;
  },

  option_get(_world, call) {
    call.out.val = hex(option(call, 1) ?? 0n);
    return undefined;
  },

  option_set(_world, call) {
    option(call, 0);
    return undefined;
  },

  vfio_ioas(_world, call) {
    const { args } = call;
    const operation = VFIO_IOAS_OPERATIONS[args.text('operation') ?? ''] ?? args.number('operation');
    const result = iommufd.vfioIoas(contextOf(call), { operation, ioas: id(call, 'ioas') });
    return result === undefined ? undefined : rememberId(call, result);
  },

  /** A request by its bare number, with an address that may be null. */
  ioctl(_world, call) {
    const { args } = call;
    const context = contextOf(call, 'fd');
    return iommufd.rawRequest(context, args.number('number'), args.wide('arg'));
  },

  memfd_create(_world, call) {
    const { process, args } = call;
    const file = new iommufd.MemoryFile(process.memory.pages, args.number('size'));
    remember(call, process.open(file));
    call.out.fd = args.text('as');
    return undefined;
  },

  mmap_file(_world, call) {
    const { process, args } = call;
    const file = process.object(args.symbol('file'), iommufd.MemoryFile, 'EINVAL');
    remember(call, process.memory.map(file.content.get(), args.number('size')));
    return undefined;
  },
};

function option(call: Call, operation: number): bigint | undefined {
  const { args } = call;
  return iommufd.option(contextOf(call), call.process, {
    option: OPTIONS[args.text('option') ?? ''] ?? args.number('option'),
    operation,
    object: args.has('object') ? id(call, 'object') : 0,
    value: args.wide('value'),
  });
}

/** The driver's data that a page table is made with. */
function pageTableData(call: Call): Uint8Array {
  const { args } = call;
  const type = args.number('data_type');
  const usual = type === 0 ? 0 : type === VTD_STAGE_1_DATA ? 24 : 8;
  const bytes = new Uint8Array(Math.max(usual, 24));
  const view = new DataView(bytes.buffer);
  if (type === SELFTEST_DATA) view.setUint32(0, args.number('mock_iotlb'), true);
  if (type === VTD_STAGE_1_DATA) {
    view.setBigUint64(0, args.wide('s1_flags'), true);
    view.setBigUint64(8, args.wide('s1_addr'), true);
    view.setUint32(16, args.number('s1_width'), true);
  }
  return bytes.subarray(0, args.number('data_len', usual));
}

const pageTables: Operations = {
  hwpt_alloc(_world, call) {
    const { args } = call;
    return rememberId(
      call,
      iommufd.hwptAlloc(contextOf(call), {
        flags: args.flags('flags', HWPT_FLAGS),
        device: id(call, 'dev'),
        pageTable: id(call, 'pt'),
        dataType: args.number('data_type'),
        data: pageTableData(call),
        faultQueue: args.has('fault') ? id(call, 'fault') : 0,
      }),
    );
  },

  hwpt_invalidate(_world, call) {
    const { args, out } = call;
    const count = args.number('entry_num');
    const length = args.number('elen', 8);
    const entry = new Uint8Array(Math.max(length, 8));
    const view = new DataView(entry.buffer);
    view.setUint32(0, args.number('iflags'), true);
    view.setUint32(4, args.number('iotlb'), true);
    const handled = { count: 0 };
    try {
      iommufd.hwptInvalidate(
        contextOf(call),
        {
          hwpt: id(call, 'hwpt'),
          dataType: args.number('data_type'),
          entryLength: length,
          entryCount: count,
          entries: args.boolean('nullptr')
            ? undefined
            : Array.from({ length: count }, () => entry.subarray(0, length)),
        },
        handled,
      );
    } finally {
      out.entry_num = handled.count;
    }
    return undefined;
  },

  hwpt_set_dirty_tracking(_world, call) {
    iommufd.hwptSetDirtyTracking(contextOf(call), {
      hwpt: id(call, 'hwpt'),
      flags: call.args.number('flags'),
    });
    return undefined;
  },

  hwpt_get_dirty_bitmap(_world, call) {
    const { args, out } = call;
    const words = iommufd.hwptGetDirtyBitmap(contextOf(call), {
      hwpt: id(call, 'hwpt'),
      flags: args.flags('flags', BITMAP_FLAGS),
      iova: args.wide('iova'),
      length: args.wide('length'),
      pageSize: args.wide('page_size'),
    });
    out.bitmap = [...words].map((word) => hex(word));
    return undefined;
  },

  get_hw_info(_world, call) {
    const { args, out } = call;
    const info = iommufd.getHardwareInfo(contextOf(call), {
      device: id(call, 'dev'),
      flags: args.number('flags'),
      room: args.number('data_len', INFO_ROOM),
      type: args.number('type'),
    });
    const bytes = new Uint8Array(INFO_ROOM);
    bytes.set(info.bytes);
    const view = new DataView(bytes.buffer);
    out.data_type = info.type;
    out.data_len = info.length;
    out.max_pasid_log2 = info.pasidBits;
    out.capabilities = hex(info.capabilities);
    if (info.type === VTD_HARDWARE_INFO) {
      out.vtd_flags = hex(view.getUint32(0, true));
      out.cap_reg = hex(view.getBigUint64(8, true));
      out.ecap_reg = hex(view.getBigUint64(16, true));
    } else {
      out.test_reg = hex(view.getUint32(4, true));
    }
    return undefined;
  },

  fault_queue_alloc(_world, call) {
    const queue = iommufd.faultQueueAlloc(contextOf(call), { flags: call.args.number('flags') });
    const descriptor = call.process.descriptors.install(queue.file.file);
    const name = call.args.text('as');
    if (name !== undefined) call.symbols.set(`${name}.fd`, descriptor);
    return rememberId(call, queue.id);
  },
};

export const iommufdOperations: Operations = { ...addressSpaces, ...pageTables };
