import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { outputSchemas } from '../../src/output-schemas.ts';

const root = join(import.meta.dirname, '../..');
const program = join(root, 'dist/vtdeck.js');
const captures = join(root, 'test/fixtures/captures');
const folder = mkdtempSync(join(tmpdir(), 'vtdeck-fleet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const names = readdirSync(captures).filter((name) =>
  readdirSync(join(captures, name)).some((file) => file.startsWith('lspci.txt')),
);
for (const name of names) cpSync(join(captures, name), join(folder, name), { recursive: true });
const parallel = spawnSync('sh', ['-c', 'command -v parallel']).status === 0;

describe('a folder of captures in one call', () => {
  it('one line of JSON a host, each as its schema says; progress goes to stderr', () => {
    const done = spawnSync(process.execPath, [program, 'plan', '--fleet', folder], { encoding: 'utf8' });
    const lines = done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ host }) => host).sort()).toEqual(names.map((name) => join(folder, name)).sort());
    for (const line of lines) outputSchemas.fleet.parse(line);
    expect(done.stderr).toContain(`${names.length} of ${names.length} hosts`);
    expect(done.status).toBe(0);
  });

  it('a host that can not be read is a line of its own, and the exit code tells', () => {
    const broken = mkdtempSync(join(tmpdir(), 'vtdeck-broken-'));
    cpSync(join(captures, names[0]), join(broken, 'good'), { recursive: true });
    writeFileSync(join(broken, 'bad.txt'), 'no lspci at all\n');
    const done = spawnSync(process.execPath, [program, 'plan', '--fleet', broken], { encoding: 'utf8' });
    const lines = done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter((line) => line.error !== undefined).map(({ host }) => host)).toEqual([
      join(broken, 'bad.txt'),
    ]);
    expect(done.status).toBe(1);
    rmSync(broken, { recursive: true, force: true });
  });
});

describe.skipIf(!parallel)('the same per host under GNU parallel (skipped where it is not installed)', () => {
  it('each gives the plan that it gives alone', () => {
    const device = '0000:00:01.0';
    const command = `cd ${folder} && ls | parallel -j2 '${process.execPath} ${program} plan --host {} --assign ${device} --json > {}.json'`;
    spawnSync('sh', ['-c', command]);
    for (const name of names) {
      const alone = spawnSync(
        process.execPath,
        [program, 'plan', '--host', join(folder, name), '--assign', device, '--json'],
        { encoding: 'utf8' },
      );
      expect(execFileSync('cat', [join(folder, `${name}.json`)], { encoding: 'utf8' })).toBe(alone.stdout);
    }
  });
});
