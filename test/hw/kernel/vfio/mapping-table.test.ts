import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MappingTable, NONE } from '../../../../hw/kernel/vfio/type1/mapping-table.ts';

interface Naive {
  start: number;
  pages: number;
}

describe('table of mappings', () => {
  it('answers like a sorted list, whatever is added and removed (dma_list of vfio_iommu_type1.c)', () => {
    const step = fc.record({
      add: fc.boolean(),
      start: fc.integer({ min: 0, max: 4000 }),
      pages: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 3000, size: 'max' }), (steps) => {
        const table = new MappingTable();
        let naive: Naive[] = [];
        for (const { add, start, pages } of steps) {
          const met = naive.find((each) => each.start < start + pages && start < each.start + each.pages);
          const slot = table.find(start, start + pages);
          const expected = naive
            .filter((each) => each.start < start + pages && start < each.start + each.pages)
            .sort((a, b) => a.start - b.start)[0];
          expect(slot === NONE ? undefined : table.start(slot)).toBe(expected?.start);
          if (add && met === undefined) {
            table.insert(start, pages, start, 3, 0);
            naive.push({ start, pages });
          } else if (!add && slot !== NONE) {
            table.remove(slot);
            naive = naive.filter((each) => each.start !== expected.start);
          }
        }
        expect(table.count).toBe(naive.length);
        const walked: number[] = [];
        for (let slot = table.first(); slot !== NONE; slot = table.next(slot)) walked.push(table.start(slot));
        expect(walked).toEqual(naive.map((each) => each.start).sort((a, b) => a - b));
        expect(table.last() === NONE ? undefined : table.start(table.last())).toBe(walked.at(-1));
      }),
      { numRuns: 20 },
    );
  });

  it('holds the last page below 2^64', () => {
    const table = new MappingTable();
    const slot = table.insert(2 ** 52 - 1, 1, 5, 3, 0);
    expect(table.end(slot)).toBe(2 ** 52);
    expect(table.find(2 ** 52 - 1, 2 ** 52)).toBe(slot);
    expect(table.find(0, 2 ** 52 - 1)).toBe(NONE);
  });

  it('gives slots back', () => {
    const table = new MappingTable();
    for (let round = 0; round < 5; round += 1) {
      const slots = Array.from({ length: 2000 }, (_, index) => table.insert(index * 3, 2, 0, 1, 0));
      for (const slot of slots) table.remove(slot);
    }
    expect(table.count).toBe(0);
    expect(table.bytes).toBeLessThan(400_000);
  });
});
