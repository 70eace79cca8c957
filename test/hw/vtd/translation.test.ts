/** What no transcript reaches: five levels, nested tables, accessed and dirty bits, protected memory. VT-d 3. */
import { describe, expect, it } from 'vitest';
import { Access, privileged } from '../../../hw/vtd/access.ts';
import { qemuUnit, serverUnit } from '../../../hw/vtd/configuration.ts';
import { dmaRead, dmaWrite } from '../../../hw/vtd/dma.ts';
import { explain } from '../../../hw/vtd/explain.ts';
import { GlobalBit } from '../../../hw/vtd/registers.ts';
import { MEMORY_BYTES, REQUESTER, VtdLab } from '../../support/vtd-lab.ts';

/** Uses all five levels: indices 3, 5, 7, 9, 11. */
const WIDE = (3n << 48n) | (5n << 39n) | (7n << 30n) | (9n << 21n) | (11n << 12n) | 0x123n;

describe('five levels', () => {
  it.each([
    [1, 0x3456000n, 0x3456123n],
    [2, 0x3400000n, 0x3400000n | (WIDE & 0x1fffffn)],
    [3, 0n, WIDE & 0x3fffffffn],
  ])('of the second level in legacy mode, leaf at level %i', (level, frame, physical) => {
    const lab = new VtdLab();
    const top = lab.page();
    lab.map(top, 5, WIDE, level, frame | (level > 1 ? 0x83n : 3n));
    lab.legacy({ addressWidth: 3, secondLevelPointer: top });
    expect(lab.translate(WIDE)).toBe(physical);
    // Once more from the IOTLB.
    expect(lab.translate(WIDE)).toBe(physical);
    expect(lab.translate(1n << 57n)).toBeUndefined();
    expect(lab.takeFaults()[0].reason).toBe(4);
  });

  it.each([
    ['positive', WIDE],
    ['negative', (WIDE | (0x1fen << 55n) | (1n << 56n)) & 0xffffffffffffffffn],
  ])('of the first level, %s addresses', (_sign, address) => {
    const lab = new VtdLab();
    const top = lab.page();
    lab.map(top, 5, address, 1, 0x3456007n);
    lab.scalable({ 4: { translationType: 1, firstLevelPagingMode: 1, firstLevelPointer: top } });
    expect(lab.translate(address, Access.read, 4)).toBe(0x3456123n);
  });

  it('need a unit that walks them', () => {
    const lab = new VtdLab({ configuration: serverUnit({ addressWidths: 0b0110, firstLevel5Levels: 0 }) });
    lab.legacy({ addressWidth: 3, secondLevelPointer: lab.page() });
    expect(lab.reasonOf(WIDE)).toBe(0x03);
    const first = new VtdLab({ configuration: serverUnit({ firstLevel5Levels: 0 }) });
    first.scalable({ 0: { translationType: 1, firstLevelPagingMode: 1, firstLevelPointer: first.page() } });
    expect(first.reasonOf(WIDE)).toBe(0x5b);
  });
});

describe('nested translation', () => {
  /** Guest memory from 0 is at 16 MiB of the host; guest tables at guest 0x100000 and up. */
  const OFFSET = 0x1000000;
  function build(lab: VtdLab, leaf: bigint, secondLeaf: bigint) {
    const second = lab.page();
    for (let page = 0x100000; page < 0x104000; page += 4096)
      lab.map(second, 4, BigInt(page), 1, BigInt(page + OFFSET) | 3n);
    const guest = (table: number, index: number, entry: bigint): void => {
      lab.memory.write64(OFFSET + 0x100000 + table * 4096 + index * 8, entry);
    };
    guest(0, 0, 0x101007n);
    guest(1, 0, 0x102007n);
    guest(2, 0, 0x103007n);
    guest(3, 5, leaf);
    lab.map(second, 4, 0x200000n, 1, secondLeaf);
    lab.scalable({
      3: { translationType: 3, addressWidth: 2, secondLevelPointer: second, firstLevelPointer: 0x100000 },
    });
    return second;
  }

  it('sends tables and result of the first level through the second', () => {
    const lab = new VtdLab();
    build(lab, 0x200007n, 0x3abc003n);
    expect(lab.translate(0x5123n, Access.read, 3)).toBe(0x3abc123n);
    const steps = explain(lab.unit, REQUESTER, 0x5123n, Access.read, 3).steps.map((step) => step.structure);
    expect(steps.filter((name) => name.startsWith('first-level'))).toHaveLength(4);
    // Four for each table, and again for each accessed bit that had to be set; four for the result.
    expect(steps.filter((name) => name.startsWith('second-level')).length).toBeGreaterThanOrEqual(20);
  });

  it('grants what both levels grant', () => {
    const lab = new VtdLab();
    build(lab, 0x200007n, 0x3abc001n);
    expect(lab.translate(0x5000n, Access.read, 3)).toBe(0x3abc000n);
    expect(lab.reasonOf(0x5000n, Access.write, 3)).toBe(0x85);
    const other = new VtdLab();
    build(other, 0x200005n, 0x3abc003n);
    expect(other.reasonOf(0x5000n, Access.write, 3)).toBe(0x85);
  });

  it("sets the first level's accessed and dirty bits in guest memory", () => {
    const lab = new VtdLab();
    build(lab, 0x200007n, 0x3abc003n);
    lab.translate(0x5000n, Access.write, 3);
    expect(lab.memory.read64(OFFSET + 0x103000 + 5 * 8)).toBe(0x200067n);
    expect(lab.memory.read64(OFFSET + 0x100000)).toBe(0x101027n);
  });
});

describe('accessed and dirty bits', () => {
  const setUp = (more: object, leaf: bigint) => {
    const lab = new VtdLab();
    const top = lab.page();
    const at = lab.map(top, 4, 0x5000n, 1, leaf);
    lab.scalable({ 0: { addressWidth: 2, ...more, secondLevelPointer: top, firstLevelPointer: top } });
    return { lab, at, top };
  };

  it('of the second level are kept only where the entry says so', () => {
    const off = setUp({ translationType: 2 }, 0x3000003n);
    off.lab.translate(0x5000n, Access.write);
    expect(off.lab.memory.read64(off.at)).toBe(0x3000003n);
    const on = setUp({ translationType: 2, secondLevelAccessDirtyEnable: 1 }, 0x3000003n);
    on.lab.translate(0x5000n);
    expect(on.lab.memory.read64(on.at)).toBe(0x3000103n);
    expect(on.lab.memory.read32(on.top)).toBe((on.lab.memory.read32(on.top) & ~0xfff) | 0x107);
  });

  it('dirty is set before a write goes through a translation that a read has cached', () => {
    const { lab, at } = setUp({ translationType: 2, secondLevelAccessDirtyEnable: 1 }, 0x3000003n);
    lab.translate(0x5000n);
    lab.translate(0x5000n, Access.write);
    expect(lab.memory.read64(at)).toBe(0x3000303n);
  });

  it('extended accessed is set in every entry of the first level', () => {
    const { lab, at } = setUp({ translationType: 1, extendedAccessedFlagEnable: 1 }, 0x3000007n);
    lab.translate(0x5000n);
    expect(lab.memory.read64(at)).toBe(0x3000427n);
  });

  it('that are set already need no page-walk snoop', () => {
    const leaf = 0x3000067n;
    const { lab, top } = setUp({ translationType: 1, pageWalkSnoop: 0 }, leaf);
    let table = top;
    for (let level = 4; level > 1; level -= 1) {
      const index = level === 4 || level === 3 || level === 2 ? 0 : 5;
      const at = table + index * 8;
      lab.memory.write64(at, lab.memory.read64(at) | 0x20n);
      table = Number(lab.memory.read64(at) & ~0xfffn);
    }
    expect(lab.translate(0x5000n)).toBe(0x3000000n);
  });

  it('are left alone by a walk that only explains', () => {
    const { lab, at } = setUp({ translationType: 1 }, 0x3000007n);
    const before = lab.memory.writtenPages().map((page) => lab.memory.read(page * 4096, 4096)?.join());
    const walk = explain(lab.unit, REQUESTER, 0x5000n, Access.write);
    expect(walk).toMatchObject({ ok: true, physical: 0x3000000n, page: '4K', cached: 'none' });
    expect(lab.memory.read64(at)).toBe(0x3000007n);
    expect(lab.memory.writtenPages().map((page) => lab.memory.read(page * 4096, 4096)?.join())).toEqual(
      before,
    );
    expect(lab.unit.caches.iotlb.contents()).toEqual([]);
  });
});

describe('privilege and execute', () => {
  it('a supervisor writes read-only pages unless write protection is on', () => {
    for (const [writeProtectEnable, allowed] of [
      [0, true],
      [1, false],
    ] as const) {
      const lab = new VtdLab();
      const top = lab.page();
      lab.map(top, 4, 0x5000n, 1, 0x3000005n);
      lab.scalable({
        2: { translationType: 1, firstLevelPointer: top, supervisorRequestEnable: 1, writeProtectEnable },
      });
      expect(lab.translate(0x5000n, Access.write, 2)).toBeUndefined();
      expect(lab.translate(0x5000n, privileged(Access.write), 2) !== undefined).toBe(allowed);
    }
  });
});

describe('requests while translation is off, and pass-through', () => {
  const protect = (lab: VtdLab): void => {
    lab.write('PLMBASE', 0x400000);
    lab.write('PLMLIMIT', 0x400000);
    lab.write('PMEN', 0x80000000);
  };
  const configuration = serverUnit({ protectedLowMemory: 1, protectedHighMemory: 1 });

  it('keep their address', () => {
    const lab = new VtdLab();
    expect(lab.translate(0x123456n)).toBe(0x123456n);
  });

  it('do not reach protected memory, and no fault is recorded', () => {
    const lab = new VtdLab({ configuration });
    protect(lab);
    expect(lab.read('PMEN')).toBe(0x80000001n);
    expect([0x3ff000n, 0x400000n, 0x5ff000n, 0x600000n].map((at) => lab.translate(at) !== undefined)).toEqual(
      [true, false, false, true],
    );
    lab.legacy({ translationType: 2, addressWidth: 3 });
    expect(lab.translate(0x400000n)).toBeUndefined();
    expect(lab.translate(0x600000n)).toBe(0x600000n);
    expect(lab.takeFaults()).toEqual([]);
    lab.write('PMEN', 0);
    expect(lab.translate(0x400000n)).toBe(0x400000n);
  });

  it('protected memory does not concern the unit itself, nor translated requests', () => {
    const lab = new VtdLab({ configuration });
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x400003n);
    lab.legacy({ secondLevelPointer: top });
    protect(lab);
    expect(lab.translate(0x5000n)).toBe(0x400000n);
  });

  it('a unit without protected regions has no such registers', () => {
    const lab = new VtdLab({ configuration: qemuUnit() });
    protect(lab);
    expect(lab.unit.mmioRead(0x64, 4)).toBe(0n);
    expect(lab.translate(0x400000n)).toBe(0x400000n);
  });

  it('abort-DMA mode aborts all and records nothing', () => {
    const lab = new VtdLab({ configuration: serverUnit({ abortDmaMode: 1 }) });
    lab.start(lab.page(), 3);
    expect(lab.translate(0x5000n)).toBeUndefined();
    expect(lab.takeFaults()).toEqual([]);
  });
});

describe('DMA', () => {
  const map = (lab: VtdLab): void => {
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x3000003n);
    lab.map(top, 4, 0x6000n, 1, 0x3200003n);
    lab.map(top, 4, 0x9000n, 1, 0x30000003n);
    lab.legacy({ secondLevelPointer: top });
  };
  const none = { pasid: -1 };

  it('crosses pages that lie apart', () => {
    const lab = new VtdLab();
    map(lab);
    const bytes = Uint8Array.from({ length: 6000 }, (_, index) => index);
    expect(dmaWrite(lab.unit, REQUESTER, 0x5100n, bytes, none).ok).toBe(true);
    expect(lab.memory.read(0x3000100, 3840)).toEqual(bytes.slice(0, 3840));
    expect(lab.memory.read(0x3200000, 2160)).toEqual(bytes.slice(3840));
    expect(dmaRead(lab.unit, REQUESTER, 0x5100n, 6000, none).bytes).toEqual(bytes);
  });

  it('writes nothing when a page is refused, and tells how far it would have come', () => {
    const lab = new VtdLab();
    map(lab);
    const done = dmaWrite(lab.unit, REQUESTER, 0x6800n, new Uint8Array(4096).fill(1), none);
    expect(done).toMatchObject({ ok: false, reason: 5, bytesBefore: 0x800 });
    expect(lab.memory.read32(0x3200800)).toBe(0);
    expect(lab.takeFaults()[0].address).toBe(0x7000n);
  });

  it('asks for the pages behind one that leads nowhere', () => {
    const lab = new VtdLab();
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x10000003n);
    lab.legacy({ secondLevelPointer: top });
    const done = dmaRead(lab.unit, REQUESTER, 0x5800n, 4096, none);
    expect(done).toMatchObject({ ok: false, reason: undefined, bytesBefore: 0 });
    expect(lab.takeFaults()[0]).toMatchObject({ reason: 6, address: 0x6000n });
  });

  it.each([
    [1, true],
    [0, false],
  ])('reads of no bytes pass to write-only pages where ZLR is %i', (zeroLengthRead, passes) => {
    const lab = new VtdLab({ configuration: serverUnit({ zeroLengthRead }) });
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x3000002n);
    lab.legacy({ secondLevelPointer: top });
    expect(dmaRead(lab.unit, REQUESTER, 0x5000n, 0, none).ok).toBe(passes);
    expect(lab.takeFaults().map((fault) => fault.reason)).toEqual(passes ? [] : [6]);
    expect(dmaRead(lab.unit, REQUESTER, 0x9000n, 0, none).ok).toBe(false);
    expect(lab.takeFaults()[0].reason).toBe(6);
  });

  it('to where no memory is fails without a fault', () => {
    const lab = new VtdLab();
    map(lab);
    expect(dmaRead(lab.unit, REQUESTER, 0x9000n, 8, none)).toMatchObject({ ok: false, reason: undefined });
    expect(lab.takeFaults()).toEqual([]);
  });

  it('across the end of memory fails while translation is off', () => {
    const lab = new VtdLab();
    const end = BigInt(MEMORY_BYTES) + 0x10000n;
    expect(dmaRead(lab.unit, REQUESTER, end - 4n, 8, none).ok).toBe(false);
    expect(dmaRead(lab.unit, REQUESTER, 0xfffffffffffffffcn, 8, none).ok).toBe(false);
  });

  it('to the interrupt range is an interrupt only as one DWORD without PASID', () => {
    const lab = new VtdLab();
    const write = (address: bigint, length: number, pasid = -1): boolean =>
      dmaWrite(lab.unit, REQUESTER, address, new Uint8Array(length).fill(0x41), { pasid }).ok;
    expect(write(0xfee01000n, 4)).toBe(true);
    expect(lab.interrupts).toHaveLength(1);
    expect([write(0xfee01000n, 8), write(0xfee01002n, 4), write(0xfee01000n, 1)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(dmaRead(lab.unit, REQUESTER, 0xfee01000n, 4, none).ok).toBe(false);
    expect(lab.interrupts).toHaveLength(1);
  });

  it('across the start of the interrupt range is a request for memory and an interrupt', () => {
    const lab = new VtdLab();
    const bytes = Uint8Array.of(1, 2, 3, 4, 0x41, 0, 0, 0);
    expect(dmaWrite(lab.unit, REQUESTER, 0xfedffffcn, bytes, none).ok).toBe(false);
    expect(lab.interrupts.map(({ vector }) => vector)).toEqual([0x41]);
    expect(dmaWrite(lab.unit, REQUESTER, 0xfedffffcn, bytes, { pasid: 3 }).ok).toBe(false);
    expect(lab.interrupts).toHaveLength(1);
  });
});

describe('switches', () => {
  it('the root table takes effect when it is latched, not when it is written', () => {
    const lab = new VtdLab();
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x3000003n);
    lab.legacy({ secondLevelPointer: top });
    lab.write('RTADDR', BigInt(lab.page()));
    expect(lab.translate(0x5000n)).toBe(0x3000000n);
    lab.command(GlobalBit.rootTable);
    lab.flush();
    expect(lab.reasonOf(0x5000n)).toBe(1);
  });
});
