import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bundledSessionNames } from '../../src/session/bundled.ts';

const program = join(import.meta.dirname, '../../dist/vtdeck.js');
const folder = mkdtempSync(join(tmpdir(), 'vtdeck-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const vtdeck = (...words: string[]) =>
  spawnSync(process.execPath, [program, ...words], {
    encoding: 'utf8',
    env: { ...process.env, VTDECK_HOME: join(folder, 'home') },
  });
const schemas = '/usr/share/libvirt/schemas';
const lint = spawnSync('sh', ['-c', 'command -v xmllint']).status === 0 && existsSync(schemas);

describe('vtdeck export', () => {
  const out = join(folder, 'four');
  it('writes each file once, for all machines of a session', () => {
    const done = vtdeck('export', 'all', '--session', 'four-adis', '--out', out, '--json');
    expect(done.status).toBe(0);
    const names = JSON.parse(done.stdout).artefacts.map(({ file }: { file: string }) => file);
    expect(new Set(names).size).toBe(names.length);
    expect(readdirSync(out).sort()).toEqual([...names].sort());
    expect(readFileSync(join(out, 'define-mdevs.sh'), 'utf8').match(/mdevctl define/g)).toHaveLength(4);
  });
  it('scripts are shell, and files that are there are kept: exit 3, nothing written', () => {
    for (const name of readdirSync(out).filter((file) => file.endsWith('.sh')))
      expect(spawnSync('sh', ['-n', join(out, name)]).status).toBe(0);
    const again = vtdeck('export', 'qemu', '--session', 'four-adis', '--out', out);
    expect(again.status).toBe(3);
    expect(again.stderr).toContain('guest1.sh');
  });
  it('an option that the target lacks: exit 2, with the version that has it', () => {
    const done = vtdeck('export', 'qemu', '--session', 'four-adis', '--iommufd');
    expect(done.status).toBe(2);
    expect(done.stderr).toMatch(/qemu 7\.2\.0 does not know the iommufd object[\s\S]*9\.0\.0/);
  });
});

describe.skipIf(!lint)(
  'every bundled session exports XML that libvirt accepts (skipped without xmllint and libvirt)',
  () => {
    it.each(bundledSessionNames())('%s', (session) => {
      const done = vtdeck(
        'export',
        'libvirt',
        '--session',
        session,
        '--out',
        join(folder, session),
        '--json',
      );
      if (done.status === 2) expect(done.stdout).toContain('no machine');
      else expect(done.status).toBe(0);
      const files = existsSync(join(folder, session)) ? readdirSync(join(folder, session)) : [];
      for (const file of files.filter((name) => !name.startsWith('hostdev'))) {
        const schema = join(schemas, file.startsWith('nodedev') ? 'nodedev.rng' : 'domain.rng');
        const checked = spawnSync('xmllint', ['--noout', '--relaxng', schema, join(folder, session, file)], {
          encoding: 'utf8',
        });
        expect(checked.stderr).toContain('validates');
      }
    });
  },
);
