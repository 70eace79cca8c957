import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { PROGRAM } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'vtdeck-start-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function version(program: string): { output: string; said: string } {
  const done = spawnSync(process.execPath, [program, '--version'], {
    encoding: 'utf8',
    env: { ...process.env, VTDECK_CODE: 'tell' },
  });
  return { output: done.stdout, said: done.stderr };
}

describe('the built program', () => {
  it('runs from the code that the build has compiled', () => {
    expect(version(PROGRAM)).toEqual({
      output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      said: 'compiled code taken\n',
    });
  });

  it('runs all the same where that code is missing, cut short or something else', () => {
    cpSync(join(PROGRAM, '..'), join(folder, 'dist'), { recursive: true });
    cpSync(join(PROGRAM, '..', '..', 'package.json'), join(folder, 'package.json'));
    const program = join(folder, 'dist', 'vtdeck.js');
    const cache = join(folder, 'dist', 'program.cache');
    const { output } = version(PROGRAM);
    truncateSync(cache, 100_000);
    expect(version(program)).toEqual({ output, said: 'compiled code not taken\n' });
    writeFileSync(cache, 'something else');
    expect(version(program)).toEqual({ output, said: 'compiled code not taken\n' });
    rmSync(cache);
    expect(version(program)).toEqual({ output, said: 'compiled code not taken\n' });
  });
});
