/**
 * The address space of an IOAS (struct io_pagetable): areas of memory by I/O address, what is reserved and allowed, the
 * page tables that show all areas, and the accesses that kernel drivers have on them. Every rule here is one of
 * drivers/iommu/iommufd/io_pagetable.c of Linux 7.2.
 */
import { KernelError } from '../errno.ts';
import { fillDomain, pageRange } from './area-fill.ts';
import { type Area, type AreaSlice, AreaTree, areaLength } from './area-tree.ts';
import { IovaLimits } from './iova-limits.ts';
import { hex, LAST_IOVA } from './iova-ranges.ts';
import type { SharedPages } from './pages.ts';
import type { PagingDomain } from './paging-domain.ts';

const PAGE = 4096n;
/** Rounds of asking accesses to let go before an unmap gives up. */
const MOST_UNMAP_ROUNDS = 100;
const WRITE = 2;

/** A slice of a pages object that a mapping shows. */
export interface PageSlice {
  readonly pages: SharedPages;
  readonly startByte: bigint;
  readonly length: bigint;
}

/** What an IOAS asks of an access (kernel driver of an emulated device). */
export interface IopAccess {
  /** Alignment it needs: 4096 when it pins pages, else 1. */
  readonly iovaAlignment: bigint;
  /** These addresses go: unpin what lies inside. Absent: it never pins. */
  unmap(iova: bigint, length: bigint): void;
}

const smallestPage = (pageSizes: bigint): bigint => pageSizes & -pageSizes;

export class IoPagetable {
  private readonly areas = new AreaTree();
  /** What is reserved, by page tables and devices, and what the user allows. */
  readonly limits = new IovaLimits(this.areas);
  private readonly filledDomains: PagingDomain[] = [];
  private readonly accessList: IopAccess[] = [];
  private largePagesOff = false;
  private alignment = 1n;

  /** Mappings must start and end at multiples of this many bytes; 1 until something asks for more. */
  get iovaAlignment(): bigint {
    return this.alignment;
  }

  get largePages(): boolean {
    return !this.largePagesOff;
  }

  get domains(): readonly PagingDomain[] {
    return this.filledDomains;
  }

  get areaCount(): number {
    return this.areas.size;
  }

  allAreas(): IterableIterator<Readonly<Area>> {
    return this.areas.all();
  }

  // --- mapping ---

  /**
   * Shows slices of pages one after the other at `iova`, or at a free place when that is undefined.
   * @returns the address. @throws KernelError EINVAL (length, alignment, reserved), EEXIST, EOVERFLOW, ENOSPC, EPERM
   * (write wanted where the pages don't allow it), and those of pinning and of the page tables; nothing is mapped then.
   */
  map(slices: readonly PageSlice[], length: bigint, iova: bigint | undefined, prot: number): bigint {
    if ((length & (this.alignment - 1n)) !== 0n || length === 0n)
      throw new KernelError(
        'EINVAL',
        'mapping length',
        `${hex(length)} bytes are no multiple of ${this.alignment}`,
      );
    const at = iova ?? this.findPlace(slices[0], length);
    if (iova !== undefined) this.checkPlace(iova, length);
    const areas = this.makeAreas(slices, at, prot);
    for (const area of areas) this.areas.insert(area);
    const filled: Area[] = [];
    try {
      if (this.filledDomains.length > 0) {
        for (const area of areas) {
          this.fillArea(area, this.filledDomains);
          filled.push(area);
        }
      }
    } catch (error) {
      for (const area of filled.reverse()) this.emptyArea(area);
      for (const area of areas) this.removeArea(area);
      throw error;
    }
    return at;
  }

  private findPlace(first: PageSlice, length: bigint): bigint {
    const address = BigInt(first.pages.source.firstPage) * PAGE + first.startByte;
    return this.limits.find(address, length, this.alignment);
  }

  private checkPlace(iova: bigint, length: bigint): void {
    if ((iova & (this.alignment - 1n)) !== 0n)
      throw new KernelError('EINVAL', 'iova alignment', `${hex(iova)} is no multiple of ${this.alignment}`);
    const last = iova + length - 1n;
    if (last > LAST_IOVA)
      throw new KernelError('EOVERFLOW', 'iova wraps', `${hex(iova)} + ${hex(length)} is beyond 2^64`);
    const reserved = this.limits.reservedIn(iova, last);
    if (reserved !== undefined)
      throw new KernelError(
        'EINVAL',
        'reserved iova',
        `${hex(reserved.start)} to ${hex(reserved.last)} is reserved`,
        'Ask for the usable ranges (IOAS_IOVA_RANGES) and map inside them.',
      );
    const area = this.areas.firstIntersecting(iova, last);
    if (area !== undefined)
      throw new KernelError(
        'EEXIST',
        'already mapped',
        `${hex(area.iova)} to ${hex(area.last)} is mapped`,
        'Unmap it first.',
      );
  }

  private makeAreas(slices: readonly PageSlice[], iova: bigint, prot: number): Area[] {
    let at = iova;
    for (const { pages, startByte } of slices) {
      if ((prot & WRITE) !== 0 && !pages.writable)
        throw new KernelError('EPERM', 'read-only source', 'the memory was mapped without WRITEABLE');
      if ((startByte & 0xfffn & (this.alignment - 1n)) !== 0n)
        throw new KernelError(
          'EINVAL',
          'memory alignment',
          `memory at an offset of ${startByte & 0xfffn} in its page, the IOAS wants ${this.alignment}`,
        );
    }
    return slices.map(({ pages, startByte, length }) => {
      const area = { iova: at, last: at + length - 1n, pages: pages.get(), startByte, prot };
      at += length;
      return { ...area, filled: false, accesses: 0, preventAccess: false };
    });
  }

  /** The slices behind a range, for IOAS_COPY. @throws KernelError EINVAL, EOVERFLOW, ENOENT for a gap. */
  slices(iova: bigint, length: bigint): PageSlice[] {
    return this.covered(iova, length).map((slice) => ({
      pages: slice.area.pages,
      startByte: slice.area.startByte + (slice.iova - slice.area.iova),
      length: slice.last - slice.iova + 1n,
    }));
  }

  /** The areas that show a range without a gap. @throws KernelError EINVAL, EOVERFLOW, ENOENT */
  covered(iova: bigint, length: bigint): AreaSlice[] {
    const slices = this.areas.contiguous(iova, lastOf(iova, length));
    if (slices === undefined)
      throw new KernelError(
        'ENOENT',
        'iova not mapped',
        `${hex(iova)} + ${hex(length)} is not mapped throughout`,
      );
    return slices;
  }

  /** The same up to the first gap. */
  coveredPrefix(iova: bigint, length: bigint): { slices: AreaSlice[]; done: boolean } {
    return this.areas.contiguousPrefix(iova, lastOf(iova, length));
  }

  // --- unmapping ---

  /**
   * Takes away the areas inside [iova, iova + length), in ascending order. @returns bytes unmapped.
   * @throws KernelError ENOENT when an area sticks out (`progress` tells what went before it), EINVAL, EOVERFLOW,
   * EDEADLK when an access doesn't let go.
   */
  unmap(iova: bigint, length: bigint, progress?: UnmapProgress): bigint {
    return this.unmapRange(iova, lastOf(iova, length), progress ?? { unmapped: 0n });
  }

  unmapAll(progress?: UnmapProgress): bigint {
    return this.unmapRange(0n, LAST_IOVA, progress ?? { unmapped: 0n });
  }

  private unmapRange(first: bigint, last: bigint, progress: UnmapProgress): bigint {
    let start = first;
    let rounds = 0;
    for (;;) {
      const area = this.areas.firstIntersecting(start, last);
      if (area === undefined) return progress.unmapped;
      if (area.iova < start || area.last > last)
        throw new KernelError(
          'ENOENT',
          'unmap cuts a mapping',
          `${hex(area.iova)} to ${hex(area.last)} is not wholly inside the range`,
          'Unmap whole mappings.',
        );
      if (area.iova !== start) rounds = 0;
      if (area.accesses > 0) {
        start = area.iova;
        area.preventAccess = true;
        for (const access of [...this.accessList]) access.unmap(area.iova, areaLength(area));
        rounds += 1;
        if (rounds > MOST_UNMAP_ROUNDS)
          throw new KernelError(
            'EDEADLK',
            'access holds pages',
            `a kernel driver keeps pages of ${hex(area.iova)} to ${hex(area.last)} pinned`,
          );
        continue;
      }
      if (area.filled) this.emptyArea(area);
      this.removeArea(area);
      progress.unmapped += areaLength(area);
    }
  }

  private removeArea(area: Area): void {
    this.areas.remove(area);
    this.limits.freed(area.iova);
    area.pages.put();
  }

  /**
   * Cuts the areas behind these addresses, so that each ends there: what type1 v1 expects of an unmap in the middle.
   * @throws KernelError EINVAL while a page table may hold large pages, or pins exist, or the cut is not aligned.
   */
  cut(addresses: readonly bigint[]): void {
    for (const iova of addresses) {
      const area = this.areas.firstIntersecting(iova, iova);
      if (area !== undefined) this.split(area, iova);
    }
  }

  private split(area: Area, iova: bigint): void {
    if (iova === area.iova || iova === area.last) return;
    const next = iova + 1n;
    const nextByte = area.startByte + (next - area.iova);
    const mask = this.alignment - 1n;
    if (area.preventAccess) throw new KernelError('EBUSY', 'area in use', 'the area is being unmapped');
    if ((next & mask) !== 0n || (nextByte & mask) !== 0n)
      throw new KernelError('EINVAL', 'cut alignment', `${hex(next)} is no multiple of ${this.alignment}`);
    if (area.accesses > 0)
      throw new KernelError('EINVAL', 'cut of pinned area', 'a kernel driver has pinned pages of the area');
    if (area.filled && !this.largePagesOff)
      throw new KernelError('EINVAL', 'cut of large pages', 'a page table may map the area with large pages');
    this.areas.remove(area);
    this.areas.insert({ ...area, last: iova });
    this.areas.insert({ ...area, iova: next, startByte: nextByte, pages: area.pages.get() });
  }

  // --- page tables ---

  /**
   * Makes a page table show all areas (iopt_table_add_domain).
   * @throws KernelError EADDRINUSE when an area doesn't suit its page size or lies outside its aperture, EINVAL when
   * its smallest page is larger than 4 KiB, and those of pinning and mapping; it then shows nothing.
   */
  addDomain(domain: PagingDomain): void {
    const smallest = smallestPage(domain.pageSizes);
    let { alignment } = this;
    if (smallest > alignment) alignment = smallest;
    if (alignment > PAGE)
      throw new KernelError('EINVAL', 'smallest page', `the page table has no pages of ${PAGE} bytes`);
    if (alignment !== this.alignment) this.checkAlignment(alignment);
    try {
      if (domain.firstIova !== 0n) this.limits.reserve(0n, domain.firstIova - 1n, domain);
      if (domain.lastIova !== LAST_IOVA) this.limits.reserve(domain.lastIova + 1n, LAST_IOVA, domain);
      this.fillAll(domain);
    } catch (error) {
      this.limits.unreserve(domain);
      throw error;
    }
    this.alignment = alignment;
    this.filledDomains.push(domain);
  }

  /** Takes all areas out of a page table; the last one unpins what no access holds. */
  removeDomain(domain: PagingDomain): void {
    const at = this.filledDomains.indexOf(domain);
    if (at < 0) return;
    this.filledDomains.splice(at, 1);
    for (const area of this.areas.all()) {
      domain.unmap(area.iova, areaLength(area));
      if (this.filledDomains.length === 0) this.release(area);
    }
    this.limits.unreserve(domain);
    this.recalculateAlignment();
  }

  private fillAll(domain: PagingDomain): void {
    const filled: Area[] = [];
    const first = this.filledDomains.length === 0;
    try {
      for (const area of this.areas.all()) {
        if (first) this.fillArea(area, [domain]);
        else fillDomain(area, domain, !this.largePagesOff);
        filled.push(area);
      }
    } catch (error) {
      for (const area of filled) {
        domain.unmap(area.iova, areaLength(area));
        if (first) this.release(area);
      }
      throw error;
    }
  }

  /** Pins an area's pages and maps them in page tables; charges at the end, as the kernel does. */
  private fillArea(area: Area, domains: readonly PagingDomain[]): void {
    const { first, count } = pageRange(area);
    area.pages.hold(first, count);
    const done: PagingDomain[] = [];
    try {
      for (const domain of domains) {
        fillDomain(area, domain, !this.largePagesOff);
        done.push(domain);
      }
      area.pages.settle();
      area.filled = true;
    } catch (error) {
      for (const domain of done) domain.unmap(area.iova, areaLength(area));
      area.pages.drop(first, count);
      area.pages.settle();
      throw error;
    }
  }

  private emptyArea(area: Area): void {
    for (const domain of this.filledDomains) domain.unmap(area.iova, areaLength(area));
    this.release(area);
  }

  private release(area: Area): void {
    const { first, count } = pageRange(area);
    area.pages.drop(first, count);
    area.pages.settle();
    area.filled = false;
  }

  // --- accesses and options ---

  /** @throws KernelError EADDRINUSE when an area doesn't suit its alignment. */
  addAccess(access: IopAccess): void {
    this.accessList.push(access);
    try {
      this.recalculateAlignment();
    } catch (error) {
      this.accessList.pop();
      throw error;
    }
  }

  removeAccess(access: IopAccess): void {
    const at = this.accessList.indexOf(access);
    if (at < 0) return;
    this.accessList.splice(at, 1);
    this.recalculateAlignment();
  }

  /**
   * @throws KernelError EINVAL when switching off and page tables hold mappings already, EADDRINUSE when an area is
   * not made of whole pages.
   */
  setLargePages(on: boolean): void {
    if (on !== this.largePagesOff) return;
    if (!on && this.filledDomains.length > 0 && this.areas.size > 0)
      throw new KernelError(
        'EINVAL',
        'large pages in use',
        'page tables hold mappings already',
        'Switch large pages off before the first device is attached, or unmap everything.',
      );
    this.largePagesOff = !on;
    try {
      this.recalculateAlignment();
    } catch (error) {
      this.largePagesOff = on;
      throw error;
    }
  }

  private recalculateAlignment(): void {
    let alignment = this.largePagesOff ? PAGE : 1n;
    for (const domain of this.filledDomains) {
      const smallest = smallestPage(domain.pageSizes);
      if (smallest > alignment) alignment = smallest;
    }
    for (const access of this.accessList) {
      if (access.iovaAlignment > alignment) alignment = access.iovaAlignment;
    }
    if (alignment > this.alignment) this.checkAlignment(alignment);
    this.alignment = alignment;
  }

  private checkAlignment(alignment: bigint): void {
    const mask = alignment - 1n;
    for (const area of this.areas.all()) {
      if (((area.iova | areaLength(area) | (area.startByte & 0xfffn)) & mask) === 0n) continue;
      throw new KernelError(
        'EADDRINUSE',
        'mapping alignment',
        `the mapping at ${hex(area.iova)} is not aligned to ${alignment} bytes`,
        'Unmap it first.',
      );
    }
  }
}

/** Bytes unmapped so far, also when the call fails half way. */
export interface UnmapProgress {
  unmapped: bigint;
}

/** @throws KernelError EINVAL for nothing, EOVERFLOW beyond 2^64. */
function lastOf(iova: bigint, length: bigint): bigint {
  if (length === 0n) throw new KernelError('EINVAL', 'length', 'a range has at least one byte');
  const last = iova + length - 1n;
  if (last > LAST_IOVA)
    throw new KernelError('EOVERFLOW', 'iova wraps', `${hex(iova)} + ${hex(length)} is beyond 2^64`);
  return last;
}
