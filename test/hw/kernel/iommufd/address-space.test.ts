/** Random sequences against a naive model of an IOAS: one entry for each byte range, searched linearly. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IommufdModule } from '../../../../hw/kernel/iommufd/context.ts';
import { ioasAlloc } from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import {
  ioasCopy,
  ioasIovaRanges,
  ioasMap,
  ioasUnmap,
  MapFlag,
} from '../../../../hw/kernel/iommufd/ioas-requests.ts';
import { IommufdSelftest } from '../../../../hw/kernel/iommufd/selftest/selftest.ts';
import { PageAllocator } from '../../../../hw/kernel/page-allocator.ts';
import { ProcessTable } from '../../../../hw/kernel/process/process.ts';
import { UserPages } from '../../../../hw/kernel/process/user-pages.ts';
import { PhysicalMemory } from '../../../../hw/memory/physical-memory.ts';
import type { Frame } from '../../../../hw/memory/types.ts';
import { codeOf } from './user.ts';

const MEMORY_BYTES = 0x80000;
const RW = MapFlag.readable | MapFlag.writeable;

function setUp() {
  const memory = new PhysicalMemory([{ start: 0, end: 0x40000000 }]);
  const allocator = new PageAllocator(0x1000 as Frame, 0x20000);
  const processes = new ProcessTable(new UserPages(memory, allocator));
  const process = processes.create('user');
  const module = new IommufdModule();
  const context = module.open(process);
  const address = process.memory.mapAnonymous(MEMORY_BYTES, { shared: true });
  return { process, context, address };
}

interface ModelArea {
  iova: bigint;
  last: bigint;
  /** Offset in the memory that shows at `iova`. */
  offset: bigint;
  write: boolean;
  /** The mapping whose pages it shows allow writing. */
  pagesWrite: boolean;
}

type Command =
  | {
      kind: 'map';
      to: 0 | 1;
      iova: bigint | undefined;
      offset: number;
      pages: number;
      half: boolean;
      write: boolean;
    }
  | { kind: 'unmap'; to: 0 | 1; iova: bigint; pages: number }
  | { kind: 'copy'; from: 0 | 1; to: 0 | 1; source: bigint; target: bigint; pages: number; write: boolean };

const space = fc.constantFrom(0 as const, 1 as const);
const iova = fc.integer({ min: 0, max: 0x60 }).map((page) => 0x1100000n + BigInt(page) * 0x800n);
const pages = fc.integer({ min: 1, max: 8 });
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constant('map' as const),
    to: space,
    iova: fc.option(iova, { nil: undefined }),
    offset: fc.integer({ min: 0, max: 100 }),
    pages,
    half: fc.boolean(),
    write: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('unmap' as const), to: space, iova, pages }),
  fc.record({
    kind: fc.constant('copy' as const),
    from: space,
    to: space,
    source: iova,
    target: iova,
    pages,
    write: fc.boolean(),
  }),
);

/** The rules of map, unmap and copy on a plain list. */
class Model {
  areas: ModelArea[] = [];
  alignment = 1n;

  overlap(start: bigint, last: bigint): boolean {
    return this.areas.some((area) => area.iova <= last && area.last >= start);
  }

  refusal(start: bigint, length: bigint, offset: bigint): string {
    if (length % this.alignment !== 0n) return 'EINVAL';
    if (start % this.alignment !== 0n) return 'EINVAL';
    if (this.overlap(start, start + length - 1n)) return 'EEXIST';
    return offset % this.alignment === 0n ? 'ok' : 'EINVAL';
  }

  unmap(start: bigint, last: bigint): { code: string; bytes: bigint } {
    let bytes = 0n;
    for (;;) {
      const hit = this.areas
        .filter((area) => area.iova <= last && area.last >= start)
        .sort((a, b) => (a.iova < b.iova ? -1 : 1))[0];
      if (hit === undefined) return { code: bytes > 0n ? 'ok' : 'ENOENT', bytes };
      if (hit.iova < start || hit.last > last) return { code: 'ENOENT', bytes };
      this.areas.splice(this.areas.indexOf(hit), 1);
      bytes += hit.last - hit.iova + 1n;
    }
  }

  /** The pieces that show a range, or undefined for a gap. */
  pieces(start: bigint, length: bigint): ModelArea[] | undefined {
    const found: ModelArea[] = [];
    for (let at = start; at < start + length; ) {
      const area = this.areas.find((each) => each.iova <= at && each.last >= at);
      if (area === undefined) return undefined;
      const last = area.last < start + length - 1n ? area.last : start + length - 1n;
      found.push({ ...area, iova: at, last, offset: area.offset + (at - area.iova) });
      at = last + 1n;
    }
    return found;
  }
}

describe('an IOAS against a naive model (drivers/iommu/iommufd/io_pagetable.c)', () => {
  it('maps, unmaps and copies as the model does; pages are charged while they show on a device', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), fc.boolean(), (commands, attached) => {
        const { process, context, address } = setUp();
        const selftest = new IommufdSelftest();
        const ids = [ioasAlloc(context, { flags: 0 }), ioasAlloc(context, { flags: 0 })];
        const models = [new Model(), new Model()];
        const device = attached ? selftest.attachDevice(context, ids[0]) : undefined;
        if (attached) models[0].alignment = 0x800n;
        for (const each of commands) {
          if (each.kind === 'map') {
            const model = models[each.to];
            const length = BigInt(each.pages) * 0x1000n - (each.half ? 0x800n : 0n);
            const offset = BigInt(each.offset) * 0x800n;
            const request = {
              ioas: ids[each.to],
              flags: MapFlag.readable | (each.write ? MapFlag.writeable : 0),
              userVa: BigInt(address) + offset,
              length,
              iova: each.iova ?? 0n,
            };
            let at = each.iova;
            if (at === undefined) {
              at = ioasMap(context, process, request);
              expect(model.overlap(at, at + length - 1n)).toBe(false);
              expect(at % 4096n).toBe(offset % 4096n);
            } else {
              const expected = model.refusal(at, length, offset);
              expect(
                codeOf(() =>
                  ioasMap(context, process, { ...request, flags: request.flags | MapFlag.fixedIova }),
                ),
              ).toBe(expected);
              if (expected !== 'ok') continue;
            }
            model.areas.push({
              iova: at,
              last: at + length - 1n,
              offset,
              write: each.write,
              pagesWrite: each.write,
            });
          } else if (each.kind === 'unmap') {
            const length = BigInt(each.pages) * 0x1000n;
            const expected = models[each.to].unmap(each.iova, each.iova + length - 1n);
            let bytes = 0n;
            const code = codeOf(() => {
              bytes = ioasUnmap(context, { ioas: ids[each.to], iova: each.iova, length });
            });
            expect(code).toBe(expected.code);
            if (code === 'ok') expect(bytes).toBe(expected.bytes);
          } else {
            const length = BigInt(each.pages) * 0x1000n;
            const pieces = models[each.from].pieces(each.source, length);
            let expected = 'ENOENT';
            if (pieces !== undefined) {
              expected = models[each.to].refusal(each.target, length, 0n);
              const misfit = pieces.some((piece) => piece.offset % models[each.to].alignment !== 0n);
              if (expected === 'ok' && each.write && pieces.some((piece) => !piece.pagesWrite))
                expected = 'EPERM';
              else if (expected === 'ok' && misfit) expected = 'EINVAL';
            }
            const code = codeOf(() =>
              ioasCopy(context, {
                flags: MapFlag.fixedIova | MapFlag.readable | (each.write ? MapFlag.writeable : 0),
                target: ids[each.to],
                source: ids[each.from],
                length,
                targetIova: each.target,
                sourceIova: each.source,
              }),
            );
            expect(code).toBe(expected);
            if (code !== 'ok' || pieces === undefined) continue;
            for (const piece of pieces)
              models[each.to].areas.push({
                ...piece,
                iova: piece.iova - each.source + each.target,
                last: piece.last - each.source + each.target,
                write: each.write,
              });
          }
        }
        // What the device's page table shows is the memory that the model says, and nothing else is pinned.
        if (device !== undefined) {
          for (const area of models[0].areas)
            selftest.checkMap(
              context,
              process,
              device.hwpt,
              area.iova,
              area.last - area.iova + 1n,
              BigInt(address) + area.offset,
            );
        } else {
          expect(process.memory.pinnedPages).toBe(0);
        }
        for (const id of ids) ioasUnmap(context, { ioas: id, iova: 0n, length: 2n ** 64n - 1n });
        expect(process.memory.pinnedPages).toBe(0);
        context.file.put();
        expect(context.objects.empty).toBe(true);
      }),
      { numRuns: Number(process.env.VTDECK_RUNS ?? 150) },
    );
  });

  it('a failing map changes nothing: neither ranges, nor pins, nor what is mapped', () => {
    const { process: user, context, address } = setUp();
    const selftest = new IommufdSelftest();
    const ioas = ioasAlloc(context, { flags: 0 });
    const { hwpt } = selftest.attachDevice(context, ioas);
    user.memory.unmap(address + 0x8000, 0x1000);
    const map = (offset: number, length: bigint, at: bigint): string =>
      codeOf(() =>
        ioasMap(context, user, {
          ioas,
          flags: RW | MapFlag.fixedIova,
          userVa: BigInt(address + offset),
          length,
          iova: at,
        }),
      );
    expect(map(0, 0x10000n, 0x1100000n)).toBe('EFAULT');
    expect(user.memory.pinnedPages).toBe(0);
    expect(codeOf(() => selftest.checkMap(context, user, hwpt, 0x1100000n, 0x1000n, BigInt(address)))).toBe(
      'EINVAL',
    );
    expect(map(0, 0x8000n, 0x1100000n)).toBe('ok');
    expect(user.memory.pinnedPages).toBe(8);
    expect(ioasIovaRanges(context, { ioas }).ranges).toEqual([{ start: 0x1000000n, last: 0x7fffffffn }]);
  });

  it('automatic places stay quick when many are taken: the search goes on where it stopped', () => {
    const { process: user, context, address } = setUp();
    const ioas = ioasAlloc(context, { flags: 0 });
    const request = { ioas, flags: RW, userVa: BigInt(address), length: 0x1000n, iova: 0n };
    for (let page = 1; page <= 2000; page += 1)
      expect(ioasMap(context, user, request)).toBe(BigInt(page) << 12n);
    ioasUnmap(context, { ioas, iova: 0x5000n, length: 0x1000n });
    expect(ioasMap(context, user, request)).toBe(0x5000n);
    expect(ioasMap(context, user, request)).toBe(2001n << 12n);
  });
});
