/**
 * Accesses: how the driver of an emulated device (an mdev) uses an IOAS from software. It pins pages or copies bytes;
 * when addresses are unmapped it is asked to let go (iommufd_access_*, drivers/iommu/iommufd/device.c).
 */
import type { Frame } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import { IommuProt } from '../iommu/types.ts';
import type { Process } from '../process/process.ts';
import { type Area, type AreaSlice, pageIndexAt } from './area-tree.ts';
import type { IommufdContext } from './context.ts';
import type { IopAccess } from './io-pagetable.ts';
import { Ioas } from './ioas.ts';
import { IommufdObject } from './objects.ts';
import { readPages, writePages } from './page-content.ts';

export interface AccessOperations {
  /** The driver pins pages: mappings must then be whole pages. */
  readonly needsPinPages: boolean;
  /** These addresses go: unpin everything in them. */
  unmap?(iova: bigint, length: bigint): void;
}

const LAST = (1n << 64n) - 1n;

export class IommufdAccess extends IommufdObject implements IopAccess {
  readonly type = 'access';
  readonly context: IommufdContext;
  readonly iovaAlignment: bigint;
  private readonly operations: AccessOperations;
  private current: Ioas | undefined;

  private constructor(context: IommufdContext, operations: AccessOperations) {
    super();
    this.context = context;
    this.operations = operations;
    this.iovaAlignment = operations.needsPinPages ? 4096n : 1n;
    this.users = 2;
  }

  /** iommufd_access_create: no ownership of any device is claimed. */
  static create(context: IommufdContext, operations: AccessOperations): IommufdAccess {
    context.file.get();
    return context.objects.add(new IommufdAccess(context, operations));
  }

  /** iommufd_access_destroy. */
  close(): void {
    this.users -= 1;
    this.context.objects.remove(this);
    this.context.file.put();
  }

  destroy(): void {
    if (this.current !== undefined) this.change(undefined);
  }

  get ioas(): Ioas | undefined {
    return this.current;
  }

  /** @throws KernelError EINVAL when one is attached, ENOENT when the number is no IOAS, EADDRINUSE */
  attach(ioasId: number): void {
    if (this.current !== undefined)
      throw new KernelError('EINVAL', 'access attached', 'the access has an address space already');
    this.change(this.context.objects.get(ioasId, Ioas, 'an IOAS'));
  }

  /** @throws KernelError ENOENT when none is attached or the number is no IOAS. */
  replace(ioasId: number): void {
    if (this.current === undefined)
      throw new KernelError('ENOENT', 'access not attached', 'the access has no address space');
    this.change(this.context.objects.get(ioasId, Ioas, 'an IOAS'));
  }

  detach(): void {
    if (this.current !== undefined) this.change(undefined);
  }

  /** Called by the IOAS: addresses go. */
  unmap(iova: bigint, length: bigint): void {
    this.operations.unmap?.(iova, length);
  }

  /**
   * Pins the pages behind a range. @returns their frames, one for each page of memory touched.
   * @throws KernelError EINVAL for length 0, an area being unmapped, or memory not made of whole pages; ENOENT not
   * mapped; EPERM write wanted on memory that was mapped without; EOVERFLOW; EFAULT and ENOMEM of pinning.
   */
  pin(iova: bigint, length: bigint, write: boolean): Frame[] {
    if (!this.operations.needsPinPages || this.operations.unmap === undefined)
      throw new KernelError('EINVAL', 'access without pins', 'the driver said that it pins no pages');
    const ioas = this.checkRange(iova, length);
    const { slices, done } = ioas.table.coveredPrefix(iova, length);
    const frames: Frame[] = [];
    const pinned: AreaSlice[] = [];
    try {
      slices.forEach((slice, index) => {
        const isLast = done && index === slices.length - 1;
        this.pinSlice(slice, isLast, write, frames);
        pinned.push(slice);
      });
      if (!done) throw notMapped(iova, length);
    } catch (error) {
      for (const slice of pinned) unpinSlice(slice);
      throw error;
    }
    return frames;
  }

  private pinSlice(slice: AreaSlice, isLast: boolean, write: boolean, frames: Frame[]): void {
    const { area } = slice;
    const startByte = area.startByte + (slice.iova - area.iova);
    const endByte = area.startByte + (area.last - area.iova) + 1n;
    if (area.preventAccess || startByte % 4096n !== 0n || (!isLast && endByte % 4096n !== 0n))
      throw new KernelError(
        'EINVAL',
        'pin of part pages',
        area.preventAccess ? 'the area is being unmapped' : 'areas in the range are not made of whole pages',
      );
    checkRights(area, write);
    const [first, count] = slicePages(slice);
    area.pages.hold(first, count);
    try {
      area.pages.settle();
    } catch (error) {
      area.pages.drop(first, count);
      area.pages.settle();
      throw error;
    }
    area.accesses += 1;
    for (let index = first; index < first + count; index += 1) frames.push(area.pages.frame(index));
  }

  /** Gives back what `pin` took for the same range. */
  unpin(iova: bigint, length: bigint): void {
    if (this.current === undefined || length === 0n) return;
    for (const slice of this.current.table.coveredPrefix(iova, length).slices) unpinSlice(slice);
  }

  /**
   * Copies out of the address space. `process` is who runs: memory of its own is read through its addresses, that of
   * others through the pages. @throws KernelError EINVAL, ENOENT, EOVERFLOW, EPERM (mapped without READABLE), EFAULT
   */
  read(process: Process | undefined, iova: bigint, length: bigint): Uint8Array {
    const result = new Uint8Array(Number(length));
    this.eachSlice(iova, length, (area, startByte, offset, bytes) => {
      checkRights(area, false);
      result.set(readPages(area.pages, startByte, bytes, process), offset);
    });
    return result;
  }

  /** Copies into it; EPERM where the memory was mapped without WRITEABLE. Bytes before an error are written. */
  write(process: Process | undefined, iova: bigint, data: Uint8Array): void {
    this.eachSlice(iova, BigInt(data.length), (area, startByte, offset, bytes) => {
      checkRights(area, true);
      writePages(area.pages, startByte, data.subarray(offset, offset + bytes), process);
    });
  }

  private eachSlice(
    iova: bigint,
    length: bigint,
    act: (area: Area, startByte: bigint, offset: number, bytes: number) => void,
  ): void {
    const ioas = this.checkRange(iova, length);
    const { slices, done } = ioas.table.coveredPrefix(iova, length);
    for (const slice of slices) {
      const { area } = slice;
      if (area.preventAccess) throw new KernelError('EINVAL', 'area in use', 'the area is being unmapped');
      act(
        area,
        area.startByte + (slice.iova - area.iova),
        Number(slice.iova - iova),
        Number(slice.last - slice.iova + 1n),
      );
    }
    if (!done) throw notMapped(iova, length);
  }

  private checkRange(iova: bigint, length: bigint): Ioas {
    if (length === 0n) throw new KernelError('EINVAL', 'length', 'an access has at least one byte');
    if (iova + length - 1n > LAST)
      throw new KernelError('EOVERFLOW', 'iova wraps', `0x${iova.toString(16)} + ${length} is beyond 2^64`);
    if (this.current === undefined)
      throw new KernelError('ENOENT', 'access not attached', 'the access has no address space');
    return this.current;
  }

  /** iommufd_access_change_ioas: the new one first, then everything pinned in the old one is asked back. */
  private change(next: Ioas | undefined): void {
    const old = this.current;
    if (old === next) return;
    if (next !== undefined) {
      next.table.addAccess(this);
      next.users += 1;
    }
    if (old !== undefined) {
      this.operations.unmap?.(0n, LAST);
      old.table.removeAccess(this);
      old.users -= 1;
    }
    this.current = next;
  }
}

/** What the area allows, not only its memory: a copy may allow less. @throws KernelError EPERM */
function checkRights(area: Area, write: boolean): void {
  const wanted = write ? IommuProt.write : IommuProt.read;
  if ((area.prot & wanted) === 0 || (write && !area.pages.writable))
    throw new KernelError(
      'EPERM',
      'rights of the mapping',
      `the memory was mapped without ${write ? 'WRITEABLE' : 'READABLE'}`,
    );
}

function slicePages(slice: AreaSlice): [first: number, count: number] {
  const first = pageIndexAt(slice.area, slice.iova);
  return [first, pageIndexAt(slice.area, slice.last) - first + 1];
}

function unpinSlice(slice: AreaSlice): void {
  const [first, count] = slicePages(slice);
  slice.area.pages.drop(first, count);
  slice.area.pages.settle();
  slice.area.accesses -= 1;
}

function notMapped(iova: bigint, length: bigint): KernelError {
  return new KernelError(
    'ENOENT',
    'iova not mapped',
    `0x${iova.toString(16)} + 0x${length.toString(16)} is not mapped throughout`,
  );
}
