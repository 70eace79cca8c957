/**
 * What the kernel half costs: auxiliary attach and detach, PASIDs over sixteen parents, map and unmap of every size up
 * to a million live mappings. Each line gives time and bytes for one operation; they must stay flat as numbers grow.
 */
import type { IntelDomain } from '../hw/kernel/intel/domain.ts';
import type { Frame, Page } from '../hw/memory/types.ts';
import { benchMachine, PARENTS } from './kernel/machine.ts';

const RW = 3;
const column = (value: string | number, width: number): string => String(value).padStart(width);
const each = (nanoseconds: number, count: number): string => {
  const one = nanoseconds / count;
  return one >= 10_000 ? `${(one / 1000).toFixed(1)} µs` : `${Math.round(one)} ns`;
};
const now = (): number => Number(process.hrtime.bigint());

function timed(work: () => void): number {
  const before = now();
  work();
  return now() - before;
}

function heap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Attach and detach of one domain in auxiliary mode while others are attached. */
function auxiliaryPairs(): void {
  console.log('auxiliary attach and detach, 5.15, while other domains are attached');
  console.log(
    `${column('attached', 10)}${column('pairs', 10)}${column('attach', 10)}${column('detach', 10)}`,
  );
  for (const [attached, pairs] of [
    [0, 2_000],
    [0, 10_000],
    [1_000, 10_000],
    [10_000, 10_000],
  ]) {
    const { machine, parents } = benchMachine('5.15');
    const { auxiliary, intel } = machine.kernel;
    const [parent] = parents;
    if (auxiliary === undefined || intel === undefined) throw new Error('no auxiliary domains');
    auxiliary.enableFeature(parent);
    for (let count = 0; count < attached; count += 1) auxiliary.attach(intel.allocate(parent, {}), parent);
    let attachTime = 0;
    let detachTime = 0;
    // Ten domains in turn: a fresh one each time would measure the allocation of its table.
    for (let done = 0; done < pairs; done += 100) {
      const domains = Array.from({ length: 100 }, () => intel.allocate(parent, {}));
      attachTime += timed(() => {
        for (const domain of domains) auxiliary.attach(domain, parent);
      });
      detachTime += timed(() => {
        for (const domain of domains) auxiliary.detach(domain, parent);
      });
      for (const domain of domains) domain.free();
    }
    const line = [each(attachTime, pairs), each(detachTime, pairs)].map((text) => column(text, 10)).join('');
    console.log(`${column(attached, 10)}${column(pairs, 10)}${line}`);
  }
}

/** One domain for each parent, on ever more PASIDs. */
function pasids(): void {
  console.log(`\nPASIDs over ${PARENTS} parents, 7.2 (a table entry has 64 bytes)`);
  const { machine, parents } = benchMachine('7.2');
  const { iommu, intel } = machine.kernel;
  if (intel === undefined) throw new Error('no driver');
  const domains = parents.map((parent) => intel.allocate(parent, {}));
  console.log(`${column('PASIDs', 10)}${column('attach', 10)}${column('bytes each', 12)}`);
  const start = heap();
  let done = 0;
  for (const upTo of [10_000, 100_000, 1_000_000]) {
    const before = done;
    const time = timed(() => {
      for (; done < upTo; done += 1) {
        const parent = done % PARENTS;
        iommu.attachDevicePasid(domains[parent], parents[parent], Math.floor(done / PARENTS) + 1);
      }
    });
    const bytes = (heap() - start) / upTo;
    console.log(
      `${column(upTo, 10)}${column(each(time, upTo - before), 10)}${column(Math.round(bytes), 12)}`,
    );
  }
  const total = done;
  const time = timed(() => {
    while (done > 0) {
      done -= 1;
      const parent = done % PARENTS;
      iommu.detachDevicePasid(domains[parent], parents[parent], Math.floor(done / PARENTS) + 1);
    }
  });
  console.log(`detach of all: ${each(time, total)} each, with PASID-cache, IOTLB and device-TLB flushes`);
}

/** Live mappings of one size, made in order and taken away again. */
function mappings(): void {
  console.log('\nmap and unmap through a domain that is attached, 7.2');
  console.log(
    `${column('size', 8)}${column('live', 10)}${column('map', 10)}${column('unmap', 10)}${column('bytes each', 12)}`,
  );
  const { machine, parents } = benchMachine('7.2');
  const { iommu, intel } = machine.kernel;
  if (intel === undefined) throw new Error('no driver');
  const domain: IntelDomain = intel.allocate(parents[0], {});
  iommu.attachDevice(domain, parents[0]);
  const sizes: readonly (readonly [string, number, readonly number[]])[] = [
    ['4K', 1, [1_000, 100_000, 1_000_000]],
    ['64K', 16, [1_000, 100_000]],
    ['2M', 512, [1_000, 100_000]],
    ['1G', 512 * 512, [100, 1_000]],
  ];
  for (const [name, pages, counts] of sizes) {
    for (const count of counts) {
      const tables = domain.table?.tableCount ?? 0;
      const map = timed(() => {
        for (let index = 0; index < count; index += 1) {
          domain.map((index * pages) as Page, (0x100000 + index * pages) as Frame, pages, RW);
        }
      });
      const bytes = (((domain.table?.tableCount ?? 0) - tables) * 4096) / count;
      const unmap = timed(() => {
        for (let index = 0; index < count; index += 1) domain.unmap((index * pages) as Page, pages);
      });
      console.log(
        `${column(name, 8)}${column(count, 10)}${column(each(map, count), 10)}${column(each(unmap, count), 10)}${column(bytes.toFixed(1), 12)}`,
      );
      domain.unmap(0 as Page, count * pages);
    }
  }
  const gigabyte = timed(() => domain.map(0 as Page, 0x100001 as Frame, 512 * 512, RW));
  console.log(`1 GiB in one call as 4K leaves: ${(gigabyte / 1e6).toFixed(2)} ms`);
}

export function run(): void {
  auxiliaryPairs();
  pasids();
  mappings();
}
