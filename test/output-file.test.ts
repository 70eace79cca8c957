/** Files that the operator names are written whole or not at all. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { writeWholeFile } from '../src/output-file.ts';
import { takeLock } from '../src/session/lock.ts';
import { makeFolder } from '../src/session/paths.ts';
import { ownHome } from './session/workspace-on.ts';

/** While full, the disk takes the first bytes of a file and no more. */
const disk = vi.hoisted(() => ({ full: false }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return {
    ...real,
    writeFileSync(path: string, content: string, options: object) {
      real.writeFileSync(path, disk.full ? content.slice(0, 3) : content, options);
      if (disk.full)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    },
  };
});

describe('on a full disk', () => {
  const home = ownHome();

  it('a file keeps what it held, the error names it, and nothing is left beside it', () => {
    const path = join(home.path, 'a.txt');
    writeWholeFile(path, 'before');
    disk.full = true;
    expect(() => writeWholeFile(path, 'after')).toThrow(expect.objectContaining({ code: 'ENOSPC', path }));
    expect(() => writeWholeFile(join(home.path, 'b.txt'), 'after')).toThrow('ENOSPC');
    expect(() => takeLock(join(home.path, 'lock'), 'test', new Date(0))).toThrow('ENOSPC');
    disk.full = false;
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(home.path)).toEqual(['a.txt']);
  });
});

describe('what is there', () => {
  const home = ownHome();

  it('is replaced through a link, and a folder stays one', () => {
    writeFileSync(join(home.path, 'real'), 'before');
    symlinkSync('real', join(home.path, 'link'));
    writeWholeFile(join(home.path, 'link'), 'after');
    expect(readFileSync(join(home.path, 'real'), 'utf8')).toBe('after');
    mkdirSync(join(home.path, 'folder'));
    expect(() => writeWholeFile(join(home.path, 'folder'), 'x')).toThrow('EISDIR');
    writeWholeFile('/dev/null', 'x');
  });

  it('as a file can not become a folder, nor anything below /proc', () => {
    writeFileSync(join(home.path, 'file'), '');
    expect(() => makeFolder(join(home.path, 'file'))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
    expect(() => makeFolder('/proc/none/such')).toThrow('ENOENT');
    makeFolder(join(home.path, 'deep', 'er'));
    expect(readdirSync(join(home.path, 'deep'))).toEqual(['er']);
  });
});
