import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { loadHost } from '../../src/hosts/import.ts';
import { importLspci } from '../../src/hosts/lspci.ts';
import { sharedFolder } from '../support/shared.ts';

interface LinuxGroup {
  type: string;
  reserved: string[];
  devices: string[];
}

const folder = sharedFolder('captures');
const names =
  folder === undefined
    ? []
    : readdirSync(folder).filter((name) => existsSync(join(folder, name, 'groups.json')));

/** `0x00000000fee00000 0x00000000feefffff msi` without leading zeros. */
function short(line: string): string {
  return line.replaceAll(/0x0*(?=[0-9a-f])/g, '0x');
}

describe.skipIf(folder === undefined)(
  'groups of captured Linux 7.2 boots (skipped without ../shared/captures)',
  () => {
    it.each(names)('%s: the same partition, numbers, types and reserved regions as Linux', (name) => {
      const path = join(folder ?? '', name);
      const linux = JSON.parse(readFileSync(join(path, 'groups.json'), 'utf8')) as Record<string, LinuxGroup>;
      const { description, problems } = loadHost(path);
      const report = groupsOf(description);
      expect(problems).toEqual([]);
      expect(report.unknown).toEqual([]);
      const expected = Object.entries(linux).map(([id, group]) => ({
        id: Number(id),
        devices: [...group.devices].sort(),
        type: group.type,
        reserved: group.reserved.map(short),
      }));
      const actual = report.groups.map((group) => ({
        id: group.id,
        devices: [...group.devices].sort(),
        type: group.type,
        reserved: group.reserved.map((region) => `${region.start} ${region.end} ${region.type}`),
      }));
      expect(actual).toEqual(expected);
    });

    it.each(names)(
      '%s: every device is grouped or listed as ungrouped, and every member has a reason',
      (name) => {
        const { description } = loadHost(join(folder ?? '', name));
        const report = groupsOf(description);
        const told = [
          ...report.groups.flatMap((group) => group.devices),
          ...report.ungrouped.map((one) => one.device),
        ];
        expect(told.sort()).toEqual(description.functions.map((one) => one.address).sort());
        for (const group of report.groups) {
          expect(group.reasons.map((reason) => reason.device)).toEqual(group.devices);
          for (const reason of group.reasons) {
            expect(reason.detail).not.toBe('');
            if (group.devices.length === 1) expect(reason.rule).toBe('alone');
            else expect(group.devices).toContain(reason.with);
          }
        }
      },
    );

    it.each(names)('%s: the same partition from the text alone, without its hex dump', (name) => {
      const path = join(folder ?? '', name);
      const whole = loadHost(path).description;
      const text = readFileSync(join(path, 'lspci.txt'), 'latin1').replaceAll(
        /^[0-9a-f]{2,3}: (?:[0-9a-f]{2} ?)+\n/gm,
        '',
      );
      const functions = importText(text);
      const report = groupsOf({ ...whole, functions });
      expect(report.unknown).toEqual([]);
      const partition = (groups: readonly { devices: readonly string[] }[]): string[] =>
        groups.map((group) => [...group.devices].sort().join(' ')).sort();
      expect(partition(report.groups)).toEqual(partition(groupsOf(whole).groups));
    });
  },
);

function importText(text: string) {
  return importLspci(text).functions;
}
