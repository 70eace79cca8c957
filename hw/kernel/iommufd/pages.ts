/**
 * struct iopt_pages: a stretch of user memory or of a file that areas of one or more IOAS show to devices. Pages are
 * pinned when a page table or an access needs them, once however many need them, and charged once.
 * (drivers/iommu/iommufd/pages.c)
 */
import type { Frame } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import type { AddressSpace, PinnedRun } from '../process/address-space.ts';
import type { MemoryFile } from '../process/memory-file.ts';
import type { Process } from '../process/process.ts';
import { PageChunk } from './page-chunk.ts';

const PAGE = 4096;
/** Pages that are kept together: what a 2 MiB page holds, so that each has its own. */
const CHUNK = 512;

/**
 * Who is charged for pinned pages. 'user': all processes of a user together, against the limit of the process; 'mm':
 * the process alone, as VFIO's type1 does it; 'none': the process may lock as much as it likes (CAP_IPC_LOCK).
 * Whatever the mode, the pages count in the process's VmPin.
 */
export type AccountMode = 'user' | 'mm' | 'none';

/** user_struct.locked_vm: pages charged to each user id. */
export class UserAccounts {
  private readonly lockedPages = new Map<number, number>();

  pagesOf(userId: number): number {
    return this.lockedPages.get(userId) ?? 0;
  }

  add(userId: number, pages: number): void {
    this.lockedPages.set(userId, this.pagesOf(userId) + pages);
  }
}

/** Where the pages are. */
export type PageSource =
  /** From this page of the process's addresses on. */
  | { readonly kind: 'user'; readonly firstPage: number }
  /** From this page of a file on; no memory file: the descriptor was something that has no pages (EINVAL at pinning). */
  | { readonly kind: 'file'; readonly file: MemoryFile | undefined; readonly firstPage: number };

const run: PinnedRun = { frame: 0, count: 0, reserved: false };

export class SharedPages {
  readonly source: PageSource;
  /** Pages from the first to the last that the areas may show. */
  readonly count: number;
  /** Devices may write (the mapping asked for WRITEABLE). */
  readonly writable: boolean;
  accountMode: AccountMode;
  /** Who is charged and whose memory it is. */
  private process: Process;
  private userId: number;
  private readonly accounts: UserAccounts;
  /** The first chunk, most often the only one; the others by number. */
  private firstChunk: PageChunk | undefined;
  private otherChunks: Map<number, PageChunk> | undefined;
  private lastChunk: PageChunk | undefined;
  private references = 1;
  /** Pages pinned now, and how many of them are charged. */
  private pinned = 0;
  private charged = 0;

  constructor(
    process: Process,
    accounts: UserAccounts,
    source: PageSource,
    count: number,
    writable: boolean,
    accountMode: AccountMode,
  ) {
    this.process = process;
    this.userId = process.userId;
    this.accounts = accounts;
    this.source = source;
    this.count = count;
    this.writable = writable;
    this.accountMode = accountMode;
  }

  /** mm_struct of the process that mapped the pages. */
  get memory(): AddressSpace {
    return this.process.memory;
  }

  get pinnedPages(): number {
    return this.pinned;
  }

  get isFile(): boolean {
    return this.source.kind === 'file';
  }

  get(): this {
    this.references += 1;
    return this;
  }

  put(): void {
    this.references -= 1;
    if (this.references === 0 && this.source.kind === 'file') this.source.file?.put();
  }

  /**
   * Holds pages [first, first + count) once more and pins those that nobody held. Nothing is charged yet: see
   * `settle`. @throws KernelError EFAULT for memory that is not there, EINVAL for a file without such pages; then
   * nothing is held.
   */
  hold(first: number, count: number): void {
    let index = first;
    const end = first + count;
    try {
      while (index < end) {
        const chunk = this.chunk(index);
        const at = index - chunk.first;
        const alike = chunk.heldAlike(at, end - index);
        if (chunk.users(at) > 0) {
          chunk.change(at, alike, 1);
          index += alike;
        } else {
          index += this.pinFrom(index, alike, chunk);
        }
      }
    } catch (error) {
      this.drop(first, index - first);
      throw error;
    }
  }

  /** Gives the hold back; pages that nobody holds any more are unpinned. Call `settle` afterwards. */
  drop(first: number, count: number): void {
    const end = first + count;
    for (let index = first; index < end; ) {
      const chunk = this.chunk(index);
      const at = index - chunk.first;
      const equal = chunk.equalRun(at, end - index);
      chunk.change(at, equal, -1);
      index += equal;
      if (chunk.users(at) > 0) continue;
      this.unpin(chunk.frame(at), equal);
      this.pinned -= equal;
    }
    if (this.pinned === 0) {
      this.firstChunk = undefined;
      this.otherChunks = undefined;
      this.lastChunk = undefined;
    }
  }

  /**
   * Makes the charge equal to what is pinned. @throws KernelError ENOMEM when the limit (RLIMIT_MEMLOCK of the process
   * that mapped) doesn't allow it; nothing is charged then.
   */
  settle(): void {
    const change = this.pinned - this.charged;
    if (change === 0) return;
    if (change > 0 && this.accountMode !== 'none') this.checkLimit(this.process, change);
    this.charge(change);
    this.charged = this.pinned;
  }

  /** The frame of a page that is held. */
  frame(index: number): Frame {
    const chunk = this.chunk(index);
    return chunk.frame(index - chunk.first) as Frame;
  }

  /** How many pages from `index` on, at most `max`, have frames that follow each other. All of them are held. */
  run(index: number, max: number): number {
    const frame = this.frame(index);
    let count = 0;
    while (count < max) {
      const chunk = this.chunk(index + count);
      const at = index + count - chunk.first;
      if (chunk.frame(at) !== frame + count) break;
      const more = chunk.run(at, max - count);
      count += more;
      if (at + more < chunk.count) break;
    }
    return count;
  }

  /**
   * IOAS_CHANGE_PROCESS: the charge moves to another process. Only pages of files can move, whose content does not
   * hang on an address space. @returns the process it was, for taking it back.
   * @throws KernelError ENOMEM when the new one's limit doesn't allow it; the charge stays then.
   */
  moveTo(process: Process): Process {
    const before = this.process;
    if (this.accountMode !== 'none') this.checkLimit(process, this.charged);
    this.charge(-this.charged);
    this.process = process;
    this.userId = process.userId;
    this.charge(this.charged);
    return before;
  }

  /** Adds to the accounts, without limit. */
  private charge(pages: number): void {
    if (this.accountMode === 'user') this.accounts.add(this.userId, pages);
    if (this.accountMode === 'mm') this.process.memory.lockedPages += pages;
    this.process.memory.pinnedPages += pages;
  }

  private checkLimit(process: Process, change: number): void {
    const limit = Math.floor(process.memoryLockLimitBytes / PAGE);
    const byUser = this.accountMode === 'user';
    const now = byUser ? this.accounts.pagesOf(process.userId) : process.memory.lockedPages;
    if (now + change <= limit) return;
    throw new KernelError(
      'ENOMEM',
      'RLIMIT_MEMLOCK',
      `${now} pages are locked by ${byUser ? `user ${process.userId}` : process.name}, ${change} more are wanted and ${limit} are allowed`,
      'Raise the limit on locked memory (LimitMEMLOCK of the unit, or /etc/security/limits.conf).',
    );
  }

  /** Pins up to `max` pages from `index`, none of them held, in this chunk. The number pinned. */
  private pinFrom(index: number, max: number, chunk: PageChunk): number {
    if (this.source.kind === 'file') {
      this.pinFile(this.source, index);
    } else {
      this.process.memory.pin(this.source.firstPage + index, max, this.writable, run);
      if (run.reserved) this.refuseDeviceMemory(index);
    }
    chunk.fill(index - chunk.first, run.frame, run.count);
    this.pinned += run.count;
    return run.count;
  }

  private pinFile(source: Extract<PageSource, { kind: 'file' }>, index: number): void {
    const file = source.file;
    const page = source.firstPage + index;
    if (file === undefined || page * PAGE >= file.sizeBytes) {
      throw new KernelError(
        'EINVAL',
        'memfd_pin_folios',
        file === undefined
          ? 'the file has no pages that can be pinned'
          : `page ${page} is behind the file's end`,
        'Map a memfd or a file of hugetlbfs, within its size.',
      );
    }
    run.frame = file.pin(page);
    run.count = 1;
    run.reserved = false;
  }

  private refuseDeviceMemory(index: number): never {
    // pin_user_pages takes no VM_PFNMAP: registers of another device reach an IOAS as dma-buf only.
    throw new KernelError(
      'EFAULT',
      'pin_user_pages',
      `page ${index} of the range is device memory, which IOMMUFD cannot pin`,
    );
  }

  private unpin(frame: number, count: number): void {
    if (this.source.kind === 'user') {
      this.process.memory.unpin(frame, count);
      return;
    }
    for (let each = frame; each < frame + count; each += 1) this.source.file?.unpin(each);
  }

  private chunk(index: number): PageChunk {
    const last = this.lastChunk;
    if (last !== undefined && index >= last.first && index < last.first + last.count) return last;
    // Chunks begin where 2 MiB pages of the user do.
    const before = this.source.firstPage % CHUNK;
    const number = Math.floor((before + index) / CHUNK);
    let chunk = number === 0 ? this.firstChunk : this.otherChunks?.get(number);
    if (chunk === undefined) {
      const first = Math.max(0, number * CHUNK - before);
      chunk = new PageChunk(first, Math.min((number + 1) * CHUNK - before, this.count) - first);
      if (number === 0) this.firstChunk = chunk;
      else {
        this.otherChunks ??= new Map();
        this.otherChunks.set(number, chunk);
      }
    }
    this.lastChunk = chunk;
    return chunk;
  }
}
