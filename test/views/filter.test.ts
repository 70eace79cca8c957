import { describe, expect, it } from 'vitest';
import { fuzzyScore, matcherOf } from '../../views/list/filter.ts';

describe('filters', () => {
  const rows = ['0000:6a:01.0 DSA idxd', '0000:17:00.0 NVMe nvme', '0000:3b:00.0 X710 i40e'];
  const kept = (filter: string): string[] => rows.filter(matcherOf(filter) ?? (() => true));

  it('keep rows that hold the text, whatever its case', () => {
    expect(kept('nvme')).toEqual([rows[1]]);
    expect(kept('dsa')).toEqual([rows[0]]);
    expect(kept('')).toEqual(rows);
  });

  it('keep rows that hold all words', () => {
    expect(kept('00.0 nv')).toEqual([rows[1]]);
  });

  it('turn over with !', () => {
    expect(kept('!nvme')).toEqual([rows[0], rows[2]]);
    expect(kept('!nvme !dsa')).toEqual([rows[2]]);
    expect(kept('!')).toEqual(rows);
  });

  it('take letters in order with ~', () => {
    expect(kept('~x71e')).toEqual([rows[2]]);
    expect(kept('!~x71e')).toEqual([rows[0], rows[1]]);
  });

  it('score a whole word better than scattered letters', () => {
    const whole = fuzzyScore('create', 'mdev.create make a device');
    const scattered = fuzzyScore('create', 'clear every attached thing');
    expect(whole).toBeDefined();
    expect(scattered === undefined || (whole as number) < scattered).toBe(true);
    expect(fuzzyScore('xyz', 'abc')).toBeUndefined();
  });
});
