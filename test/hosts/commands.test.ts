import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../../src/cli.ts';

const printed = vi.hoisted(() => ({ out: '', err: '' }));
vi.mock('../../src/output.ts', () => ({
  printJson: (value: unknown) => {
    printed.out += JSON.stringify(value, (_key, one) =>
      typeof one === 'bigint' ? `0x${one.toString(16)}` : one,
    );
  },
  printText: (text: string) => {
    printed.out += text;
  },
  printError: (text: string) => {
    printed.err += text;
  },
}));

const capture = resolve(import.meta.dirname, '../fixtures/captures/mixed-mf-slot');
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'vtdeck-commands-'));
  process.env.VTDECK_HOME = home;
});
afterAll(() => {
  delete process.env.VTDECK_HOME;
  rmSync(home, { recursive: true, force: true });
});

async function vtdeck(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  printed.out = '';
  printed.err = '';
  process.exitCode = undefined;
  const code = await runCommandLine(words);
  process.exitCode = undefined;
  return { code, ...printed };
}

describe('commands on hosts', () => {
  it('groups --json has the agreed shape', async () => {
    const { code, out } = await vtdeck('groups', '--host', capture, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report.groups[0]).toMatchObject({
      id: 0,
      devices: ['0000:00:00.0'],
      type: 'DMA-FQ',
      reserved: [{ start: '0xfee00000', end: '0xfeefffff', type: 'msi' }],
    });
    expect(Object.keys(report.groups[0].reasons[0])).toEqual(['device', 'with', 'rule', 'detail']);
    expect([report.ungrouped, report.unknown]).toEqual([[], []]);
  });

  it('a host that was imported is found by its name; what-if tells the difference', async () => {
    expect((await vtdeck('host', 'import', capture, '--name', 'lab')).code).toBe(0);
    expect(JSON.parse((await vtdeck('host', 'list', '--json')).out).hosts).toContainEqual({
      name: 'lab',
      kind: 'imported',
    });
    const { out } = await vtdeck('groups', '--host', 'lab', '--iommu', 'off');
    expect(out).toContain('8 groups before, 0 after.');
  });

  it('--explain names the register; an address that is none is wrong usage', async () => {
    expect((await vtdeck('groups', '--host', capture, '--explain', '03:00.0')).out).toContain('The way up');
    expect((await vtdeck('groups', '--host', capture, '--explain', '3')).code).toBe(2);
    expect((await vtdeck('groups', '--host', '/nonexistent', '--json')).code).toBe(2);
  });

  it('topology decodes capabilities', async () => {
    const { out } = await vtdeck('topology', '--host', capture, '--json');
    const { out: text } = await vtdeck('topology', '--host', capture);
    expect(JSON.parse(out).deviceCount).toBe(12);
    expect(text).toContain('Access Control Services: sourceValidation');
  });

  it('a broken DMAR is an error with its offset and exit code 2', async () => {
    const table = join(home, 'dmar.bin');
    writeFileSync(table, Buffer.from('444d415230000000', 'hex'));
    const { code, err } = await vtdeck('groups', '--host', join(capture, 'lspci.txt.gz'), '--dmar', table);
    expect(code).toBe(2);
    expect(err).toMatch(/DMAR/);
  });

  it('a host with a DMAR that lies about its length: wrong input to whatever needs groups, and its devices are shown', async () => {
    const folder = join(home, 'lying');
    mkdirSync(folder);
    copyFileSync(join(capture, 'lspci.txt.gz'), join(folder, 'lspci.txt.gz'));
    const table = readFileSync(join(capture, 'dmar.bin'));
    writeFileSync(join(folder, 'dmar.bin'), table.subarray(0, 60));
    for (const words of [
      ['host', 'show', folder],
      ['host', 'compare', folder, folder],
      ['groups', '--host', folder],
    ]) {
      const { code, err } = await vtdeck(...words);
      expect(code).toBe(2);
      expect(err).toContain('offset 0x4');
    }
    expect((await vtdeck('topology', '--host', folder)).out).toContain('00:1f.0');
  });
});
