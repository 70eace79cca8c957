/**
 * Physical pages that hold memory of user processes, with reference counts: a page lives as long as a mapping or a
 * pin holds it, so that what a device was given stays where it is after the process unmapped it. Small pages are
 * handed out scattered, as on a machine that has been running for a while; 2 MiB pages are contiguous.
 */
import type { Frame } from '../../memory/types.ts';
import type { MemoryPort } from '../../port.ts';

/** Frames in a 2 MiB block. */
export const BLOCK_FRAMES = 512;
const BLOCK_SHIFT = 9;
const PAGE_SHIFT = 12;

/** Where blocks of 2 MiB of physical memory come from: the kernel's page allocator, or a part of it. */
export interface FrameSource {
  /** First of `count` consecutive free frames, a multiple of `alignment`. @throws KernelError ENOMEM */
  allocateRun(count: number, alignment: number): Frame;
  release(first: Frame, count: number): void;
}

/** 512 frames that are handed out one by one. */
interface Block {
  readonly first: number;
  /** A count for each frame. */
  readonly references: Int32Array;
  /** Frames ever handed out, in scattered order, and those that came back. */
  handedOut: number;
  readonly returned: number[];
  inUse: number;
}

/** Bit reversal of nine bits: neighbours in order of allocation are never neighbours in memory. */
function scattered(index: number): number {
  let result = 0;
  for (let bit = 0; bit < BLOCK_SHIFT; bit += 1) result |= ((index >>> bit) & 1) << (BLOCK_SHIFT - 1 - bit);
  return result;
}

/** alloc_page, get_page and put_page for user memory. */
export class UserPages {
  readonly memory: MemoryPort;
  private readonly source: FrameSource;
  /** Blocks of small pages by number (frame / 512). */
  private readonly blocks = new Map<number, Block>();
  /** Blocks of small pages with room, the last one first. */
  private readonly roomy: Block[] = [];
  private lastBlock: Block | undefined;
  /** References of 2 MiB pages, 512 to an array, by number (frame / 512 / 512): a terabyte of them costs 2 MiB. */
  private readonly huge = new Map<number, Int32Array>();
  private hugeCount = 0;

  constructor(memory: MemoryPort, source: FrameSource) {
    this.memory = memory;
    this.source = source;
  }

  /** One zeroed page with one reference. @throws KernelError ENOMEM */
  allocate(): Frame {
    let block = this.roomy.at(-1);
    if (block === undefined) {
      const first = this.source.allocateRun(BLOCK_FRAMES, BLOCK_FRAMES);
      block = { first, references: new Int32Array(BLOCK_FRAMES), handedOut: 0, returned: [], inUse: 0 };
      this.blocks.set(first / BLOCK_FRAMES, block);
      this.roomy.push(block);
    }
    const index = block.returned.length > 0 ? (block.returned.pop() as number) : scattered(block.handedOut++);
    block.inUse += 1;
    if (block.inUse === BLOCK_FRAMES) this.roomy.splice(this.roomy.indexOf(block), 1);
    block.references[index] = 1;
    const frame = block.first + index;
    this.memory.zero(frame * 2 ** PAGE_SHIFT, 2 ** PAGE_SHIFT);
    return frame as Frame;
  }

  /** First frame of a zeroed 2 MiB page with one reference. @throws KernelError ENOMEM */
  allocateHuge(): Frame {
    const first = this.source.allocateRun(BLOCK_FRAMES, BLOCK_FRAMES);
    const number = first / BLOCK_FRAMES;
    let counts = this.huge.get(Math.floor(number / BLOCK_FRAMES));
    if (counts === undefined) {
      counts = new Int32Array(BLOCK_FRAMES);
      this.huge.set(Math.floor(number / BLOCK_FRAMES), counts);
    }
    counts[number % BLOCK_FRAMES] = 1;
    this.hugeCount += 1;
    this.memory.zero(first * 2 ** PAGE_SHIFT, BLOCK_FRAMES * 2 ** PAGE_SHIFT);
    return first;
  }

  /** True when the frame is part of a 2 MiB page. */
  isHuge(frame: Frame): boolean {
    return this.hugeReferences(frame) > 0;
  }

  /** Adds `count` references to a frame (get_page, pin_user_page). Frames that are no user page are left alone. */
  get(frame: Frame, count = 1): void {
    const block = this.block(frame);
    if (block !== undefined) block.references[frame - block.first] += count;
    else this.changeHuge(frame, count);
  }

  /** Drops `count` references; the page is free when none is left. Frames that are no user page are left alone. */
  put(frame: Frame, count = 1): void {
    const block = this.block(frame);
    if (block === undefined) {
      this.changeHuge(frame, -count);
      return;
    }
    const index = frame - block.first;
    block.references[index] -= count;
    if (block.references[index] !== 0) return;
    block.returned.push(index);
    if (block.inUse === BLOCK_FRAMES) this.roomy.push(block);
    block.inUse -= 1;
    if (block.inUse > 0) return;
    this.roomy.splice(this.roomy.indexOf(block), 1);
    this.blocks.delete(block.first / BLOCK_FRAMES);
    if (this.lastBlock === block) this.lastBlock = undefined;
    this.source.release(block.first as Frame, BLOCK_FRAMES);
  }

  /** References of a page: mappings and pins together. 0 for frames that are no user page. */
  references(frame: Frame): number {
    const block = this.block(frame);
    return block === undefined ? this.hugeReferences(frame) : block.references[frame - block.first];
  }

  /** Frames in use for user memory. */
  get framesInUse(): number {
    let frames = this.hugeCount * BLOCK_FRAMES;
    for (const block of this.blocks.values()) frames += block.inUse;
    return frames;
  }

  private block(frame: number): Block | undefined {
    const last = this.lastBlock;
    if (last !== undefined && frame >= last.first && frame < last.first + BLOCK_FRAMES) return last;
    const block = this.blocks.get(Math.floor(frame / BLOCK_FRAMES));
    if (block !== undefined) this.lastBlock = block;
    return block;
  }

  private hugeReferences(frame: number): number {
    const number = Math.floor(frame / BLOCK_FRAMES);
    return this.huge.get(Math.floor(number / BLOCK_FRAMES))?.[number % BLOCK_FRAMES] ?? 0;
  }

  private changeHuge(frame: number, by: number): void {
    const number = Math.floor(frame / BLOCK_FRAMES);
    const counts = this.huge.get(Math.floor(number / BLOCK_FRAMES));
    if (counts === undefined || counts[number % BLOCK_FRAMES] === 0) return;
    counts[number % BLOCK_FRAMES] += by;
    if (counts[number % BLOCK_FRAMES] !== 0) return;
    this.hugeCount -= 1;
    this.source.release((number * BLOCK_FRAMES) as Frame, BLOCK_FRAMES);
  }
}
