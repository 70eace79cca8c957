/**
 * The address space of a process (struct mm_struct): areas of virtual memory, access to their content, and pinning of
 * pages for devices. Virtual addresses are byte addresses below 2^47, so Numbers; the hot path works on page numbers.
 */
import type { Frame } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import { type MemoryObject, PagedMemory } from './memory-object.ts';
import type { UserPages } from './user-pages.ts';

const PAGE = 4096;
/** First page that is no user space (TASK_SIZE_MAX with four-level paging). */
const END_PAGE = 0x7ffffffff;
/** Where mappings without a wish start; they grow upwards on 2 MiB boundaries. */
const BASE_PAGE = 0x100000;
const HUGE_PAGES = 512;

/** struct vm_area_struct. Pages, end exclusive. */
export interface MemoryArea {
  first: number;
  end: number;
  object: MemoryObject;
  /** Page of the object at `first`. */
  objectPage: number;
  readable: boolean;
  writable: boolean;
}

/** Pages that a pin found behind consecutive addresses: consecutive frames of one kind. Filled in place. */
export interface PinnedRun {
  frame: number;
  count: number;
  /** Device registers: no page to hold, nothing to charge (is_invalid_reserved_pfn). */
  reserved: boolean;
}

/** Access that an area allows. */
export type Protection = 'none' | 'r' | 'rw';

export class AddressSpace {
  readonly pages: UserPages;
  /** mm.locked_vm: pages that type1 charged to this process (VmLck). */
  lockedPages = 0;
  /** mm.pinned_vm: pages that IOMMUFD charged to this process (VmPin). */
  pinnedPages = 0;
  private areas: MemoryArea[] = [];
  private lastArea: MemoryArea | undefined;
  private gone = false;

  constructor(pages: UserPages) {
    this.pages = pages;
  }

  /** False after the process ended: pins stay, the memory can't be reached any more (mmget_not_zero fails). */
  get alive(): boolean {
    return !this.gone;
  }

  /** The areas in order of addresses. */
  get memoryAreas(): readonly Readonly<MemoryArea>[] {
    return this.areas;
  }

  /**
   * mmap: places an object at the first free 2 MiB boundary; the address space takes over the caller's reference.
   * @returns the byte address. @throws KernelError EINVAL for length 0, ENOMEM when no room is left.
   */
  map(object: MemoryObject, lengthBytes: number, protection: Protection = 'rw', objectPage = 0): number {
    const count = Math.ceil(lengthBytes / PAGE);
    if (!(count > 0)) throw new KernelError('EINVAL', 'mmap length', 'a mapping has at least one page');
    let first = BASE_PAGE;
    for (const area of this.areas) {
      if (area.first - first >= count) break;
      // One large page stays free between mappings: a run past the end of one never reaches the next.
      first = Math.max(first, Math.ceil(area.end / HUGE_PAGES) * HUGE_PAGES + HUGE_PAGES);
    }
    if (first + count > END_PAGE)
      throw new KernelError('ENOMEM', 'mmap room', `no ${lengthBytes} free bytes in the address space`);
    this.areas.push({
      first,
      end: first + count,
      object,
      objectPage,
      readable: protection !== 'none',
      writable: protection === 'rw',
    });
    this.areas.sort((a, b) => a.first - b.first);
    return first * PAGE;
  }

  /** Private anonymous memory of 4 KiB or 2 MiB pages. */
  mapAnonymous(
    lengthBytes: number,
    options: { huge?: boolean; protection?: Protection; shared?: boolean } = {},
  ): number {
    const object = new PagedMemory(this.pages, { isPrivate: options.shared !== true, huge: options.huge });
    return this.map(object, lengthBytes, options.protection ?? 'rw');
  }

  /** munmap. Holes are fine. @throws KernelError EINVAL for an unaligned address or length 0. */
  unmap(address: number, lengthBytes: number): void {
    const [first, end] = this.pageRange(address, lengthBytes, 'munmap');
    this.cut(first, end);
    for (const area of this.areas) {
      if (area.first < first || area.end > end) continue;
      if (area.object instanceof PagedMemory && area.object.isPrivate)
        area.object.discard(area.objectPage, area.end - area.first);
      area.object.put();
    }
    this.areas = this.areas.filter((area) => area.first < first || area.end > end);
    this.lastArea = undefined;
  }

  /** mprotect. @throws KernelError EINVAL for an unaligned address, ENOMEM when a part is not mapped. */
  protect(address: number, lengthBytes: number, protection: Protection): void {
    const [first, end] = this.pageRange(address, lengthBytes, 'mprotect');
    for (let page = first; page < end; ) {
      const area = this.area(page);
      if (area === undefined)
        throw new KernelError(
          'ENOMEM',
          'mprotect range',
          `nothing is mapped at 0x${(page * PAGE).toString(16)}`,
        );
      page = area.end;
    }
    this.cut(first, end);
    for (const area of this.areas) {
      if (area.first < first || area.end > end) continue;
      area.readable = protection !== 'none';
      area.writable = protection === 'rw';
    }
  }

  /**
   * pin_user_pages(FOLL_LONGTERM): finds the frames behind up to `max` pages from `page` on, as far as they follow
   * each other, and takes one reference on each. `run` is filled; at least one page is found or the call throws.
   * @throws KernelError EFAULT: nothing mapped, not readable, not writable though `write`, or registers switched off.
   */
  pin(page: number, max: number, write: boolean, run: PinnedRun): void {
    const area = this.area(page);
    if (area === undefined || this.gone || !area.readable || (write && !area.writable))
      this.fault(page, write);
    const offset = area.objectPage + page - area.first;
    const frame = area.object.frame(offset);
    if (frame < 0) this.fault(page, write);
    run.frame = frame;
    run.count = Math.min(max, area.end - page, area.object.run(offset));
    run.reserved = area.object.isDevice;
    if (!run.reserved) this.pages.get(frame as Frame, run.count);
  }

  /** unpin_user_pages on frames that follow each other. */
  unpin(frame: number, count: number): void {
    for (let done = 0; done < count; ) {
      const at = (frame + done) as Frame;
      const take = this.pages.isHuge(at) ? Math.min(count - done, HUGE_PAGES - (at % HUGE_PAGES)) : 1;
      this.pages.put(at, take);
      done += take;
    }
  }

  /** The frame behind a page as the CPU reaches it, made when missing. @throws KernelError EFAULT */
  frameAt(page: number, write: boolean): Frame {
    const area = this.area(page);
    if (area === undefined || this.gone || !area.readable || (write && !area.writable))
      this.fault(page, write);
    const frame = area.object.frame(area.objectPage + page - area.first);
    if (frame < 0) this.fault(page, write);
    return frame as Frame;
  }

  /** copy_from_user. @throws KernelError EFAULT */
  read(address: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const at = address + done;
      const offset = at % PAGE;
      const take = Math.min(lengthBytes - done, PAGE - offset);
      const frame = this.frameAt(Math.floor(at / PAGE), false);
      const part = this.pages.memory.read(frame * PAGE + offset, take);
      if (part !== undefined) bytes.set(part, done);
      done += take;
    }
    return bytes;
  }

  /** copy_to_user: pages before the one that faults are written. @throws KernelError EFAULT */
  write(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = address + done;
      const offset = at % PAGE;
      const take = Math.min(bytes.length - done, PAGE - offset);
      const frame = this.frameAt(Math.floor(at / PAGE), true);
      this.pages.memory.write(frame * PAGE + offset, bytes.subarray(done, done + take));
      done += take;
    }
  }

  /** The area that holds a page, or undefined. */
  area(page: number): MemoryArea | undefined {
    const last = this.lastArea;
    if (last !== undefined && page >= last.first && page < last.end) return last;
    let low = 0;
    let high = this.areas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.areas[middle].end <= page) low = middle + 1;
      else high = middle;
    }
    const area = this.areas[low];
    if (area === undefined || page < area.first) return undefined;
    this.lastArea = area;
    return area;
  }

  /** The address space of a forked child: shared objects shared, private pages copied. Nothing is charged to it. */
  fork(): AddressSpace {
    const child = new AddressSpace(this.pages);
    const copies = new Map<MemoryObject, MemoryObject>();
    for (const area of this.areas) {
      const known = copies.get(area.object);
      const object = known === undefined ? area.object.fork() : known.get();
      copies.set(area.object, object);
      child.areas.push({ ...area, object });
    }
    return child;
  }

  /** exit_mmap: all areas go; pinned pages stay with whoever pinned them, and the charges stay on this object. */
  destroy(): void {
    this.gone = true;
    for (const area of this.areas) area.object.put();
    this.areas = [];
    this.lastArea = undefined;
  }

  private pageRange(address: number, lengthBytes: number, call: string): [number, number] {
    if (address % PAGE !== 0 || !(lengthBytes > 0))
      throw new KernelError(
        'EINVAL',
        `${call} range`,
        `0x${address.toString(16)} + 0x${lengthBytes.toString(16)}`,
      );
    return [address / PAGE, address / PAGE + Math.ceil(lengthBytes / PAGE)];
  }

  /** Splits areas so that none crosses `first` or `end`. */
  private cut(first: number, end: number): void {
    for (const at of [first, end]) {
      const index = this.areas.findIndex((area) => area.first < at && area.end > at);
      if (index < 0) continue;
      const area = this.areas[index];
      const tail = {
        ...area,
        first: at,
        objectPage: area.objectPage + at - area.first,
        object: area.object.get(),
      };
      area.end = at;
      this.areas.splice(index + 1, 0, tail);
    }
    this.lastArea = undefined;
  }

  private fault(page: number, write: boolean): never {
    throw new KernelError(
      'EFAULT',
      'user memory',
      `address 0x${(page * PAGE).toString(16)} is not ${write ? 'writable' : 'readable'} memory of the process`,
    );
  }
}
