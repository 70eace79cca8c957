import { describe, expect, it } from 'vitest';
import { HwptFlag } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { hwptInvalidate } from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import { FirstLevelEntry, PasidTableEntry, TranslationType } from '../../../../hw/vtd/layouts.ts';
import { SmallHost } from '../small-host.ts';
import { type BoundNode, codeOf, User } from './user.ts';

const STAGE_1 = 1;

/** struct iommu_hwpt_vtd_s1. */
function stageOne(table: bigint, width = 48, flags = 0n): { type: number; bytes: Uint8Array } {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, flags, true);
  view.setBigUint64(8, table, true);
  view.setUint32(16, width, true);
  return { type: STAGE_1, bytes };
}

/** Writes a guest's own four-level table into its memory: guest page `from` shows guest page `to`. */
function guestTable(user: User, memory: number, root: number, from: number, to: number): void {
  const entry = (level: number, index: number, target: number): void => {
    const words = FirstLevelEntry.encode({
      present: 1,
      write: 1,
      user: 1,
      address: target * 4096,
    });
    user.process.memory.write(
      memory + (root + 4 - level) * 4096 + index * 8,
      new Uint8Array(words.buffer, 0, 8),
    );
  };
  for (let level = 4; level >= 1; level -= 1) {
    const index = Math.floor(from / 512 ** (level - 1)) % 512;
    entry(level, index, level > 1 ? root + 5 - level : to);
  }
}

/** An invalidation entry {address, pages, flags}. */
function invalidation(address: bigint, pages: bigint, flags = 0): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, address, true);
  view.setBigUint64(8, pages, true);
  view.setUint32(16, flags, true);
  return bytes;
}

function invalidate(user: User, hwpt: number, entries: Uint8Array[]): { code: string; handled: number } {
  const handled = { count: 0 };
  const code = codeOf(() =>
    hwptInvalidate(
      user.context,
      { hwpt, dataType: 0, entryLength: 24, entryCount: entries.length, entries },
      handled,
    ),
  );
  return { code, handled: handled.count };
}

describe('nested translation (drivers/iommu/intel/nested.c, VT-d 9.6)', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const user = new User(host, 'qemu');
  const device: BoundNode = user.bind('A');
  const ioas = user.ioas();
  const memory = user.map(ioas, 0n, 0x100000);
  const parent = user.pageTable(device, ioas, HwptFlag.nestParent);

  it('refuses a read-only mapping below a nesting parent', () => {
    expect(codeOf(() => user.map(ioas, 0x200000n, 0x1000, { flags: 4 }))).toBe('EINVAL');
  });

  it('refuses parents that were not made for it, and data it cannot read', () => {
    const plain = user.pageTable(device, ioas);
    expect(codeOf(() => user.pageTable(device, plain, 0, stageOne(0x1000n)))).toBe('EINVAL');
    expect(codeOf(() => user.pageTable(device, parent, 0, { type: 2, bytes: new Uint8Array(24) }))).toBe(
      'EOPNOTSUPP',
    );
    expect(codeOf(() => user.pageTable(device, parent, 0, { type: 1, bytes: new Uint8Array(16) }))).toBe(
      'EINVAL',
    );
    user.destroy(plain);
  });

  it('looks at width and flags when it is attached', () => {
    const wide = user.pageTable(device, parent, 0, stageOne(0x10000n, 39));
    expect(codeOf(() => device.attach(wide))).toBe('EINVAL');
    user.destroy(wide);
  });

  it('walks the guest table, whose addresses the parent translates', () => {
    guestTable(user, memory, 0x10, 0x7f000, 0x20);
    const nested = user.pageTable(device, parent, 0, stageOne(0x10000n));
    device.attach(nested);
    const words = host.info('A').pasidTable?.read(0) ?? new Uint32Array(16);
    expect(PasidTableEntry.fields.translationType.get(words)).toBe(TranslationType.nested);
    expect(PasidTableEntry.fields.firstLevelPointer.get(words)).toBe(0x10000);
    user.process.memory.write(memory + 0x20000, new Uint8Array([1, 2, 3, 4]));
    expect(host.walk('A', 0x7f000)).toBe(user.process.memory.frameAt(memory / 4096 + 0x20, false));
    expect(host.walk('A', 0x7f001)).toBeLessThan(0);

    // The guest changes its table: what is cached stays until it asks for the invalidation.
    guestTable(user, memory, 0x10, 0x7f000, 0x21);
    expect(invalidate(user, nested, [invalidation(0x7f000000n, 1n)])).toEqual({ code: 'ok', handled: 1 });
    expect(host.walk('A', 0x7f000)).toBe(user.process.memory.frameAt(memory / 4096 + 0x21, false));

    expect(
      invalidate(user, nested, [invalidation(0n, 2n ** 64n - 1n), invalidation(0x1000n, 1n, 2)]),
    ).toEqual({
      code: 'EOPNOTSUPP',
      handled: 1,
    });
    expect(invalidate(user, nested, [invalidation(0x1234n, 1n)]).code).toBe('EINVAL');
    expect(invalidate(user, parent, [invalidation(0n, 1n)]).code).toBe('EINVAL');
    expect(codeOf(() => user.destroy(parent))).toBe('EBUSY');
  });

  it('an unmap in the parent reaches what is cached of the nested translation', () => {
    user.unmap(ioas, 0n, 0x100000n);
    expect(host.walk('A', 0x7f000)).toBeLessThan(0);
  });
});
