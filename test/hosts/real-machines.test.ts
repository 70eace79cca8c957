import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { whatIf } from '../../hw/isolation/what-if.ts';
import { loadHost } from '../../src/hosts/import.ts';
import { importLspci } from '../../src/hosts/lspci.ts';
import { sharedFolder } from '../support/shared.ts';

const folder = sharedFolder('hosts/real');
const names =
  folder === undefined
    ? []
    : readdirSync(folder).filter((name) => existsSync(join(folder, name, 'lspci.txt')));
const byRoot = names.filter((name) => !name.endsWith('-nonroot'));
const byOthers = names.filter((name) => name.endsWith('-nonroot'));

/** Device → its group's members, sorted, as the text's "IOMMU group" lines tell. */
function truthOf(listing: ReadonlyMap<string, number>): Map<string, string> {
  const members = new Map<number, string[]>();
  for (const [device, group] of listing) members.set(group, [...(members.get(group) ?? []), device]);
  return new Map(
    [...listing].map(([device, group]) => [device, (members.get(group) ?? []).sort().join(' ')]),
  );
}

/** A line as a terminal of so many columns shows it. */
function cutAt(columns: number, line: string): string {
  let width = 0;
  let shown = '';
  for (const character of line) {
    width = character === '\t' ? (width + 8) & ~7 : width + 1;
    if (width > columns) break;
    shown += character;
  }
  return shown;
}

/** The same machine as other options, rights and terminals would have shown it. */
const THINNER: Readonly<Record<string, (text: string) => string>> = {
  'without root': (text) =>
    text.replaceAll(/(?:^\tCapabilities: .*\n(?:^\t\t.*\n)*)+/gm, '\tCapabilities: <access denied>\n'),
  'lspci -v': (text) => text.replaceAll(/^\t\t+.*\n/gm, ''),
  'without -nn': (text) =>
    text.replaceAll(/^(\S+ .*?) \[[0-9a-f]{4}\]: (.*) \[[0-9a-f]{4}:[0-9a-f]{4}\]/gm, '$1: $2'),
  'cut at 72 columns': (text) =>
    text
      .split('\n')
      .map((line) => cutAt(72, line))
      .join('\n'),
  'without bus numbers': (text) => text.replaceAll(/^\tBus: .*\n/gm, ''),
  'headers only': (text) => text.replaceAll(/^\t.*\n/gm, ''),
};

describe.skipIf(folder === undefined)(
  'groups of real machines (skipped without ../shared/hosts/real)',
  () => {
    it.each(byRoot)('%s: the partition that the machine had', (name) => {
      const { description, listing } = loadHost(join(folder ?? '', name));
      const report = groupsOf(description);
      expect(report.unknown).toEqual([]);
      const truth = truthOf(listing);
      const actual = new Map(
        report.groups.flatMap((group) =>
          group.devices.map((device) => [device, [...group.devices].sort().join(' ')]),
        ),
      );
      expect(Object.fromEntries([...actual].sort())).toEqual(Object.fromEntries([...truth].sort()));
    });

    it.each(byOthers)('%s (read without root): no wrong claim, and what is open is named', (name) => {
      const { description, listing } = loadHost(join(folder ?? '', name));
      const report = groupsOf(description);
      const truth = truthOf(listing);
      expect(report.unknown.length).toBeGreaterThan(0);
      for (const group of report.groups) {
        for (const device of group.devices)
          expect([...group.devices].sort().join(' ')).toBe(truth.get(device));
      }
      for (const one of report.ungrouped) expect(truth.has(one.device)).toBe(false);
      for (const one of report.unknown) expect(one.why).not.toBe('');
    });

    it.each(names)('%s: the "IOMMU group" lines are not what the answer comes from', (name) => {
      const path = join(folder ?? '', name);
      const { description } = loadHost(path);
      const without = { ...description, functions: description.functions.map(({ group: _, ...one }) => one) };
      expect(groupsOf(without).groups).toEqual(groupsOf(description).groups);
    });

    it.each(Object.entries(THINNER))(
      '%s: less text, fewer answers, and none that is wrong',
      (_form, thin) => {
        for (const name of [...byRoot, ...byOthers]) {
          const path = join(folder ?? '', name);
          const { description, listing } = loadHost(path);
          // Taken with the IOMMU off: what it would be with one on is an assumption, and named as one.
          if (listing.size === 0) continue;
          const { functions } = importLspci(thin(readFileSync(join(path, 'lspci.txt'), 'latin1')));
          const report = groupsOf({ ...description, functions });
          const truth = truthOf(listing);
          for (const group of report.groups) {
            for (const device of group.devices)
              expect([name, device, [...group.devices].sort().join(' ')]).toEqual([
                name,
                device,
                truth.get(device),
              ]);
          }
          for (const one of report.ungrouped)
            expect([name, one.device, truth.has(one.device)]).toEqual([name, one.device, false]);
          const told = [
            ...report.groups.flatMap((one) => one.devices),
            ...report.ungrouped.map((one) => one.device),
            ...report.unknown.map((one) => one.device),
          ];
          expect(told.sort()).toEqual(functions.map((one) => one.address).sort());
        }
      },
    );

    // On these machines the numbers follow from the table: units in reverse order, the catch-all last (dmar.c).
    it.each([
      'samsung-960qha',
      'msi-claw-a1m',
      'thinkpad-x1c-gen9',
      'dell-t3600-a82d',
      'msi-prestige13-f253',
    ])('%s: group numbers follow from the DMAR', (name) => {
      const { description, listing } = loadHost(join(folder ?? '', name));
      for (const group of groupsOf(description).groups) {
        for (const device of group.devices) expect([device, group.id]).toEqual([device, listing.get(device)]);
      }
    });

    it('hp-dl380e-gen8: the IOMMU was off; with it on, ACS as the capabilities allow gives 105 groups', () => {
      const { description } = loadHost(join(folder ?? '', 'hp-dl380e-gen8'));
      const report = groupsOf(description);
      expect(report.groups).toEqual([]);
      expect(report.ungrouped[0].why).toContain('the IOMMU was off');
      expect(whatIf(description, { iommu: 'on' }).after.groups).toHaveLength(105);
    });

    it('format-samples: devices of old and new pciutils are read, one with its id cut off', () => {
      const path = join(folder ?? '', 'format-samples', 'pciutils-3.9.txt');
      const { description, problems } = loadHost(path);
      expect(problems).toEqual([]);
      const cut = readFileSync(path, 'latin1')
        .split('\n')
        .find((line) => line.includes('[8086...'));
      const device = description.functions.find((one) => cut?.startsWith(one.address.slice(5)) === true);
      expect(device?.vendorId).toBe(0x8086);
      expect(device?.unknown).toContain('device id');
    });
  },
);
