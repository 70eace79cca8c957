import { describe, expect, it } from 'vitest';
import { PageAllocator } from '../../../../hw/kernel/page-allocator.ts';
import { AddressSpace, type PinnedRun } from '../../../../hw/kernel/process/address-space.ts';
import { UserPages } from '../../../../hw/kernel/process/user-pages.ts';
import { PhysicalMemory } from '../../../../hw/memory/physical-memory.ts';
import type { Frame } from '../../../../hw/memory/types.ts';
import { errnoOf } from '../../../support/vfio-lab.ts';

function fresh(): { space: AddressSpace; allocator: PageAllocator } {
  const memory = new PhysicalMemory([{ start: 0, end: 0x10000000 }]);
  const allocator = new PageAllocator(0x200 as Frame, 0xfe00);
  return { space: new AddressSpace(new UserPages(memory, allocator)), allocator };
}

const run = (): PinnedRun => ({ frame: 0, count: 0, reserved: false });

describe('pages of a process', () => {
  it('small pages are scattered, large ones contiguous', () => {
    const { space } = fresh();
    const small = space.mapAnonymous(0x10000) / 4096;
    const huge = space.mapAnonymous(0x400000, { huge: true }) / 4096;
    const found = run();
    for (let page = small; page < small + 15; page += 1) {
      const frame = space.frameAt(page, true);
      expect(space.frameAt(page + 1, true)).not.toBe(frame + 1);
    }
    space.pin(huge + 3, 10_000, true, found);
    expect(found.count).toBe(509);
    expect(found.frame % 512).toBe(3);
  });

  it('a pinned page outlives its mapping and its process, and is freed with the last pin', () => {
    const { space, allocator } = fresh();
    const before = allocator.usedFrames;
    const address = space.mapAnonymous(0x2000);
    space.write(address, Uint8Array.of(1, 2, 3));
    const found = run();
    space.pin(address / 4096, 1, true, found);
    space.unmap(address, 0x2000);
    expect(space.pages.references(found.frame as Frame)).toBe(1);
    expect([...(space.pages.memory.read(found.frame * 4096, 3) ?? [])]).toEqual([1, 2, 3]);
    space.destroy();
    expect(allocator.usedFrames).toBeGreaterThan(before);
    space.unpin(found.frame, 1);
    expect(allocator.usedFrames).toBe(before);
  });

  it('fork copies private pages and shares shared ones', () => {
    const { space } = fresh();
    const own = space.mapAnonymous(4096);
    const common = space.mapAnonymous(4096, { shared: true });
    space.write(own, Uint8Array.of(7));
    space.write(common, Uint8Array.of(8));
    const child = space.fork();
    space.write(own, Uint8Array.of(9));
    space.write(common, Uint8Array.of(10));
    expect(child.read(own, 1)[0]).toBe(7);
    expect(child.read(common, 1)[0]).toBe(10);
    expect(child.lockedPages).toBe(0);
  });

  it('faults where nothing is, where rights are missing, and beyond the end', () => {
    const { space } = fresh();
    const address = space.mapAnonymous(0x4000);
    space.protect(address + 0x1000, 0x1000, 'r');
    space.protect(address + 0x2000, 0x1000, 'none');
    const pin = (page: number, write: boolean) =>
      errnoOf(() => space.pin(address / 4096 + page, 1, write, run()));
    expect([pin(0, true), pin(1, false), pin(1, true), pin(2, false), pin(3, true), pin(4, false)]).toEqual([
      'success',
      'success',
      'EFAULT',
      'EFAULT',
      'success',
      'EFAULT',
    ]);
    expect(errnoOf(() => space.protect(address, 0x8000, 'r'))).toBe('ENOMEM');
    expect(errnoOf(() => space.unmap(address + 1, 4096))).toBe('EINVAL');
  });

  it('gives back every frame, whatever was mapped, cut and forked', () => {
    const { space, allocator } = fresh();
    const before = allocator.usedFrames;
    const address = space.mapAnonymous(0x40000);
    space.write(address, new Uint8Array(0x40000).fill(5));
    space.unmap(address + 0x3000, 0x2000);
    const child = space.fork();
    space.mapAnonymous(0x400000, { huge: true });
    child.destroy();
    space.destroy();
    expect(allocator.usedFrames).toBe(before);
  });
});
