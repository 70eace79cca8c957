/** The requests of a VFIO container on an IOMMUFD descriptor (class compat). */
import { iommufd, KernelError, kernel, type Process } from '../../../hw/index.ts';
import { contextOf } from './iommufd-operations.ts';
import { hex, type Operation, type OperationCall } from './operation.ts';
import type { ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;

const { Extension, UnmapFlag, MapFlag } = kernel;

const MAP_FLAGS = { READ: MapFlag.read, WRITE: MapFlag.write, VADDR: MapFlag.vaddr };
const UNMAP_FLAGS = { DIRTY_BITMAP: UnmapFlag.getDirtyBitmap, ALL: UnmapFlag.all, VADDR: UnmapFlag.vaddr };
const TYPES: Readonly<Record<string, number>> = Extension;

/** Sizes that the recorder passes when an operation names none. */
const MAP_BYTES = 32;
const UNMAP_BYTES = 24;
const UNMAP_WITH_BITMAP_BYTES = 48;
const INFO_BYTES = 4096;
/** Offset of the capabilities, where there is room for them. */
const CAPABILITY_OFFSET = 24;
const INFO_FLAGS = 3;

/** The first argument of these operations names the container. */
function context(call: Call): iommufd.IommufdContext {
  return contextOf(call, 'container');
}

/** Opens what the class of the scenario uses as container: /dev/iommu. */
export const openIommufdContainer: Operation<ReplayWorld, Process> = (world, call) => {
  const opened = world.iommufd.open(call.process);
  const name = call.args.text('as');
  if (name !== undefined) call.symbols.set(name, call.process.descriptors.install(opened.file));
  call.out.fd = name;
  return undefined;
};

/** By the names of the operations on a container; used in place of those when `isOnIommufd`. */
export const iommufdContainerOperations: Readonly<Record<string, Operation<ReplayWorld, Process>>> = {
  get_api_version(_world, call) {
    context(call);
    return iommufd.apiVersion();
  },

  check_extension: (_world, call) =>
    iommufd.checkExtension(context(call), call.args.number('extension_number')),

  set_iommu(_world, call) {
    const { args } = call;
    iommufd.setIommu(context(call), TYPES[args.text('type') ?? ''] ?? args.number('type'));
    return undefined;
  },

  iommu_get_info(_world, call) {
    const { args, out } = call;
    const argsz = args.number('argsz', INFO_BYTES);
    const info = iommufd.iommuInfo(context(call), argsz);
    out.argsz = info.argsz;
    out.flags = hex(INFO_FLAGS);
    out.iova_pgsizes = hex(info.pageSizes);
    if (argsz < CAPABILITY_OFFSET) return undefined;
    const fits = argsz >= info.argsz;
    out.cap_offset = fits ? CAPABILITY_OFFSET : 0;
    if (!fits) return undefined;
    const ranges = info.ranges.map(({ start, last }) => [hex(start), hex(last)]);
    out.caps = [
      { id: 3, version: 1, name: 'dma_avail', avail: info.available },
      { id: 1, version: 1, name: 'iova_range', ranges },
    ];
    return undefined;
  },

  map_dma(_world, call) {
    const { process, args } = call;
    const container = context(call);
    if (args.boolean('null_pointer'))
      throw new KernelError('EFAULT', 'null pointer', 'MAP_DMA takes a structure');
    iommufd.mapDma(container, process, {
      argsz: args.number('argsz', MAP_BYTES),
      flags: args.flags('flags', MAP_FLAGS),
      vaddr: args.wide('vaddr'),
      iova: args.wide('iova'),
      size: args.wide('size'),
    });
    return undefined;
  },

  unmap_dma(_world, call) {
    const { args, out } = call;
    const container = context(call);
    const flags = args.flags('flags', UNMAP_FLAGS);
    const usual = (flags & UnmapFlag.getDirtyBitmap) === 0 ? UNMAP_BYTES : UNMAP_WITH_BITMAP_BYTES;
    const written = { size: args.wide('size') };
    try {
      iommufd.unmapDma(
        container,
        { argsz: args.number('argsz', usual), flags, iova: args.wide('iova') },
        written,
      );
    } finally {
      out.size = hex(written.size);
    }
    return undefined;
  },

  dirty_pages(_world, call) {
    context(call);
    return iommufd.dirtyPages();
  },
};
