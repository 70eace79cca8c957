/**
 * What stands behind a range of a process's addresses: pages of its own, pages shared with others, a file's page
 * cache, or the registers of a device. Pages come into being when first touched.
 */
import type { Frame } from '../../memory/types.ts';
import { BLOCK_FRAMES, type UserPages } from './user-pages.ts';

export interface MemoryObject {
  /** Pages that belong to one process and are copied by fork. */
  readonly isPrivate: boolean;
  /** Device registers: no page structure, never charged, never pinned (VM_PFNMAP). */
  readonly isDevice: boolean;
  /** The object's content may be written through some mapping (a file opened read-only may not). */
  readonly writable: boolean;
  /** The frame behind a page of the object, made when missing; -1 when access faults (registers switched off). */
  frame(page: number): number;
  /** Pages from `page` on that follow each other in memory; at least 1. */
  run(page: number): number;
  get(): this;
  put(): void;
  /** The child's object after a fork: itself when shared, a copy of the pages touched so far when private. */
  fork(): MemoryObject;
}

const CHUNK_PAGES = 512;

/** Anonymous memory or a file's page cache, in pages of 4 KiB or 2 MiB. */
export class PagedMemory implements MemoryObject {
  readonly isPrivate: boolean;
  readonly isDevice = false;
  readonly writable: boolean;
  readonly huge: boolean;
  private readonly pages: UserPages;
  /** Frame numbers (0: not touched yet) in chunks of 512 pages; of 512 large pages when `huge`. */
  private readonly chunks = new Map<number, Uint32Array>();
  private references = 1;

  constructor(pages: UserPages, options: { isPrivate: boolean; huge?: boolean; writable?: boolean }) {
    this.pages = pages;
    this.isPrivate = options.isPrivate;
    this.huge = options.huge ?? false;
    this.writable = options.writable ?? true;
  }

  frame(page: number): number {
    if (!this.huge) return this.unit(page);
    return this.unit(Math.floor(page / BLOCK_FRAMES)) + (page % BLOCK_FRAMES);
  }

  run(page: number): number {
    return this.huge ? BLOCK_FRAMES - (page % BLOCK_FRAMES) : 1;
  }

  get(): this {
    this.references += 1;
    return this;
  }

  put(): void {
    this.references -= 1;
    if (this.references > 0) return;
    for (const chunk of this.chunks.values()) {
      for (const frame of chunk) if (frame !== 0) this.pages.put(frame as Frame);
    }
    this.chunks.clear();
  }

  /** Frees the pages of a range of a private object that nobody maps any more. */
  discard(firstPage: number, count: number): void {
    const shift = this.huge ? BLOCK_FRAMES : 1;
    const first = Math.ceil(firstPage / shift);
    const end = Math.floor((firstPage + count) / shift);
    for (let unit = first; unit < end; unit += 1) {
      const chunk = this.chunks.get(Math.floor(unit / CHUNK_PAGES));
      if (chunk === undefined) {
        unit = (Math.floor(unit / CHUNK_PAGES) + 1) * CHUNK_PAGES - 1;
        continue;
      }
      const index = unit % CHUNK_PAGES;
      if (chunk[index] === 0) continue;
      this.pages.put(chunk[index] as Frame);
      chunk[index] = 0;
    }
  }

  fork(): MemoryObject {
    if (!this.isPrivate) return this.get();
    const copy = new PagedMemory(this.pages, this);
    const length = (this.huge ? BLOCK_FRAMES : 1) * 4096;
    for (const [number, chunk] of this.chunks) {
      const frames = new Uint32Array(CHUNK_PAGES);
      for (let index = 0; index < CHUNK_PAGES; index += 1) {
        if (chunk[index] === 0) continue;
        frames[index] = this.huge ? this.pages.allocateHuge() : this.pages.allocate();
        const bytes = this.pages.memory.read(chunk[index] * 4096, length);
        if (bytes !== undefined) this.pages.memory.write(frames[index] * 4096, bytes);
      }
      copy.chunks.set(number, frames);
    }
    return copy;
  }

  private unit(unit: number): number {
    const number = Math.floor(unit / CHUNK_PAGES);
    let chunk = this.chunks.get(number);
    if (chunk === undefined) {
      chunk = new Uint32Array(CHUNK_PAGES);
      this.chunks.set(number, chunk);
    }
    const index = unit % CHUNK_PAGES;
    if (chunk[index] === 0) chunk[index] = this.huge ? this.pages.allocateHuge() : this.pages.allocate();
    return chunk[index];
  }
}

/** Registers of a device mapped into a process. Access faults while `enabled` says no. */
export class DeviceMemory implements MemoryObject {
  readonly isPrivate = false;
  readonly isDevice = true;
  readonly writable = true;
  private readonly first: number;
  private readonly enabled: () => boolean;
  private readonly released: () => void;
  private references = 1;

  /** `first`: frame of the first page; `released` runs when nobody maps it any more. */
  constructor(first: Frame, enabled: () => boolean, released: () => void) {
    this.first = first;
    this.enabled = enabled;
    this.released = released;
  }

  frame(page: number): number {
    return this.enabled() ? this.first + page : -1;
  }

  run(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  get(): this {
    this.references += 1;
    return this;
  }

  put(): void {
    this.references -= 1;
    if (this.references === 0) this.released();
  }

  fork(): MemoryObject {
    return this.get();
  }
}
