import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { groupsOf } from '../../hw/isolation/groups.ts';
import { builtInHost, builtInHostNames } from '../../src/hosts/builtin.ts';
import { hexExport } from '../../src/hosts/export-lspci.ts';
import { loadHost } from '../../src/hosts/import.ts';
import { importLspci } from '../../src/hosts/lspci.ts';

const lspci = spawnSync('lspci', ['--version']).status === 0;

function decoded(file: string): string {
  return execFileSync('lspci', ['-F', file, '-Dvvvnnxxxx'], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

describe.skipIf(!lspci)('our hex export read by lspci -F (skipped without pciutils)', () => {
  it.each(['mixed-mf-slot', 'remove-rescan', 'sriov-igb-root-bus', 'dmar-rmrr'])(
    '%s: decodes to the same text as the original',
    (name) => {
      const folder = mkdtempSync(join(tmpdir(), 'vtdeck-lspci-'));
      try {
        const path = join(import.meta.dirname, '../fixtures/captures', name, 'lspci.txt.gz');
        writeFileSync(join(folder, 'original'), gunzipSync(readFileSync(path)));
        writeFileSync(join(folder, 'ours'), hexExport(loadHost(path).description));
        expect(decoded(join(folder, 'ours'))).toBe(decoded(join(folder, 'original')));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  it.each(['mixed-mf-slot', 'remove-rescan', 'sriov-igb-root-bus', 'dmar-rmrr'])(
    '%s: the text that the lspci of this machine makes of it gives the same groups',
    (name) => {
      const folder = mkdtempSync(join(tmpdir(), 'vtdeck-lspci-'));
      try {
        const { description } = loadHost(join(import.meta.dirname, '../fixtures/captures', name));
        writeFileSync(join(folder, 'host'), hexExport(description));
        const text = decoded(join(folder, 'host')).replaceAll(/^[0-9a-f]{2,3}: (?:[0-9a-f]{2} ?)+\n/gm, '');
        const { functions } = importLspci(text);
        const members = (one: typeof description) => groupsOf(one).groups.map((group) => group.devices);
        expect(members({ ...description, functions })).toEqual(members(description));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  it.each(builtInHostNames())(
    '%s: lspci finds every function of the built-in host and no broken list',
    (name) => {
      const folder = mkdtempSync(join(tmpdir(), 'vtdeck-lspci-'));
      try {
        const host = builtInHost(name);
        writeFileSync(join(folder, 'host'), host === undefined ? '' : hexExport(host));
        const text = decoded(join(folder, 'host'));
        const shown = text.split('\n').filter((line) => /^[0-9a-f]{4}:[0-9a-f]{2}:/.test(line));
        expect(shown).toHaveLength(host?.functions.filter((one) => one.config !== undefined).length ?? -1);
        expect(text).not.toMatch(/chain broken|looped|Capabilities: \[[0-9a-f]+\] #/i);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});
