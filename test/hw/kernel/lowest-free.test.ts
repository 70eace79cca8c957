import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../hw/kernel/errno.ts';
import { LowestFree } from '../../../hw/kernel/lowest-free.ts';
import { PageAllocator } from '../../../hw/kernel/page-allocator.ts';
import type { Frame } from '../../../hw/memory/types.ts';

describe('numbers handed out lowest first', () => {
  it('agrees with a plain set over random takes and gives', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('lowest' as const), number: fc.nat(300) }),
      fc.record({ kind: fc.constant('take' as const), number: fc.nat(300) }),
      fc.record({ kind: fc.constant('give' as const), number: fc.nat(300) }),
    );
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.integer({ min: 1, max: 250 }),
        fc.array(operation),
        (first, count, operations) => {
          const numbers = new LowestFree(first, count);
          const taken = new Set<number>();
          const lowest = (): number | undefined => {
            for (let number = first; number < first + count; number += 1)
              if (!taken.has(number)) return number;
            return undefined;
          };
          for (const { kind, number } of operations) {
            if (kind === 'lowest') {
              const expected = lowest();
              const fits = expected !== undefined && expected <= number ? expected : undefined;
              expect(numbers.takeLowest(number)).toBe(fits);
              if (fits !== undefined) taken.add(fits);
            } else if (kind === 'take') {
              const fits = number >= first && number < first + count && !taken.has(number);
              expect(numbers.take(number)).toBe(fits);
              if (fits) taken.add(number);
            } else {
              expect(numbers.give(number)).toBe(taken.delete(number));
            }
            expect(numbers.free).toBe(count - taken.size);
            expect(numbers.isTaken(number)).toBe(taken.has(number));
          }
        },
      ),
    );
  });

  it('finds the lowest aligned run', () => {
    const frames = new PageAllocator(3 as Frame, 64);
    expect(frames.allocate()).toBe(3);
    expect(frames.allocateRun(4, 4)).toBe(4);
    expect(frames.allocateRun(2, 2)).toBe(8);
    frames.release(5 as Frame);
    expect(frames.allocateRun(1, 1)).toBe(5);
    expect(frames.allocateRun(32, 32)).toBe(32);
    expect(() => frames.allocateRun(32, 32)).toThrow(KernelError);
  });

  it('tells a release of what was never allocated', () => {
    const frames = new PageAllocator(0 as Frame, 8);
    expect(() => frames.release(3 as Frame)).toThrow(RangeError);
  });
});
