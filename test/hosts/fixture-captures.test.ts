import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { loadHost } from '../../src/hosts/import.ts';

const folder = join(import.meta.dirname, '../fixtures/captures');

// Four of the captured boots that travel with the repository, so that these rules are held everywhere.
describe('groups of captured boots', () => {
  it.each([
    ['mixed-mf-slot', 'one slot that mixes bridge kinds'],
    ['remove-rescan', 'numbers after removal and rescan'],
    ['sriov-igb-root-bus', 'virtual functions made after boot'],
    ['dmar-rmrr', 'reserved memory by device and by bridge'],
  ])('%s: %s', (name) => {
    const linux = JSON.parse(readFileSync(join(folder, name, 'groups.json'), 'utf8')) as Record<
      string,
      { type: string; reserved: string[]; devices: string[] }
    >;
    const actual = groupsOf(loadHost(join(folder, name)).description).groups.map((group) => [
      group.id,
      group.type,
      [...group.devices].sort(),
      group.reserved.map((one) => `${one.start} ${one.end} ${one.type}`),
    ]);
    const expected = Object.entries(linux).map(([id, group]) => [
      Number(id),
      group.type,
      [...group.devices].sort(),
      group.reserved.map((line) => line.replaceAll(/0x0*(?=[0-9a-f])/g, '0x')),
    ]);
    expect(actual).toEqual(expected);
  });
});
