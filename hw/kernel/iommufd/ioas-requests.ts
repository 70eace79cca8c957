/** The IOAS_* requests and OPTION (drivers/iommu/iommufd/ioas.c). Addresses are bytes to 2^64 - 1. */
import { KernelError } from '../errno.ts';
import { IommuProt } from '../iommu/types.ts';
import type { OpenFileObject } from '../process/file.ts';
import { MemoryFile } from '../process/memory-file.ts';
import type { Process } from '../process/process.ts';
import type { IommufdContext } from './context.ts';
import type { PageSlice } from './io-pagetable.ts';
import type { Ioas } from './ioas.ts';
import { IovaRanges, LAST_IOVA } from './iova-ranges.ts';
import { type AccountMode, type PageSource, SharedPages } from './pages.ts';

/** IOMMU_IOAS_MAP_*. */
export const MapFlag = { fixedIova: 1, writeable: 2, readable: 4 } as const;
const MAP_FLAGS = 7;
const PAGE = 4096n;

/** Flags of the request that carry no known meaning. @throws KernelError EOPNOTSUPP */
export function refuseUnknown(flags: number, known: number, what: string): void {
  if ((flags & ~known) !== 0 || flags > 0xffffffff)
    throw new KernelError(
      'EOPNOTSUPP',
      'unknown flags',
      `${what}: flags 0x${(flags >>> 0).toString(16)} are not all known`,
    );
}

function tooLarge(...values: bigint[]): void {
  if (values.some((value) => value >= LAST_IOVA))
    throw new KernelError('EOVERFLOW', 'address range', 'an address or a length of 2^64 - 1 is too large');
}

/** Device rights of a mapping. @throws KernelError EINVAL with neither right. */
function protection(flags: number): number {
  const prot =
    ((flags & MapFlag.readable) !== 0 ? IommuProt.read : 0) |
    ((flags & MapFlag.writeable) !== 0 ? IommuProt.write : 0);
  if (prot === 0)
    throw new KernelError('EINVAL', 'mapping rights', 'a mapping is readable, writeable or both');
  return prot;
}

/**
 * iopt_alloc_user_pages and iopt_alloc_file_pages: what a mapping of this memory shows. Nothing is pinned yet.
 * @throws KernelError EOVERFLOW when the memory wraps, EINVAL for length 0 or nearly 2^64.
 */
function makePages(
  context: IommufdContext,
  process: Process,
  source: (firstPage: number) => PageSource,
  start: bigint,
  length: bigint,
  writable: boolean,
): PageSlice {
  if (start + length > LAST_IOVA)
    throw new KernelError('EOVERFLOW', 'memory range', `0x${start.toString(16)} + ${length} is beyond 2^64`);
  if (length === 0n || length > LAST_IOVA - PAGE)
    throw new KernelError('EINVAL', 'mapping length', `${length} bytes`);
  const startByte = start % PAGE;
  const mode: AccountMode = process.capable('CAP_IPC_LOCK') ? 'none' : context.accountMode;
  const pages = new SharedPages(
    process,
    context.module.accounts,
    source(Number(start / PAGE)),
    Number((startByte + length + PAGE - 1n) / PAGE),
    writable,
    mode,
  );
  return { pages, startByte, length };
}

function mapSlice(ioas: Ioas, slice: PageSlice, iova: bigint | undefined, prot: number): bigint {
  try {
    return ioas.table.map([slice], slice.length, iova, prot);
  } finally {
    // The areas hold the pages now; a failed mapping holds nothing.
    slice.pages.put();
  }
}

/** Maps memory of the process. Shared with the VFIO compatibility. */
export function mapUserMemory(
  context: IommufdContext,
  process: Process,
  ioas: Ioas,
  request: { userVa: bigint; length: bigint; iova: bigint | undefined; prot: number },
): bigint {
  const slice = makePages(
    context,
    process,
    (firstPage) => ({ kind: 'user', firstPage }),
    request.userVa,
    request.length,
    (request.prot & IommuProt.write) !== 0,
  );
  return mapSlice(ioas, slice, request.iova, request.prot);
}

export interface MapRequest {
  readonly ioas: number;
  readonly flags: number;
  readonly reserved?: number;
  readonly length: bigint;
  readonly iova: bigint;
}

/** IOAS_MAP. @returns the I/O address. */
export function ioasMap(
  context: IommufdContext,
  process: Process,
  request: MapRequest & { readonly userVa: bigint },
): bigint {
  return context.call('IOMMU_IOAS_MAP', request, () => {
    refuseUnknown(request.flags, MAP_FLAGS, 'IOAS_MAP');
    refuseUnknown(request.reserved ?? 0, 0, 'IOAS_MAP');
    tooLarge(request.iova, request.length);
    const prot = protection(request.flags);
    const ioas = context.ioas(request.ioas);
    return mapUserMemory(context, process, ioas, {
      userVa: request.userVa,
      length: request.length,
      iova: (request.flags & MapFlag.fixedIova) !== 0 ? request.iova : undefined,
      prot,
    });
  });
}

/**
 * IOAS_MAP_FILE. Any open file is taken; that it has no pages to pin shows when something pins them.
 * @returns the I/O address. @throws KernelError EBADF
 */
export function ioasMapFile(
  context: IommufdContext,
  process: Process,
  request: MapRequest & { readonly descriptor: number; readonly start: bigint },
): bigint {
  return context.call('IOMMU_IOAS_MAP_FILE', request, () => {
    refuseUnknown(request.flags, MAP_FLAGS, 'IOAS_MAP_FILE');
    tooLarge(request.iova, request.length);
    const prot = protection(request.flags);
    const ioas = context.ioas(request.ioas);
    const object: OpenFileObject = process.descriptors.file(request.descriptor).object;
    const slice = makePages(
      context,
      process,
      (firstPage) => ({
        kind: 'file',
        file: object instanceof MemoryFile ? object.get() : undefined,
        firstPage,
      }),
      request.start,
      request.length,
      (prot & IommuProt.write) !== 0,
    );
    const iova = (request.flags & MapFlag.fixedIova) !== 0 ? request.iova : undefined;
    return mapSlice(ioas, slice, iova, prot);
  });
}

/** IOAS_COPY: shows what one IOAS maps in another (or the same) as well. @returns the address in the target. */
export function ioasCopy(
  context: IommufdContext,
  request: {
    readonly flags: number;
    readonly target: number;
    readonly source: number;
    readonly length: bigint;
    readonly targetIova: bigint;
    readonly sourceIova: bigint;
  },
): bigint {
  return context.call('IOMMU_IOAS_COPY', request, () => {
    refuseUnknown(request.flags, MAP_FLAGS, 'IOAS_COPY');
    tooLarge(request.length, request.sourceIova, request.targetIova);
    const prot = protection(request.flags);
    const slices = context.ioas(request.source).table.slices(request.sourceIova, request.length);
    const target = context.ioas(request.target);
    const iova = (request.flags & MapFlag.fixedIova) !== 0 ? request.targetIova : undefined;
    return target.table.map(slices, request.length, iova, prot);
  });
}

/** IOAS_UNMAP: 0 and 2^64 - 1 mean everything. @returns bytes unmapped. @throws KernelError ENOENT for nothing */
export function ioasUnmap(
  context: IommufdContext,
  request: { readonly ioas: number; readonly iova: bigint; readonly length: bigint },
): bigint {
  return context.call('IOMMU_IOAS_UNMAP', request, () => {
    const { table } = context.ioas(request.ioas);
    if (request.iova === 0n && request.length === LAST_IOVA) return table.unmapAll();
    tooLarge(request.iova, request.length);
    const unmapped = table.unmap(request.iova, request.length);
    if (unmapped === 0n)
      throw new KernelError(
        'ENOENT',
        'nothing mapped',
        `nothing is mapped at 0x${request.iova.toString(16)}`,
      );
    return unmapped;
  });
}

/** IOAS_IOVA_RANGES. The caller gives as many as there is room for, and EMSGSIZE when there are more. */
export function ioasIovaRanges(
  context: IommufdContext,
  request: { readonly ioas: number; readonly reserved?: number },
): { ranges: { start: bigint; last: bigint }[]; alignment: bigint } {
  return context.call('IOMMU_IOAS_IOVA_RANGES', request, () => {
    refuseUnknown(request.reserved ?? 0, 0, 'IOAS_IOVA_RANGES');
    const { table } = context.ioas(request.ioas);
    return { ranges: table.limits.freeRanges(), alignment: table.iovaAlignment };
  });
}

/** What fits of a list is written; a longer one is EMSGSIZE, with the length needed. @throws KernelError EMSGSIZE */
export function checkRoom(needed: number, room: number): void {
  if (needed > room)
    throw new KernelError('EMSGSIZE', 'array too small', `${needed} ranges, room for ${room}`);
}

/** IOAS_ALLOW_IOVAS: replaces the whole list. @throws KernelError EINVAL (start ≥ last, overlap), EADDRINUSE */
export function ioasAllowIovas(
  context: IommufdContext,
  request: {
    readonly ioas: number;
    readonly reserved?: number;
    readonly ranges: readonly { readonly start: bigint; readonly last: bigint }[];
  },
): void {
  return context.call('IOMMU_IOAS_ALLOW_IOVAS', request, () => {
    refuseUnknown(request.reserved ?? 0, 0, 'IOAS_ALLOW_IOVAS');
    const { table } = context.ioas(request.ioas);
    const allowed = new IovaRanges();
    for (const { start, last } of request.ranges) {
      if (start >= last || allowed.firstIntersecting(start, last) !== undefined)
        throw new KernelError(
          'EINVAL',
          'allowed ranges',
          `0x${start.toString(16)} to 0x${last.toString(16)} is empty or overlaps another`,
        );
      allowed.add(start, last);
    }
    table.limits.allow(allowed);
  });
}

/** IOMMU_OPTION_*. */
export const OptionId = { rlimitMode: 0, hugePages: 1 } as const;

/** OPTION. @returns the value for a get. @throws KernelError EOPNOTSUPP, EPERM, EBUSY, EINVAL, ENOENT, EADDRINUSE */
export function option(
  context: IommufdContext,
  process: Process,
  request: {
    readonly option: number;
    readonly operation: number;
    readonly object: number;
    readonly value: bigint;
    readonly reserved?: number;
  },
): bigint | undefined {
  return context.call('IOMMU_OPTION', request, () => {
    refuseUnknown(request.reserved ?? 0, 0, 'OPTION');
    switch (request.option) {
      case OptionId.rlimitMode:
        refuseUnknown(request.object, 0, 'OPTION RLIMIT_MODE has no object');
        return rlimitMode(context, process, request.operation, request.value);
      case OptionId.hugePages:
        return hugePages(context.ioas(request.object), request.operation, request.value);
      default:
        throw new KernelError('EOPNOTSUPP', 'unknown option', `option ${request.option} is not known`);
    }
  });
}

function rlimitMode(
  context: IommufdContext,
  process: Process,
  operation: number,
  value: bigint,
): bigint | undefined {
  if (operation === 1) return context.accountMode === 'mm' ? 1n : 0n;
  refuseUnknown(operation, 0, 'OPTION operation');
  if (!process.capable('CAP_SYS_RESOURCE'))
    throw new KernelError(
      'EPERM',
      'CAP_SYS_RESOURCE',
      'the way of charging is the administrator’s to choose',
    );
  if (!context.objects.empty)
    throw new KernelError('EBUSY', 'objects exist', 'the way of charging is chosen before the first object');
  checkBoolean(value);
  context.accountMode = value === 1n ? 'mm' : 'user';
  return undefined;
}

function hugePages(ioas: Ioas, operation: number, value: bigint): bigint | undefined {
  if (operation === 1) return ioas.table.largePages ? 1n : 0n;
  refuseUnknown(operation, 0, 'OPTION operation');
  checkBoolean(value);
  ioas.table.setLargePages(value === 1n);
  return undefined;
}

function checkBoolean(value: bigint): void {
  if (value !== 0n && value !== 1n)
    throw new KernelError('EINVAL', 'option value', `${value} is neither 0 nor 1`);
}

/**
 * IOAS_CHANGE_PROCESS: after an exec the new process takes over the charge of everything that is mapped.
 * @throws KernelError EINVAL unless all mappings are of files, ENOMEM when the limit doesn't allow it.
 */
export function ioasChangeProcess(
  context: IommufdContext,
  process: Process,
  request: { readonly reserved?: number },
): void {
  return context.call('IOMMU_IOAS_CHANGE_PROCESS', request, () => {
    refuseUnknown(request.reserved ?? 0, 0, 'IOAS_CHANGE_PROCESS');
    const all = new Set<SharedPages>();
    for (const object of context.objects.all) {
      if (object.type !== 'ioas') continue;
      for (const area of (object as Ioas).table.allAreas()) {
        if (!area.pages.isFile)
          throw new KernelError(
            'EINVAL',
            'memory of the old process',
            'only mappings of files can move to another process',
          );
        all.add(area.pages);
      }
    }
    const moved: [SharedPages, Process][] = [];
    try {
      for (const pages of all) moved.push([pages, pages.moveTo(process)]);
    } catch (error) {
      for (const [pages, before] of moved.reverse()) pages.moveTo(before);
      throw error;
    }
  });
}
