import { describe, expect, it } from 'vitest';
import { hotplugSlot, initialSlots, MEBIBYTE } from '../../../hw/guest/memory-layout.ts';
import { workloadTransfers } from '../../../hw/guest/workload.ts';

describe('guest memory', () => {
  it('keeps up to 2.75 GiB below the hole, and 2 GiB of a larger machine (QEMU pc_q35.c)', () => {
    expect(initialSlots(2816n * MEBIBYTE)).toHaveLength(1);
    const large = initialSlots(8192n * MEBIBYTE);
    expect(large.map((slot) => [slot.guestAddress, slot.lengthBytes])).toEqual([
      [0n, 0x80000000n],
      [0x100000000n, 6144n * MEBIBYTE],
    ]);
  });

  it('plugs memory in above all that is there, on a GiB boundary', () => {
    const slots = initialSlots(64n * MEBIBYTE);
    const first = hotplugSlot(slots, 2n * MEBIBYTE);
    expect(first).toMatchObject({ slot: 1, guestAddress: 0x100000000n });
    expect(hotplugSlot([...slots, first], 2n * MEBIBYTE)).toMatchObject({
      slot: 2,
      guestAddress: 0x140000000n,
    });
  });
});

describe('workload', () => {
  const options = {
    seed: 7,
    transfers: 500,
    largestBytes: 8192,
    readsPerThousand: 400,
    strayPerThousand: 50,
  };
  const ranges = [
    { iova: 0n, lengthBytes: 0x200000n },
    { iova: 0x100000000n, lengthBytes: 0x40000000n },
  ];

  it('is the same for the same seed', () => {
    expect([...workloadTransfers(ranges, options)]).toEqual([...workloadTransfers(ranges, options)]);
    expect([...workloadTransfers(ranges, options)]).not.toEqual([
      ...workloadTransfers(ranges, { ...options, seed: 8 }),
    ]);
  });

  it('stays within its ranges but for the strays, which begin just behind one', () => {
    let strays = 0;
    for (const one of workloadTransfers(ranges, options)) {
      const end = one.iova + BigInt(one.lengthBytes);
      const inside = ranges.some((range) => one.iova >= range.iova && end <= range.iova + range.lengthBytes);
      if (inside) continue;
      strays += 1;
      expect(ranges.map((range) => range.iova + range.lengthBytes)).toContain(one.iova);
    }
    expect(strays).toBeGreaterThan(5);
    expect(strays).toBeLessThan(60);
  });
});
