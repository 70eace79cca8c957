import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SharedPages, UserAccounts } from '../../../../hw/kernel/iommufd/pages.ts';
import { SmallHost } from '../small-host.ts';

const PAGE = 4096;
const COUNT = 1200;
const runs = Number(process.env.VTDECK_RUNS ?? 40);

/** Pages from the middle of a 2 MiB page to the middle of another one. */
function shared(huge: boolean): {
  pages: SharedPages;
  frameOf: (index: number) => number;
  charged: () => number;
} {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const process = host.kernel.processes.create('owner');
  const address = process.memory.mapAnonymous(0x800000, { huge });
  const firstPage = address / PAGE + 100;
  return {
    pages: new SharedPages(process, new UserAccounts(), { kind: 'user', firstPage }, COUNT, true, 'none'),
    frameOf: (index) => process.memory.frameAt(firstPage + index, true),
    charged: () => process.memory.pinnedPages,
  };
}

const range = fc
  .tuple(fc.integer({ min: 0, max: COUNT - 1 }), fc.integer({ min: 1, max: COUNT }))
  .map(([first, count]) => ({ first, count: Math.min(count, COUNT - first) }));

describe('pages that several page tables and accesses hold (iopt_pages, pages.c)', () => {
  it.each([true, false])('are pinned once while anybody holds them; memory in 2 MiB pages: %s', (huge) => {
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 12 }), (ranges) => {
        const { pages, frameOf, charged } = shared(huge);
        const holds = new Array<number>(COUNT).fill(0);
        const check = (): void => {
          expect(pages.pinnedPages).toBe(holds.filter((each) => each > 0).length);
          pages.settle();
          expect(charged()).toBe(pages.pinnedPages);
        };
        const held: { first: number; count: number }[] = [];
        for (const [turn, each] of ranges.entries()) {
          pages.hold(each.first, each.count);
          held.push(each);
          for (let index = each.first; index < each.first + each.count; index += 1) {
            holds[index] += 1;
            if (pages.frame(index) !== frameOf(index)) expect.fail(`page ${index} has the wrong frame`);
          }
          let run = 1;
          while (run < each.count && frameOf(each.first + run) === frameOf(each.first) + run) run += 1;
          expect(pages.run(each.first, each.count)).toBe(run);
          check();
          if (turn % 3 !== 2) continue;
          const [gone] = held.splice(turn % held.length, 1);
          pages.drop(gone.first, gone.count);
          for (let index = gone.first; index < gone.first + gone.count; index += 1) holds[index] -= 1;
          check();
        }
        for (const each of held) {
          pages.drop(each.first, each.count);
          for (let index = each.first; index < each.first + each.count; index += 1) holds[index] -= 1;
          check();
        }
        expect(pages.pinnedPages).toBe(0);
      }),
      { numRuns: runs },
    );
  });
});
