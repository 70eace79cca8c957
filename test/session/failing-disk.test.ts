import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { finish } from '../../hw/index.ts';
import { createSession, openSession } from '../../src/session/store.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

/** How many more bytes the journal's disk takes; then it takes part of a write and says that it is full. */
const disk = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY, syncFails: false }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const full = (): Error =>
    Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  return {
    ...real,
    writeSync(descriptor: number, bytes: Buffer, offset: number, length: number, position: number) {
      if (disk.left <= 0) throw full();
      const written = real.writeSync(descriptor, bytes, offset, Math.min(length, disk.left), position);
      disk.left -= written;
      return written;
    },
    fdatasyncSync(descriptor: number) {
      if (disk.syncFails) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
      real.fdatasyncSync(descriptor);
    },
  };
});

describe('a disk that fails under the journal', () => {
  const home = ownHome();
  afterEach(() => {
    disk.left = Number.POSITIVE_INFINITY;
    disk.syncFails = false;
  });

  it('at every byte: the act is refused, nothing else is lost, and it goes on when there is room', () => {
    const workspace = openOnFake('a', { create: true });
    workspace.dispatch('vm.create', { vm: 'alpha' });
    const path = join(home.path, 'sessions', 'a', 'journal');
    const before = readFileSync(path);
    const digest = workspace.host.digest();
    for (let room = 0; room < 120; room += 3) {
      disk.left = room;
      const outcome = workspace.dispatch('vm.create', { vm: 'beta', memory: '128M' });
      expect(outcome.ok).toBe(false);
      if (!outcome.ok) {
        expect(outcome.error.code).toBe('ENOSPC');
        expect(outcome.error.place?.file).toBe(path);
      }
      expect(workspace.host.digest()).toBe(digest);
      expect(readFileSync(path)).toEqual(before);
    }
    disk.left = Number.POSITIVE_INFINITY;
    expect(workspace.dispatch('vm.create', { vm: 'beta' }).ok).toBe(true);
    workspace.close();
    const again = openOnFake('a');
    expect(again.journal).toHaveLength(2);
    again.close();
  });

  it('when it can not be synced: the act is refused, and undo too', () => {
    const workspace = openOnFake('a', { create: true });
    workspace.dispatch('vm.create', { vm: 'alpha' });
    const digest = workspace.host.digest();
    disk.syncFails = true;
    for (const outcome of [workspace.dispatch('vm.create', { vm: 'beta' }), workspace.undo()]) {
      expect(outcome.ok).toBe(false);
      if (!outcome.ok) expect(outcome.error.code).toBe('EIO');
    }
    expect(workspace.host.digest()).toBe(digest);
    disk.syncFails = false;
    workspace.close();
    const again = openOnFake('a');
    expect(again.journal).toHaveLength(1);
    again.close();
  });
});

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

describe.skipIf(!isRoot)('a small real disk (tmpfs; skipped where it can not be mounted)', () => {
  let home = '';
  let mounted = false;
  const before = process.env.VTDECK_HOME;
  beforeEach((context) => {
    home = mkdtempSync(join(tmpdir(), 'vtdeck-small-'));
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', home]).status === 0;
    if (!mounted) context.skip();
    process.env.VTDECK_HOME = home;
  });
  afterEach(() => {
    if (mounted) spawnSync('umount', [home]);
    rmSync(home, { recursive: true, force: true });
    if (before === undefined) delete process.env.VTDECK_HOME;
    else process.env.VTDECK_HOME = before;
  });

  /** Leaves no free block. */
  function fill(): void {
    const filler = join(home, 'filler');
    for (let blocks = 64; blocks > 0; blocks = Math.floor(blocks / 2)) {
      for (;;) {
        const old = existsSync(filler) ? readFileSync(filler) : Buffer.alloc(0);
        try {
          writeFileSync(filler, Buffer.concat([old, Buffer.alloc(blocks * 4096)]));
        } catch {
          writeFileSync(filler, old);
          break;
        }
      }
    }
  }

  it('keeps the snapshot that was, and every act told to be done', () => {
    const workspace = openOnFake('a', { create: true });
    workspace.dispatch('vm.create', { vm: 'alpha' });
    workspace.save();
    const snapshot = readFileSync(join(home, 'sessions', 'a', 'session.json'), 'utf8');
    fill();
    let told = 1;
    for (let n = 0; n < 200; n++) {
      const outcome = workspace.dispatch('vm.write', { vm: 'alpha', address: '0x0', data: 'aa'.repeat(64) });
      if (!outcome.ok) {
        expect(outcome.error.code).toBe('ENOSPC');
        break;
      }
      told += 1;
    }
    const saved = workspace.save();
    expect(saved.ok).toBe(false);
    expect(readFileSync(join(home, 'sessions', 'a', 'session.json'), 'utf8')).toBe(snapshot);
    workspace.close();
    expect(workspace.notices.join(' ')).toMatch(/snapshot|journal/);
    rmSync(join(home, 'filler'));
    const again = openOnFake('a');
    expect(again.journal).toHaveLength(told);
    expect(finish(again.checkDigests()).problem).toBeUndefined();
    again.close();
  });
});

describe.skipIf(!isRoot)('a disk that was made read-only (skipped where it can not be mounted)', () => {
  const home = ownHome();
  it('opens to read, and says why', (context) => {
    openOnFake('a', { create: true }).close();
    const folder = join(home.path, 'sessions');
    const bound = spawnSync('mount', ['--bind', folder, folder]).status === 0;
    if (!bound) context.skip();
    try {
      expect(spawnSync('mount', ['-o', 'remount,ro,bind', folder]).status).toBe(0);
      const workspace = openOnFake('a');
      expect(workspace.readOnlyReason).toContain('can not be written');
      const outcome = workspace.dispatch('vm.create', { vm: 'alpha' });
      expect(outcome.ok).toBe(false);
      workspace.close();
    } finally {
      spawnSync('umount', [folder]);
    }
  });
});

describe('a home that can not be written', () => {
  const home = ownHome();
  it('is named, with what to do', () => {
    createSession('a', { origin: ORIGIN }, new Date(0));
    const folder = join(home.path, 'sessions', 'a');
    chmodSync(folder, 0o555);
    // Root writes anyway: look as somebody else does.
    if (isRoot) {
      for (const path of [home.path, join(home.path, 'sessions')]) chmodSync(path, 0o755);
      for (const file of readdirSync(folder)) chmodSync(join(folder, file), 0o644);
      process.seteuid?.(NOBODY);
    }
    try {
      expect(openSession('a', 'test', new Date(0)).readOnlyReason).toContain('can not be written');
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(folder, 0o700);
    }
  });
});
