import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import type { LiveWorkspace } from '../../src/session/live-workspace.ts';
import { inMemory, openOnFake, ownHome } from './workspace-on.ts';

function act(workspace: LiveWorkspace, name: string, args: Record<string, unknown>): void {
  const outcome = workspace.dispatch(name, args);
  if (!outcome.ok) throw outcome.error;
}

describe('a workspace', () => {
  const home = ownHome();

  it('is back after closing, with the same digest', () => {
    const first = openOnFake('a', { create: true });
    act(first, 'vm.create', { vm: 'alpha', memory: '64M' });
    act(first, 'vm.write', { vm: 'alpha', address: '0x1000', data: 'CAFE' });
    const digest = first.host.digest();
    first.close();
    const second = openOnFake('a');
    expect(second.host.digest()).toBe(digest);
    expect(second.journal.map((entry) => entry.action)).toEqual(['vm.create', 'vm.write']);
    second.close();
  });

  it('is back after no closing at all: an act counts once its line is written', () => {
    const first = openOnFake('a', { create: true });
    act(first, 'vm.create', { vm: 'alpha' });
    const digest = first.host.digest();
    // The process is still there and has the lock, so the second opens to read.
    const second = openOnFake('a');
    expect(second.readOnlyReason).toContain(`process ${process.pid} (test)`);
    expect(second.host.digest()).toBe(digest);
    first.close();
  });

  it('takes a refused act back wholly, even one that had begun', () => {
    const workspace = openOnFake('a', { create: true });
    act(workspace, 'vm.create', { vm: 'alpha' });
    const digest = workspace.host.digest();
    const outcome = workspace.dispatch('vm.add-memory', { vm: 'alpha', memory: '4G' });
    expect(outcome.ok).toBe(false);
    if (!outcome.ok) expect(outcome.error.code).toBe('EINVAL');
    expect(workspace.host.digest()).toBe(digest);
    expect(workspace.journal).toHaveLength(1);
    workspace.close();
  });

  it('says by name what is wrong with arguments, and does nothing', () => {
    const workspace = openOnFake('a', { create: true });
    const cases: [string, Record<string, unknown>, RegExp][] = [
      ['vm.create', {}, /vm\.create needs vm/],
      ['vm.create', { vm: '../x' }, /vm: "\.\.\/x" may hold/],
      ['vm.create', { vm: 'a', colour: 'red' }, /has no argument "colour"/],
      ['vm.create', { vm: 'a', memory: 'lots' }, /memory: "lots" is no size/],
      ['vm.crate', {}, /there is no action "vm\.crate"/],
    ];
    for (const [name, args, message] of cases) {
      const outcome = workspace.dispatch(name, args);
      expect(outcome.ok).toBe(false);
      if (!outcome.ok) {
        expect(outcome.error.message).toMatch(message);
        expect(outcome.error.exitCode).toBe(2);
      }
    }
    expect(workspace.journal).toHaveLength(0);
    workspace.close();
  });

  it('undoes and redoes across restarts', () => {
    const first = openOnFake('a', { create: true });
    act(first, 'vm.create', { vm: 'alpha' });
    const one = first.host.digest();
    act(first, 'vm.create', { vm: 'beta' });
    const two = first.host.digest();
    expect(first.undo().ok).toBe(true);
    expect(first.host.digest()).toBe(one);
    first.close();
    const second = openOnFake('a');
    expect(second.host.digest()).toBe(one);
    expect(second.redo().ok).toBe(true);
    expect(second.host.digest()).toBe(two);
    expect(second.redo().ok).toBe(false);
    second.close();
  });

  it('keeps the way that was left as a branch, by name, and goes back to it', () => {
    const workspace = openOnFake('a', { create: true });
    act(workspace, 'vm.create', { vm: 'alpha' });
    act(workspace, 'vm.create', { vm: 'beta' });
    const old = workspace.host.digest();
    workspace.undo();
    act(workspace, 'vm.create', { vm: 'gamma' });
    const fresh = workspace.host.digest();
    expect(workspace.branches.map(({ name, acts, current }) => [name, acts, current])).toEqual([
      ['main', 2, false],
      ['branch-2', 2, true],
    ]);
    workspace.close();
    const again = openOnFake('a');
    expect(again.switchBranch('main').ok).toBe(true);
    expect(again.host.digest()).toBe(old);
    expect(again.switchBranch('branch-2').ok).toBe(true);
    expect(again.host.digest()).toBe(fresh);
    expect(again.switchBranch('nowhere').ok).toBe(false);
    again.close();
  });

  it('shows the past and changes nothing there', () => {
    const workspace = openOnFake('a', { create: true });
    const empty = workspace.host.digest();
    act(workspace, 'vm.create', { vm: 'alpha' });
    const now = workspace.host.digest();
    expect(workspace.travel(0).ok).toBe(true);
    expect(workspace.host.digest()).toBe(empty);
    const refused = workspace.dispatch('vm.create', { vm: 'beta' });
    expect(refused.ok).toBe(false);
    expect(workspace.undo().ok).toBe(false);
    workspace.travel(undefined);
    expect(workspace.host.digest()).toBe(now);
    workspace.close();
  });

  it('counts the acts since the last save', () => {
    const workspace = openOnFake('a', { create: true });
    expect(workspace.unsavedActs).toBe(0);
    act(workspace, 'vm.create', { vm: 'alpha' });
    act(workspace, 'vm.create', { vm: 'beta' });
    expect(workspace.unsavedActs).toBe(2);
    workspace.save();
    expect(workspace.unsavedActs).toBe(0);
    workspace.close();
  });

  it('holds a replay against the digests recorded', () => {
    const first = openOnFake('a', { create: true });
    act(first, 'vm.create', { vm: 'alpha' });
    first.save();
    act(first, 'vm.create', { vm: 'beta' });
    first.close();
    const second = openOnFake('a');
    expect(finish(second.checkDigests())).toEqual({ checked: 2, problem: undefined });
    second.close();
  });

  it('appends the same number of bytes for an act however many there were', () => {
    const workspace = openOnFake('a', { create: true });
    act(workspace, 'vm.create', { vm: 'alpha' });
    const path = join(home.path, 'sessions', 'a', 'journal');
    const sizes = [0, 1, 2].map((round) => {
      for (let n = 0; n < 90; n++) act(workspace, 'vm.write', { vm: 'alpha', address: '0x1000', data: '00' });
      const before = readFileSync(path).length;
      act(workspace, 'vm.write', { vm: 'alpha', address: '0x1000', data: '00' });
      return readFileSync(path).length - before - (round > 0 ? 2 : 0);
    });
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(4);
    workspace.close();
  });
});

describe('undo, redo and branches', () => {
  it('lead to the same host as the acts alone would (property)', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('act' as const), byte: fc.integer({ min: 0, max: 255 }) }),
      },
      { weight: 2, arbitrary: fc.constant({ kind: 'undo' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'redo' as const }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('branch' as const), which: fc.nat(5) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const workspace = inMemory();
        act(workspace, 'vm.create', { vm: 'alpha' });
        // The model: a path of bytes, how many are done, and the branches left.
        let path: number[] = [];
        let at = 0;
        const tips = new Map<string, number[]>([['main', path]]);
        let current = 'main';
        for (const one of steps) {
          if (one.kind === 'act') {
            const left = at < path.length;
            path = [...path.slice(0, at), one.byte];
            at = path.length;
            act(workspace, 'vm.write', {
              vm: 'alpha',
              address: '0x0',
              data: one.byte.toString(16).padStart(2, '0'),
            });
            if (left) current = workspace.branches.find((branch) => branch.current)?.name ?? '';
            tips.set(current, path);
          } else if (one.kind === 'undo') {
            if (at > 0) {
              workspace.undo();
              at -= 1;
            }
          } else if (one.kind === 'redo') {
            expect(workspace.redo().ok).toBe(at < path.length);
            at = Math.min(path.length, at + 1);
          } else {
            const names = workspace.branches.map((branch) => branch.name);
            const name = names[one.which % names.length];
            workspace.switchBranch(name);
            current = name;
            path = tips.get(name) ?? [];
            at = path.length;
          }
          const shown = workspace.journal
            .slice(1)
            .map((entry) => Number.parseInt(String(entry.args.data), 16));
          expect(shown).toEqual(path.slice(0, at));
          expect(workspace.branches.map((branch) => branch.name).sort()).toEqual([...tips.keys()].sort());
        }
        const plain = inMemory();
        act(plain, 'vm.create', { vm: 'alpha' });
        for (const byte of path.slice(0, at)) {
          act(plain, 'vm.write', { vm: 'alpha', address: '0x0', data: byte.toString(16).padStart(2, '0') });
        }
        expect(workspace.host.digest()).toBe(plain.host.digest());
      }),
      { numRuns: 60 },
    );
  });
});
