import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { takeLock } from '../../src/session/lock.ts';
import { bundleChild } from './bundle.ts';

describe('the lock between processes', () => {
  let folder = '';
  let script = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vtdeck-lock-'));
    script = await bundleChild('lock-child', folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('lets one in at a time, also when holders die with it', async () => {
    const place = mkdtempSync(join(folder, 'place-'));
    const lock = join(place, 'lock');
    const counter = join(place, 'counter');
    writeFileSync(counter, '0');
    // Three that end well after 20 rounds, three that are killed in their seventh.
    const children = [0, 0, 0, 7, 7, 7].map((dieAt) => {
      const child = spawn(process.execPath, [script, lock, counter, '20', String(dieAt)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let errors = '';
      child.stderr.on('data', (chunk) => {
        errors += chunk;
      });
      return new Promise<string>((resolve) => child.on('close', () => resolve(errors)));
    });
    expect((await Promise.all(children)).join('')).toBe('');
    expect(Number(readFileSync(counter, 'utf8'))).toBe(3 * 20 + 3 * 7);
    expect(readdirSync(place).filter((name) => !['counter', 'lock'].includes(name))).toEqual([]);
  });

  it('is given back without a word where its folder is gone', () => {
    const place = mkdtempSync(join(folder, 'gone-'));
    const lock = takeLock(join(place, 'lock'), 'test', new Date(0));
    rmSync(place, { recursive: true });
    expect('release' in lock && lock.release()).toBeUndefined();
  });
});
