/**
 * Page frames of the kernel: who needs memory (translation tables, queues, user pages) takes frames here. Always the
 * lowest free frame, so that what a sequence of calls gets depends on what is free and not on the order of releases.
 */
import type { Frame } from '../memory/types.ts';
import { KernelError } from './errno.ts';

/** A summary pyramid: bit set = free below. Level 0 has one bit a frame, each level above one bit a word below. */
type Pyramid = Uint32Array[];

export class PageAllocator {
  /** First frame of the range, and how many there are. */
  readonly first: Frame;
  readonly count: number;
  private readonly levels: Pyramid = [];
  private free: number;

  /** Frames `first` to `first + count - 1`. */
  constructor(first: Frame, count: number) {
    this.first = first;
    this.count = count;
    this.free = count;
    for (let entries = count; ; ) {
      const words = Math.ceil(entries / 32);
      const level = new Uint32Array(words).fill(0xffffffff);
      if (entries % 32 !== 0) level[words - 1] = 2 ** (entries % 32) - 1;
      this.levels.push(level);
      if (words <= 1) break;
      entries = words;
    }
  }

  get freeFrames(): number {
    return this.free;
  }

  get usedFrames(): number {
    return this.count - this.free;
  }

  /** True when the frame is allocated now. */
  isAllocated(frame: Frame): boolean {
    const index = frame - this.first;
    return index >= 0 && index < this.count && ((this.levels[0][index >>> 5] >>> (index & 31)) & 1) === 0;
  }

  /** The lowest free frame. @throws KernelError ENOMEM when none is left. */
  allocate(): Frame {
    const top = this.levels.length - 1;
    if (this.count === 0 || this.levels[top][0] === 0) throw outOfMemory(1);
    let index = 0;
    for (let level = top; level >= 0; level -= 1) {
      const word = this.levels[level][index];
      index = index * 32 + (31 - Math.clz32(word & -word));
    }
    this.take(index);
    return (this.first + index) as Frame;
  }

  /**
   * `count` consecutive frames whose first is a multiple of `alignment` frames: the lowest such run.
   * @throws KernelError ENOMEM when there is none.
   */
  allocateRun(count: number, alignment = 1): Frame {
    if (count === 1 && alignment === 1) return this.allocate();
    const offset = this.first % alignment;
    const start = offset === 0 ? 0 : alignment - offset;
    for (let index = start; index + count <= this.count; ) {
      const taken = this.firstTaken(index, count);
      if (taken === undefined) {
        for (let each = 0; each < count; each += 1) this.take(index + each);
        return (this.first + index) as Frame;
      }
      const next = taken + 1 - start;
      index = start + Math.ceil(next / alignment) * alignment;
    }
    throw outOfMemory(count);
  }

  /** Gives frames back. Giving back what isn't allocated is a defect of the caller. */
  release(frame: Frame, count = 1): void {
    for (let index = frame - this.first; index < frame - this.first + count; index += 1) {
      if (!this.isAllocated((this.first + index) as Frame)) {
        throw new RangeError(
          `page frame 0x${(this.first + index).toString(16)} is released but was not allocated`,
        );
      }
      this.give(index);
    }
  }

  /** Index of the first taken frame among `count` from `index`, or undefined. */
  private firstTaken(index: number, count: number): number | undefined {
    const bits = this.levels[0];
    for (let at = index; at < index + count; ) {
      if ((at & 31) === 0 && at + 32 <= index + count && bits[at >>> 5] === 0xffffffff) at += 32;
      else if (((bits[at >>> 5] >>> (at & 31)) & 1) === 0) return at;
      else at += 1;
    }
    return undefined;
  }

  private take(index: number): void {
    this.free -= 1;
    let at = index;
    for (const level of this.levels) {
      level[at >>> 5] &= ~(1 << (at & 31));
      if (level[at >>> 5] !== 0) return;
      at >>>= 5;
    }
  }

  private give(index: number): void {
    this.free += 1;
    let at = index;
    for (const level of this.levels) {
      const before = level[at >>> 5];
      level[at >>> 5] = before | (1 << (at & 31));
      if (before !== 0) return;
      at >>>= 5;
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
