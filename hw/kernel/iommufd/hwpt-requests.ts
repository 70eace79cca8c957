/** Requests about page tables and devices: HWPT_*, GET_HW_INFO, FAULT_QUEUE_ALLOC, DESTROY. */
import { KernelError } from '../errno.ts';
import type { IommufdContext } from './context.ts';
import { IommufdDevice } from './device.ts';
import type { UserData } from './device-iommu.ts';
import { IovaBitmap } from './dirty-bitmap.ts';
import { FaultQueue } from './fault-queue.ts';
import { allocateNested, allocatePaging, type Hwpt, HwptFlag, HwptNested, HwptPaging } from './hwpt.ts';
import { Ioas } from './ioas.ts';
import { refuseUnknown } from './ioas-requests.ts';
import { LAST_IOVA } from './iova-ranges.ts';
import type { DirtyTracking } from './paging-domain.ts';

/** IOMMU_HWPT_DATA_NONE. */
const DATA_NONE = 0;
/** IOMMU_HW_CAP_*. */
export const HardwareCapability = {
  dirtyTracking: 1,
  pasidExecute: 2,
  pasidPrivileged: 4,
  atsNotSupported: 8,
} as const;

const MOST_INVALIDATIONS = 1 << 19;
const MOST_ENTRY_BYTES = 4096;

function device(context: IommufdContext, id: number): IommufdDevice {
  return context.objects.get(id, IommufdDevice, 'a device');
}

function paging(context: IommufdContext, id: number): HwptPaging {
  return context.objects.get(id, HwptPaging, 'a page table on an IOAS');
}

/**
 * HWPT_ALLOC. `dataBytes` is what the request points at, of the length it says.
 * @returns number of the page table. @throws KernelError EINVAL (data, page table of the wrong kind or unknown), ENOENT
 * (device, fault queue), EOPNOTSUPP (flags, data), and those of filling the page table.
 */
export function hwptAlloc(
  context: IommufdContext,
  request: {
    readonly flags: number;
    readonly device: number;
    readonly pageTable: number;
    readonly dataType: number;
    readonly data: Uint8Array;
    readonly faultQueue?: number;
    readonly reserved?: number;
  },
): number {
  return context.call('IOMMU_HWPT_ALLOC', request, () => {
    refuseUnknown(request.reserved ?? 0, 0, 'HWPT_ALLOC');
    if ((request.dataType === DATA_NONE) !== (request.data.length === 0))
      throw new KernelError('EINVAL', 'page table data', 'a type of data goes with data, no type with none');
    const owner = device(context, request.device);
    const below = context.objects.find(request.pageTable);
    const data: UserData | undefined =
      request.data.length === 0 ? undefined : { type: request.dataType, bytes: request.data };
    let hwpt: Hwpt;
    if (below instanceof Ioas)
      hwpt = allocatePaging(context.objects, owner.iommu, below, owner, request.flags, data);
    else if (below instanceof HwptPaging)
      hwpt = allocateNested(context.objects, owner.iommu, below, owner, request.flags, data);
    else
      throw new KernelError(
        'EINVAL',
        'no page table below',
        below === undefined
          ? `object ${request.pageTable} does not exist in this descriptor`
          : `object ${request.pageTable} is a ${below.type}: name an IOAS or a nesting parent`,
      );
    if ((request.flags & HwptFlag.faultIdValid) !== 0) {
      try {
        hwpt.setFaultQueue(context.objects.get(request.faultQueue ?? 0, FaultQueue, 'a fault queue'));
      } catch (error) {
        context.objects.remove(hwpt);
        throw error;
      }
    }
    return hwpt.id;
  });
}

/**
 * HWPT_INVALIDATE. `entries`: undefined when the request points nowhere.
 * @param handled receives how many entries were handled, on an error too.
 * @throws KernelError EINVAL (no entries where some are announced, an entry length of 0 or beyond 4096, too many, a
 * page table that is not nested), ENOENT, and those of the driver.
 */
export function hwptInvalidate(
  context: IommufdContext,
  request: {
    readonly hwpt: number;
    readonly dataType: number;
    readonly entryLength: number;
    readonly entryCount: number;
    readonly entries: readonly Uint8Array[] | undefined;
    readonly reserved?: number;
  },
  handled: { count: number },
): void {
  return context.call('IOMMU_HWPT_INVALIDATE', request, () => {
    handled.count = 0;
    refuseUnknown(request.reserved ?? 0, 0, 'HWPT_INVALIDATE');
    const { entryCount, entryLength } = request;
    if (entryCount > 0 && (request.entries === undefined || entryLength === 0))
      throw new KernelError('EINVAL', 'invalidation entries', 'entries are announced, but there are none');
    if (entryCount > MOST_INVALIDATIONS || entryLength > MOST_ENTRY_BYTES)
      throw new KernelError(
        'EINVAL',
        'invalidation entries',
        `at most ${MOST_INVALIDATIONS} entries of ${MOST_ENTRY_BYTES} bytes are taken`,
      );
    const object = context.objects.find(request.hwpt);
    if (object === undefined)
      throw new KernelError('ENOENT', 'no such object', `object ${request.hwpt} does not exist`);
    if (!(object instanceof HwptNested))
      throw new KernelError(
        'EINVAL',
        'nothing to invalidate',
        `object ${request.hwpt} is a ${object.type}: only the user's own tables are invalidated by the user`,
      );
    object.invalidate({ dataType: request.dataType, entryLength, entries: request.entries ?? [] }, handled);
  });
}

function dirtyOperations(hwpt: HwptPaging): DirtyTracking {
  if (hwpt.domain.dirty !== undefined) return hwpt.domain.dirty;
  throw new KernelError(
    'EOPNOTSUPP',
    'no dirty tracking',
    `page table ${hwpt.id} does not mark written pages`,
    'Allocate it with the flag DIRTY_TRACKING, on a unit that can.',
  );
}

/** HWPT_SET_DIRTY_TRACKING: switching on starts from a clean state. @throws KernelError EOPNOTSUPP, ENOENT */
export function hwptSetDirtyTracking(
  context: IommufdContext,
  request: { readonly hwpt: number; readonly flags: number; readonly reserved?: number },
): void {
  return context.call('IOMMU_HWPT_SET_DIRTY_TRACKING', request, () => {
    refuseUnknown(request.flags, 1, 'HWPT_SET_DIRTY_TRACKING');
    refuseUnknown(request.reserved ?? 0, 0, 'HWPT_SET_DIRTY_TRACKING');
    const hwpt = paging(context, request.hwpt);
    const operations = dirtyOperations(hwpt);
    const enable = request.flags === 1;
    if (enable) {
      for (const area of hwpt.ioas.table.allAreas())
        operations.readAndClear(area.iova, area.last - area.iova + 1n, () => {}, false);
    }
    operations.setTracking(enable);
  });
}

/**
 * HWPT_GET_DIRTY_BITMAP: 64-bit words, one bit for each page of the user's page size. Reading stops at the first hole;
 * that is no error.
 * @throws KernelError EOPNOTSUPP, ENOENT, EOVERFLOW for length 0 or beyond 2^64, EINVAL when the range is no multiple of
 * the smallest page or of the page size asked for.
 */
export function hwptGetDirtyBitmap(
  context: IommufdContext,
  request: {
    readonly hwpt: number;
    readonly flags: number;
    readonly iova: bigint;
    readonly length: bigint;
    readonly pageSize: bigint;
    readonly reserved?: number;
  },
): BigUint64Array {
  return context.call('IOMMU_HWPT_GET_DIRTY_BITMAP', request, () => {
    refuseUnknown(request.flags, 1, 'HWPT_GET_DIRTY_BITMAP');
    refuseUnknown(request.reserved ?? 0, 0, 'HWPT_GET_DIRTY_BITMAP');
    const hwpt = paging(context, request.hwpt);
    const { table } = hwpt.ioas;
    const { iova, length, pageSize } = request;
    // Length 0 is 2^64 - 1 after subtracting one, and overflows with any address but 0.
    const last = iova + ((length - 1n) & LAST_IOVA);
    if (last > LAST_IOVA)
      throw new KernelError('EOVERFLOW', 'iova wraps', `0x${iova.toString(16)} + ${length} is beyond 2^64`);
    const end = (last + 1n) & LAST_IOVA;
    const misfits = (alignment: bigint): boolean => ((iova | end) & (alignment - 1n)) !== 0n;
    if (misfits(table.iovaAlignment) || pageSize === 0n || misfits(pageSize))
      throw new KernelError(
        'EINVAL',
        'dirty bitmap range',
        `0x${iova.toString(16)} + ${length} is no multiple of ${pageSize} bytes, or of the smallest page`,
      );
    const operations = dirtyOperations(hwpt);
    const bitmap = new IovaBitmap(iova, length, pageSize);
    for (const slice of table.coveredPrefix(iova, length).slices)
      operations.readAndClear(
        slice.iova,
        slice.last - slice.iova + 1n,
        (start, bytes) => bitmap.record(start, bytes),
        request.flags === 1,
      );
    return bitmap.words;
  });
}

export interface HardwareInfoAnswer {
  readonly type: number;
  /** The driver's data, cut to the room of the request. */
  readonly bytes: Uint8Array;
  /** Its real length. */
  readonly length: number;
  readonly pasidBits: number;
  readonly capabilities: number;
}

/** GET_HW_INFO. @param room bytes the request has room for. @throws KernelError ENOENT, EOPNOTSUPP */
export function getHardwareInfo(
  context: IommufdContext,
  request: {
    readonly device: number;
    readonly flags: number;
    readonly room: number;
    readonly type?: number;
    readonly reserved?: number;
  },
): HardwareInfoAnswer {
  return context.call('IOMMU_GET_HW_INFO', request, () => {
    refuseUnknown(request.flags, 1, 'GET_HW_INFO');
    refuseUnknown(request.reserved ?? 0, 0, 'GET_HW_INFO');
    const bound = device(context, request.device);
    const { iommu } = bound;
    // A wish for a type counts only with the flag that says so.
    const info = iommu.hardwareInfo(bound.device, request.flags === 1 ? (request.type ?? 0) : 0);
    const pasid = iommu.pasidSupport(bound.device);
    const capability = (holds: boolean, bit: number): number => (holds ? bit : 0);
    return {
      type: info.type,
      bytes: info.bytes.subarray(0, Math.min(request.room, info.bytes.length)),
      length: info.bytes.length,
      pasidBits: pasid.count === 0 ? 0 : 31 - Math.clz32(pasid.count),
      capabilities:
        capability(iommu.canTrackDirty(bound.device), HardwareCapability.dirtyTracking) |
        capability(pasid.execute, HardwareCapability.pasidExecute) |
        capability(pasid.privileged, HardwareCapability.pasidPrivileged) |
        capability(!iommu.hasAts(bound.device), HardwareCapability.atsNotSupported),
    };
  });
}

/** FAULT_QUEUE_ALLOC: the object, whose descriptor is `file`. @throws KernelError EOPNOTSUPP */
export function faultQueueAlloc(context: IommufdContext, request: { readonly flags: number }): FaultQueue {
  return context.call('IOMMU_FAULT_QUEUE_ALLOC', request, () => {
    refuseUnknown(request.flags, 0, 'FAULT_QUEUE_ALLOC');
    return context.createFaultQueue();
  });
}

/** DESTROY. @throws KernelError ENOENT, EBUSY */
export function destroy(context: IommufdContext, id: number): void {
  context.call('IOMMU_DESTROY', { id }, () => context.objects.destroy(id));
}

/** IOAS_ALLOC. @returns the number. @throws KernelError EOPNOTSUPP */
export function ioasAlloc(context: IommufdContext, request: { readonly flags: number }): number {
  return context.call('IOMMU_IOAS_ALLOC', request, () => {
    refuseUnknown(request.flags, 0, 'IOAS_ALLOC');
    return context.createIoas().id;
  });
}

/** VIOMMU_ALLOC: no kind of virtual IOMMU exists for VT-d. @throws KernelError ENOENT, EOPNOTSUPP */
export function viommuAlloc(
  context: IommufdContext,
  request: { readonly device: number; readonly type: number },
): never {
  const bound = device(context, request.device);
  throw new KernelError(
    'EOPNOTSUPP',
    'no virtual IOMMU',
    `the IOMMU behind ${bound.device.name} offers no virtual IOMMU of type ${request.type}`,
    'Nest page tables instead (HWPT_ALLOC with NEST_PARENT, then with data of type 1).',
  );
}
