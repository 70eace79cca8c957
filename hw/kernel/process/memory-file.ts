/**
 * A file that lives in memory (memfd_create): its pages can be mapped by processes and given to IOMMUFD by offset.
 * The content lives as long as a descriptor, a mapping or an IOAS area needs it.
 */
import type { Frame } from '../../memory/types.ts';
import { KernelError } from '../errno.ts';
import type { OpenFileObject } from './file.ts';
import { PagedMemory } from './memory-object.ts';
import type { UserPages } from './user-pages.ts';

export class MemoryFile implements OpenFileObject {
  readonly fileKind = 'memory file';
  /** The page cache; map it with `content.get()`. */
  readonly content: PagedMemory;
  readonly sizeBytes: number;
  private readonly pages: UserPages;

  /** @throws KernelError EINVAL for a negative size. */
  constructor(pages: UserPages, sizeBytes: number) {
    if (!(sizeBytes >= 0)) throw new KernelError('EINVAL', 'ftruncate', `size ${sizeBytes}`);
    this.pages = pages;
    this.content = new PagedMemory(pages, { isPrivate: false });
    this.sizeBytes = sizeBytes;
  }

  get(): this {
    this.content.get();
    return this;
  }

  put(): void {
    this.content.put();
  }

  release(): void {
    this.content.put();
  }

  /** memfd_pin_folios for one page of the file: its frame, with a reference more. */
  pin(page: number): Frame {
    const frame = this.content.frame(page) as Frame;
    this.pages.get(frame);
    return frame;
  }

  unpin(frame: number): void {
    this.pages.put(frame as Frame);
  }
}
