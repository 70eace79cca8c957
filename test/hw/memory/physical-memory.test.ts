/** Physical memory: what is installed, what is not, what nobody wrote to. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhysicalMemory } from '../../../hw/memory/physical-memory.ts';

const MIB = 2 ** 20;

describe('installed ranges', () => {
  const memory = new PhysicalMemory([
    { start: 0, end: 3 * MIB },
    { start: 4 * MIB, end: 5 * MIB },
    { start: 2 ** 32, end: 2 ** 32 + MIB },
  ]);

  it('reads zero where nobody wrote', () => {
    expect(memory.read(MIB, 4)).toEqual(new Uint8Array(4));
    expect(memory.residentBytes).toBe(0);
  });

  it('refuses what lies outside, also in part', () => {
    expect(memory.write(3 * MIB - 2, new Uint8Array(4).fill(1))).toBe(false);
    expect(memory.read(3 * MIB - 2, 2)).toEqual(new Uint8Array(2));
    expect(memory.read(3 * MIB - 2, 4)).toBeUndefined();
    expect(memory.write32(3 * MIB, 1)).toBe(false);
    expect(memory.write64(2 ** 33, 1n)).toBe(false);
    expect(memory.zero(2 ** 40, 1)).toBe(false);
    expect(memory.read32(3 * MIB)).toBe(0);
  });

  it('tells the walker which addresses of a half-installed chunk are memory', () => {
    expect(memory.chunkAt(0, 3 * MIB - 8)).toBeDefined();
    expect(memory.chunkAt(0, 3 * MIB)).toBeUndefined();
    expect(memory.chunkAt(0, 4 * MIB)).toBeDefined();
    expect(memory.chunkAt(1, 0)).toBeDefined();
    expect(memory.chunkAt(1, MIB)).toBeUndefined();
    expect(memory.chunkAt(0xfffff, 0)).toBeUndefined();
  });

  it('shows the walker what was written after it first looked', () => {
    const own = new PhysicalMemory([{ start: 0, end: 4 * MIB }]);
    expect(own.chunkAt(0, 0)?.[1]).toBe(0);
    own.write32(4, 77);
    expect(own.chunkAt(0, 0)?.[1]).toBe(77);
    expect(own.chunkAt(0, 2 * MIB)?.[1]).toBe(0);
  });

  it('has nothing beyond 2^53, where Numbers have gaps', () => {
    const all = new PhysicalMemory([{ start: 0, end: 2 ** 52 }]);
    expect(all.contains(2 ** 52 - 1, 1)).toBe(true);
    expect(all.contains(2 ** 64 - 4, 8)).toBe(false);
    expect(all.write32(2 ** 45, 5)).toBe(true);
    expect(all.read32(2 ** 45)).toBe(5);
    expect(all.chunkAt(2 ** 13, 0)?.[0]).toBe(5);
  });

  it('joins ranges that touch', () => {
    const own = new PhysicalMemory([
      { start: MIB, end: 2 * MIB },
      { start: 0, end: MIB },
    ]);
    expect(own.write(MIB - 2, Uint8Array.of(1, 2, 3, 4))).toBe(true);
    expect(own.read(MIB - 2, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it('keeps read-only ranges as they are', () => {
    const own = new PhysicalMemory([
      { start: 0, end: MIB },
      { start: MIB, end: 2 * MIB, readOnly: true },
    ]);
    expect(own.writable(MIB - 4, 8)).toBe(false);
    expect([
      own.write32(MIB, 1),
      own.write64(MIB, 1n),
      own.write(MIB, Uint8Array.of(1)),
      own.zero(MIB, 1),
    ]).toEqual([false, false, false, false]);
    expect(own.write32(MIB - 4, 1)).toBe(true);
  });
});

describe('against a plain array', () => {
  it('any mix of writes and reads', () => {
    const size = 5 * MIB;
    const place = fc.nat(size / 4 - 1).map((word) => word * 4);
    const near = fc.constantFrom(2 * MIB - 8, 2 * MIB - 4, 2 * MIB, 4 * MIB - 4);
    const at = fc.oneof(place, near);
    const step = fc.oneof(
      fc.tuple(fc.constant('word' as const), at, fc.nat(0xffffffff)),
      fc.tuple(fc.constant('bytes' as const), at, fc.nat(40)),
      fc.tuple(fc.constant('zero' as const), at, fc.nat(40)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const memory = new PhysicalMemory([{ start: 0, end: size }]);
        const plain = new Uint8Array(size);
        const view = new DataView(plain.buffer);
        for (const [kind, address, value] of steps) {
          if (kind === 'word') {
            memory.write32(address, value);
            view.setUint32(address, value, true);
          } else if (address + value <= size) {
            const bytes = kind === 'zero' ? new Uint8Array(value) : new Uint8Array(value).fill(address);
            expect(kind === 'zero' ? memory.zero(address, value) : memory.write(address, bytes)).toBe(true);
            plain.set(bytes, address);
          }
        }
        for (const [, address] of steps) {
          expect(memory.read32(address)).toBe(view.getUint32(address, true));
          const length = Math.min(64, size - address);
          expect(memory.read(address, length)).toEqual(plain.slice(address, address + length));
        }
        for (const page of memory.writtenPages())
          expect(plain.subarray(page * 4096, page * 4096 + 4096).some((byte) => byte !== 0)).toBe(true);
      }),
      { seed: 3, numRuns: 60 },
    );
  });
});
