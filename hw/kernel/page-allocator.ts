/**
 * Page frames of the kernel: who needs memory (translation tables, queues, user pages) takes frames here. Always the
 * lowest free frame, so that the same calls give the same frames.
 */
import type { Frame } from '../memory/types.ts';
import { KernelError } from './errno.ts';
import { LowestFree } from './lowest-free.ts';

export class PageAllocator {
  private readonly frames: LowestFree;

  /** Frames `first` to `first + count - 1`. */
  constructor(first: Frame, count: number) {
    this.frames = new LowestFree(first, count);
  }

  get freeFrames(): number {
    return this.frames.free;
  }

  get usedFrames(): number {
    return this.frames.taken;
  }

  /** The lowest free frame. @throws KernelError ENOMEM when none is left. */
  allocate(): Frame {
    const frame = this.frames.takeLowest();
    if (frame === undefined) throw outOfMemory(1);
    return frame as Frame;
  }

  /**
   * `count` consecutive frames whose first is a multiple of `alignment` frames: the lowest such run.
   * @throws KernelError ENOMEM when there is none.
   */
  allocateRun(count: number, alignment = 1): Frame {
    const frame = this.frames.takeRun(count, alignment);
    if (frame === undefined) throw outOfMemory(count);
    return frame as Frame;
  }

  /** Gives frames back. @throws RangeError when one of them is not allocated: a defect of the caller. */
  release(frame: Frame, count = 1): void {
    for (let each: number = frame; each < frame + count; each += 1) {
      if (!this.frames.give(each)) {
        throw new RangeError(`page frame 0x${each.toString(16)} is released but was not allocated`);
      }
    }
  }
}

function outOfMemory(count: number): KernelError {
  return new KernelError(
    'ENOMEM',
    'page frames used up',
    count === 1 ? 'No free page frame is left.' : `No run of ${count} free page frames is left.`,
    'Stop a machine or give the host more memory.',
  );
}
