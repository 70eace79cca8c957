import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { KernelError } from '../../../../hw/kernel/errno.ts';
import { PageTable } from '../../../../hw/kernel/intel/page-table.ts';
import { firstLevelFormat, secondLevelFormat } from '../../../../hw/kernel/intel/page-table-format.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { PageAllocator } from '../../../../hw/kernel/page-allocator.ts';
import { KERNEL_PROFILES } from '../../../../hw/kernel/profile.ts';
import { PhysicalMemory } from '../../../../hw/memory/physical-memory.ts';
import type { Frame, Page } from '../../../../hw/memory/types.ts';

const RW = IommuProt.read | IommuProt.write;
const GIB = 2 ** 18;
const MIB2 = 512;
const page = (number: number): Page => number as Page;
const frame = (number: number): Frame => number as Frame;

let memory: PhysicalMemory;
let frames: PageAllocator;

beforeEach(() => {
  memory = new PhysicalMemory([{ start: 0, end: 2 ** 32 }]);
  frames = new PageAllocator(frame(0x80000), 0x80000);
});

const tableOf = (levels: number, format = secondLevelFormat('never')): PageTable =>
  new PageTable(memory, frames, format, levels);

function leaves(table: PageTable): [number, number, number][] {
  const found: [number, number, number][] = [];
  table.forEachLeaf((at, leaf) => found.push([at, leaf.level, leaf.frame]));
  return found;
}

describe('page sizes: the largest that alignment of IOVA and frame, and what is left, allow', () => {
  it('uses 1 GiB, 2 MiB and 4 KiB in one mapping', () => {
    const table = tableOf(4);
    table.map(page(GIB), frame(2 * GIB), GIB + MIB2 + 3, RW, 3);
    expect(leaves(table)).toEqual([
      [GIB, 3, 2 * GIB],
      [2 * GIB, 2, 3 * GIB],
      [2 * GIB + MIB2, 1, 3 * GIB + MIB2],
      [2 * GIB + MIB2 + 1, 1, 3 * GIB + MIB2 + 1],
      [2 * GIB + MIB2 + 2, 1, 3 * GIB + MIB2 + 2],
    ]);
  });

  it('uses 4 KiB only when IOVA and frame differ in the low bits', () => {
    const table = tableOf(4);
    table.map(page(MIB2 + 1), frame(MIB2), MIB2, RW, 3);
    expect(leaves(table).every(([, level]) => level === 1)).toBe(true);
    expect(leaves(table)).toHaveLength(MIB2);
  });

  it('stays below what the unit can walk', () => {
    const table = tableOf(4);
    table.map(page(0), frame(0), GIB, RW, 2);
    expect(leaves(table).every(([, level]) => level === 2)).toBe(true);
  });

  it('carries frames beyond 32 address bits', () => {
    const table = tableOf(4);
    table.map(page(5), frame(0xffffe), 4, RW, 3);
    expect(leaves(table).map(([, , at]) => at)).toEqual([0xffffe, 0xfffff, 0x100000, 0x100001]);
  });
});

describe('unmap', () => {
  it('takes a large page that is hit as a whole (generic page tables of 7.x)', () => {
    const table = tableOf(4);
    table.map(page(0), frame(0), MIB2, RW, 3);
    expect(table.unmap(page(7), 1)).toBe(MIB2);
    expect(leaves(table)).toEqual([]);
  });

  it('frees tables that lie wholly inside the range, and those only', () => {
    const table = tableOf(4);
    table.map(page(1), frame(1), 2 * MIB2, RW, 1);
    const before = table.tableCount;
    table.unmap(page(1), MIB2 - 1);
    expect(table.tableCount).toBe(before);
    table.unmap(page(MIB2), MIB2);
    expect(table.tableCount).toBe(before - 1);
  });

  it('gives every table back at the end', () => {
    const used = frames.usedFrames;
    const table = tableOf(5);
    table.map(page(0x123456789), frame(77), 3000, RW, 3);
    table.free();
    expect(frames.usedFrames).toBe(used);
  });
});

describe('a map that is refused', () => {
  it('changes nothing: EADDRINUSE over a mapping at its end', () => {
    const table = tableOf(4);
    table.map(page(5000), frame(1), 1, RW, 3);
    const before = { tables: table.tableCount, leaves: leaves(table) };
    expect(() => table.map(page(0), frame(0), 5001, RW, 1)).toThrow(
      expect.objectContaining({ code: 'EADDRINUSE' }),
    );
    expect({ tables: table.tableCount, leaves: leaves(table) }).toEqual(before);
  });

  it('changes nothing: ENOMEM half way', () => {
    frames = new PageAllocator(frame(0x80000), 6);
    const table = tableOf(4);
    table.map(page(0), frame(0), 1, RW, 1);
    const before = { used: frames.usedFrames, leaves: leaves(table) };
    expect(() => table.map(page(1), frame(1), 8 * MIB2, RW, 1)).toThrow(KernelError);
    expect({ used: frames.usedFrames, leaves: leaves(table) }).toEqual(before);
  });
});

describe('entries as the kernel writes them', () => {
  const lowBits = (format: ReturnType<typeof secondLevelFormat>, prot: number): number => {
    const table = tableOf(4, format);
    table.map(page(1), frame(9), 1, prot, 3);
    return (table.lookup(1)?.low ?? 0) & 0xfff;
  };

  it('second level: 1 read, 2 write, 3 both', () => {
    expect(lowBits(secondLevelFormat('never'), IommuProt.read)).toBe(1);
    expect(lowBits(secondLevelFormat('never'), IommuProt.write)).toBe(2);
    expect(lowBits(secondLevelFormat('never'), RW)).toBe(3);
    expect(lowBits(secondLevelFormat('always'), RW)).toBe(0x803);
  });

  it('first level of 7.2: 25h read-only, 67h writable (debugfs of a running 7.2.13)', () => {
    const format = firstLevelFormat(KERNEL_PROFILES['7.2']);
    expect(lowBits(format, IommuProt.read)).toBe(0x25);
    expect(lowBits(format, RW)).toBe(0x67);
    expect(lowBits(format, IommuProt.write)).toBe(0x67);
  });
});

it('agrees with a map of pages over random operations', () => {
  const operation = fc.record({
    kind: fc.constantFrom('map' as const, 'map' as const, 'unmap' as const),
    at: fc.oneof(
      fc.nat(40),
      fc.nat(4000),
      fc.nat(20).map((n) => n * MIB2),
    ),
    frame: fc.oneof(
      fc.nat(9000),
      fc.nat(20).map((n) => n * MIB2),
    ),
    count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2000 })),
    largest: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 12 }), (operations) => {
      memory = new PhysicalMemory([{ start: 0, end: 2 ** 32 }]);
      frames = new PageAllocator(frame(0x80000), 0x1000);
      const table = tableOf(4);
      const model = new Map<number, number>();
      for (const { kind, at, frame: to, count, largest } of operations) {
        if (kind === 'map') {
          const taken = Array.from({ length: count }, (_, index) => at + index).some((each) =>
            model.has(each),
          );
          const act = (): void => table.map(page(at), frame(to), count, RW, largest);
          if (taken) expect(act).toThrow(KernelError);
          else {
            act();
            for (let index = 0; index < count; index += 1) model.set(at + index, to + index);
          }
        } else {
          // Large pages that are hit go as a whole.
          const gone = new Set<number>();
          table.forEachLeaf((first, { level }) => {
            const span = 512 ** (level - 1);
            if (first < at + count && first + span > at)
              for (let each = first; each < first + span; each += 1) gone.add(each);
          });
          expect(table.unmap(page(at), count)).toBe(gone.size);
          for (const each of gone) model.delete(each);
        }
      }
      const seen = new Map<number, number>();
      table.forEachLeaf((first, { level, frame: to }) => {
        for (let each = 0; each < 512 ** (level - 1); each += 1) seen.set(first + each, to + each);
      });
      expect(seen).toEqual(model);
      for (const [at, to] of [...model].slice(0, 50)) expect(table.lookup(at)?.frame).toBe(to);
      table.free();
      expect(frames.usedFrames).toBe(0);
    }),
    { numRuns: 60 },
  );
});
