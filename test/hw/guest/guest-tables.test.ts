/** Tables of a guest's own IOMMU driver: first-level entries in guest memory. VT-d 9.7 and 3.6. */
import { describe, expect, it } from 'vitest';
import { GuestTables } from '../../../hw/guest/guest-tables.ts';

const PAGE = 4096n;
const TABLES = 0x100000n;

/** Guest memory where the tables lie, and how often it was written. */
function lab(lengthBytes = 0x100000n) {
  const bytes = new Uint8Array(Number(lengthBytes));
  let writes = 0;
  const memory = {
    read: (at: bigint, length: number) => bytes.slice(Number(at - TABLES), Number(at - TABLES) + length),
    write: (at: bigint, data: Uint8Array) => {
      writes += 1;
      bytes.set(data, Number(at - TABLES));
    },
  };
  const tables = new GuestTables(memory, TABLES, lengthBytes);
  return { tables, writes: () => writes };
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'success';
}

describe('tables of a guest', () => {
  it('count what was mapped when they unmap, across holes and tables', () => {
    const { tables } = lab();
    tables.map(0x200000n - PAGE, 0n, 2n * PAGE, true);
    tables.map(1n << 40n, 0n, PAGE, true);
    expect(tables.unmap(0n, (1n << 40n) + PAGE)).toBe(3);
    expect(tables.unmap(0n, (1n << 40n) + PAGE)).toBe(0);
  });

  it('pass over what was never mapped without looking at each page: 128 TiB at once', () => {
    const { tables } = lab();
    tables.map(0x5000n, 0n, PAGE, true);
    expect(tables.unmap(0n, 1n << 47n)).toBe(1);
  });

  it('refuse a mapping that they have no room for before they write anything', () => {
    const { tables, writes } = lab(8n * PAGE);
    const before = writes();
    expect(codeOf(() => tables.map(0n, 0n, 1n << 40n, true))).toBe('ENOMEM');
    // Root, two directories and a table are enough for the first 2 MiB, six more tables are not there.
    expect(codeOf(() => tables.map(0n, 0n, 0xe00000n, true))).toBe('ENOMEM');
    expect(writes()).toBe(before);
    expect(codeOf(() => tables.map(0n, 0n, 0xa00000n, true))).toBe('success');
    expect(tables.unmap(0n, 0xa00000n)).toBe(0xa00);
  });

  it.each([
    ['half a page', 0n, 0x800n],
    ['nothing', 0n, 0n],
    ['an address within a page', 0x10n, PAGE],
    ['beyond 47 bits', 1n << 47n, PAGE],
    ['a range that ends beyond 47 bits', (1n << 47n) - PAGE, 2n * PAGE],
  ])('EINVAL: %s', (_what, iova, length) => {
    const { tables } = lab();
    expect(codeOf(() => tables.map(iova, 0n, length, true))).toBe('EINVAL');
    expect(codeOf(() => tables.unmap(iova, length))).toBe('EINVAL');
  });
});
