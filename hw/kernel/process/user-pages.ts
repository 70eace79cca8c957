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

/** How the 512 frames of a block are in use. */
interface Block {
  readonly first: number;
  /** A 2 MiB page: one count for the whole. Otherwise a count for each frame. */
  references: Int32Array | undefined;
  hugeReferences: number;
  /** Frames ever handed out, in scattered order, and those that came back. */
  handedOut: number;
  returned: number[];
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
  private readonly blocks = new Map<number, Block>();
  /** Blocks of small pages with room, the last one first. */
  private readonly roomy: Block[] = [];
  private lastBlock: Block | undefined;

  constructor(memory: MemoryPort, source: FrameSource) {
    this.memory = memory;
    this.source = source;
  }

  /** One zeroed page with one reference. @throws KernelError ENOMEM */
  allocate(): Frame {
    let block = this.roomy.at(-1);
    if (block === undefined) {
      block = this.newBlock(false);
      this.roomy.push(block);
    }
    const index = block.returned.length > 0 ? (block.returned.pop() as number) : scattered(block.handedOut++);
    block.inUse += 1;
    if (block.inUse === BLOCK_FRAMES) this.roomy.splice(this.roomy.indexOf(block), 1);
    (block.references as Int32Array)[index] = 1;
    const frame = block.first + index;
    this.memory.zero(frame * 2 ** PAGE_SHIFT, 2 ** PAGE_SHIFT);
    return frame as Frame;
  }

  /** First frame of a zeroed 2 MiB page with one reference. @throws KernelError ENOMEM */
  allocateHuge(): Frame {
    const block = this.newBlock(true);
    this.memory.zero(block.first * 2 ** PAGE_SHIFT, BLOCK_FRAMES * 2 ** PAGE_SHIFT);
    return block.first as Frame;
  }

  /** True when the frame is part of a 2 MiB page. */
  isHuge(frame: Frame): boolean {
    return this.block(frame)?.references === undefined;
  }

  /** Adds `count` references to a frame (get_page, pin_user_page). Frames that are no user page are left alone. */
  get(frame: Frame, count = 1): void {
    const block = this.block(frame);
    if (block === undefined) return;
    if (block.references === undefined) block.hugeReferences += count;
    else block.references[frame - block.first] += count;
  }

  /** Drops `count` references; the page is free when none is left. Frames that are no user page are left alone. */
  put(frame: Frame, count = 1): void {
    const block = this.block(frame);
    if (block === undefined) return;
    if (block.references === undefined) {
      block.hugeReferences -= count;
      if (block.hugeReferences === 0) this.release(block);
      return;
    }
    const index = frame - block.first;
    block.references[index] -= count;
    if (block.references[index] !== 0) return;
    block.returned.push(index);
    if (block.inUse === BLOCK_FRAMES) this.roomy.push(block);
    block.inUse -= 1;
    if (block.inUse === 0) {
      this.roomy.splice(this.roomy.indexOf(block), 1);
      this.release(block);
    }
  }

  /** References of a page: mappings and pins together. 0 for frames that are no user page. */
  references(frame: Frame): number {
    const block = this.block(frame);
    if (block === undefined) return 0;
    return block.references === undefined ? block.hugeReferences : block.references[frame - block.first];
  }

  /** Frames in use for user memory. */
  get framesInUse(): number {
    let frames = 0;
    for (const block of this.blocks.values()) {
      frames += block.references === undefined ? BLOCK_FRAMES : block.inUse;
    }
    return frames;
  }

  private block(frame: number): Block | undefined {
    const last = this.lastBlock;
    if (last !== undefined && frame >= last.first && frame < last.first + BLOCK_FRAMES) return last;
    const block = this.blocks.get(Math.floor(frame / BLOCK_FRAMES));
    if (block !== undefined) this.lastBlock = block;
    return block;
  }

  private newBlock(huge: boolean): Block {
    const first = this.source.allocateRun(BLOCK_FRAMES, BLOCK_FRAMES);
    const block: Block = {
      first,
      references: huge ? undefined : new Int32Array(BLOCK_FRAMES),
      hugeReferences: huge ? 1 : 0,
      handedOut: 0,
      returned: [],
      inUse: 0,
    };
    this.blocks.set(Math.floor(first / BLOCK_FRAMES), block);
    return block;
  }

  private release(block: Block): void {
    this.blocks.delete(Math.floor(block.first / BLOCK_FRAMES));
    if (this.lastBlock === block) this.lastBlock = undefined;
    this.source.release(block.first as Frame, BLOCK_FRAMES);
  }
}
