/**
 * The requests of a VFIO container on an IOMMUFD descriptor (drivers/iommu/iommufd/vfio_compat.c). They work on one
 * IOAS that stands in for the container; type1's differences that IOMMUFD doesn't keep show here.
 */
import { KernelError } from '../errno.ts';
import { IommuProt } from '../iommu/types.ts';
import type { Process } from '../process/process.ts';
import { Extension, StructureBytes } from '../vfio/uapi.ts';
import type { IommufdContext } from './context.ts';
import type { UnmapProgress } from './io-pagetable.ts';
import type { Ioas } from './ioas.ts';
import { mapUserMemory } from './ioas-requests.ts';
import { LAST_IOVA } from './iova-ranges.ts';

const API_VERSION = 0;
const PAGE_MASK = LAST_IOVA & ~0xfffn;
/** VFIO_DMA_MAP_FLAG_READ, _WRITE; VFIO_DMA_UNMAP_FLAG_ALL. */
const MAP_READ = 1;
const MAP_WRITE = 2;
const UNMAP_ALL = 2;
/** Capabilities of GET_INFO: header of 8 bytes, then {avail, pad}, or {count, pad} and 16 bytes for each range. */
const DMA_AVAILABLE_BYTES = 16;
const IOVA_RANGE_BYTES = 16;
const NO_LIMIT = 0xffffffff;

/** The IOAS that stands in for the container. @throws KernelError ENODEV */
export function compatibilityIoas(context: IommufdContext): Ioas {
  if (context.vfioIoas !== undefined) return context.vfioIoas;
  throw new KernelError(
    'ENODEV',
    'no compatibility IOAS',
    'no group has made this descriptor its container, and none was chosen with VFIO_IOAS',
    'Set the container of a group first.',
  );
}

/** VFIO_IOAS_*. */
export const VfioIoasOperation = { get: 0, set: 1, clear: 2 } as const;

/** VFIO_IOAS: asks for, chooses or drops the IOAS of the compatibility. @returns the number for a get. */
export function vfioIoas(
  context: IommufdContext,
  request: { readonly operation: number; readonly ioas: number; readonly reserved?: number },
): number | undefined {
  return context.call('IOMMU_VFIO_IOAS', request, () => {
    if ((request.reserved ?? 0) === 0) {
      switch (request.operation) {
        case VfioIoasOperation.get:
          return compatibilityIoas(context).id;
        case VfioIoasOperation.set:
          context.vfioIoas = context.ioas(request.ioas);
          return undefined;
        case VfioIoasOperation.clear:
          context.vfioIoas = undefined;
          return undefined;
      }
    }
    throw new KernelError(
      'EOPNOTSUPP',
      'unknown operation',
      `VFIO_IOAS has no operation ${request.operation}`,
    );
  });
}

/** A group joins: there is an IOAS from now on. */
export function createCompatibilityIoas(context: IommufdContext): void {
  if (context.vfioIoas === undefined) context.vfioIoas = context.createIoas();
}

/** VFIO_GET_API_VERSION. */
export function apiVersion(): number {
  return API_VERSION;
}

/** VFIO_CHECK_EXTENSION. @throws KernelError ENODEV: coherency is asked before there is an IOAS. */
export function checkExtension(context: IommufdContext, extension: number): number {
  switch (extension) {
    case Extension.TYPE1_IOMMU:
    case Extension.TYPE1v2_IOMMU:
    case Extension.UNMAP_ALL:
      return 1;
    case Extension.DMA_CC_IOMMU:
      return compatibilityIoas(context).pageTables.every((hwpt) => hwpt.enforcesCoherency) ? 1 : 0;
    default:
      return 0;
  }
}

/**
 * VFIO_SET_IOMMU. Type 1 may cut mappings: large pages go off for it.
 * @throws KernelError EINVAL for other types, or when page tables hold mappings with large pages; ENODEV before a group.
 */
export function setIommu(context: IommufdContext, type: number): void {
  return context.call('VFIO_SET_IOMMU', { type }, () => {
    if (type !== Extension.TYPE1_IOMMU && type !== Extension.TYPE1v2_IOMMU)
      throw new KernelError('EINVAL', 'IOMMU type', `type ${type} is not offered by IOMMUFD`);
    const { table } = compatibilityIoas(context);
    if (type === Extension.TYPE1_IOMMU) table.setLargePages(false);
  });
}

export interface CompatibilityInfo {
  /** Length of the whole answer, capabilities included. */
  readonly argsz: number;
  readonly pageSizes: bigint;
  /** Mappings that may still be made: there is no limit. */
  readonly available: number;
  readonly ranges: readonly { start: bigint; last: bigint }[];
}

/** VFIO_IOMMU_GET_INFO. @throws KernelError EINVAL below 16 bytes, ENODEV */
export function iommuInfo(context: IommufdContext, argsz: number): CompatibilityInfo {
  if (argsz < StructureBytes.iommuInfoMinimum)
    throw new KernelError('EINVAL', 'structure size', `argsz ${argsz} is too small`);
  const { table } = compatibilityIoas(context);
  let pageSizes = LAST_IOVA;
  for (const domain of table.domains) pageSizes &= domain.pageSizes;
  // Pages smaller than the CPU's stand for one of its size.
  if ((pageSizes & ~PAGE_MASK) !== 0n) pageSizes = (pageSizes & PAGE_MASK) | 0x1000n;
  if (table.iovaAlignment > pageSizes) pageSizes = table.iovaAlignment;
  const ranges = table.limits.freeRanges();
  return {
    argsz: StructureBytes.iommuInfo + DMA_AVAILABLE_BYTES + 16 + ranges.length * IOVA_RANGE_BYTES,
    pageSizes,
    available: NO_LIMIT,
    ranges,
  };
}

/** VFIO_IOMMU_MAP_DMA. @throws KernelError EINVAL (size, flags), ENODEV, and as IOAS_MAP at a fixed address. */
export function mapDma(
  context: IommufdContext,
  process: Process,
  request: {
    readonly argsz: number;
    readonly flags: number;
    readonly vaddr: bigint;
    readonly iova: bigint;
    readonly size: bigint;
  },
): void {
  return context.call('VFIO_IOMMU_MAP_DMA', request, () => {
    checkRequest(request.argsz, StructureBytes.mapDma, request.flags, MAP_READ | MAP_WRITE);
    const prot =
      ((request.flags & MAP_READ) !== 0 ? IommuProt.read : 0) |
      ((request.flags & MAP_WRITE) !== 0 ? IommuProt.write : 0);
    mapUserMemory(context, process, compatibilityIoas(context), {
      userVa: request.vaddr,
      length: request.size,
      iova: request.iova,
      prot,
    });
  });
}

/** What the size field holds after the request. */
export interface UnmapSize {
  size: bigint;
}

/**
 * VFIO_IOMMU_UNMAP_DMA. With large pages off (type 1), mappings are cut at both ends of the range first.
 * @param written the request's size field: set to the bytes unmapped, on most errors too.
 * @throws KernelError EINVAL (structure size, flags, ALL with a range, a cut that is not possible), ENODEV, and as unmap.
 */
export function unmapDma(
  context: IommufdContext,
  request: { readonly argsz: number; readonly flags: number; readonly iova: bigint },
  written: UnmapSize,
): void {
  return context.call('VFIO_IOMMU_UNMAP_DMA', { ...request, size: written.size }, () => {
    checkRequest(request.argsz, StructureBytes.unmapDma, request.flags, UNMAP_ALL);
    const { table } = compatibilityIoas(context);
    const { iova } = request;
    const { size } = written;
    const all = (request.flags & UNMAP_ALL) !== 0;
    if (all && (iova !== 0n || size !== 0n))
      throw new KernelError('EINVAL', 'unmap everything', 'ALL takes neither address nor size');
    if (!all && !table.largePages) {
      const cuts = [(iova + size - 1n) & LAST_IOVA];
      if (iova !== 0n) cuts.push(iova - 1n);
      table.cut(cuts);
    }
    const progress: UnmapProgress = { unmapped: 0n };
    try {
      if (all) table.unmapAll(progress);
      else table.unmap(iova, size, progress);
    } finally {
      written.size = progress.unmapped;
    }
  });
}

function checkRequest(argsz: number, bytes: number, flags: number, known: number): void {
  if (argsz < bytes || (flags & ~known) !== 0)
    throw new KernelError(
      'EINVAL',
      argsz < bytes ? 'structure size' : 'unknown flags',
      argsz < bytes
        ? `argsz ${argsz} is too small`
        : `flags 0x${(flags >>> 0).toString(16)} are not all known`,
    );
}

/** VFIO_IOMMU_DIRTY_PAGES: not offered here. @throws KernelError ENOTTY */
export function dirtyPages(): never {
  throw new KernelError(
    'ENOTTY',
    'type1 dirty tracking',
    'IOMMUFD tracks written pages by page table, not by container',
    'Use HWPT_SET_DIRTY_TRACKING and HWPT_GET_DIRTY_BITMAP.',
  );
}
