/** Work that is stopped leaves session and host as they were, wherever it is stopped. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Cancelled, finish, type Work } from '../../hw/index.ts';
import { defaultOrigin, openInSteps, scratchWorkspace } from '../../src/session/open-workspace.ts';
import { Shelf } from '../../src/session/shelf.ts';
import { createSession, sessionExists } from '../../src/session/store.ts';
import type { Workspace } from '../../src/workspace.ts';
import { openOnFake, ownHome } from './workspace-on.ts';

const CARD = '0000:27:00.0';

/** Goes so many steps, then stops it and lets it take back what it has to. False: it had ended before. */
function stopAfter(steps: number, work: Work<unknown>): boolean {
  for (let step = 0; step < steps; step += 1) if (work.next().done === true) return false;
  try {
    let step = work.throw(new Cancelled());
    while (step.done !== true) step = work.next();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Cancelled);
  }
  return true;
}

function stateOf(workspace: Workspace): unknown {
  const { journal, redoable, branches, commandLog, host, travellingAt } = workspace;
  return {
    journal: [...journal],
    redoable: [...redoable],
    branches,
    commandLog: [...commandLog],
    digest: host.digest(),
    travellingAt,
    events: host.events().length,
  };
}

/** A machine with a card, some transfers and an undone act. */
function atWork(): Workspace {
  const workspace = scratchWorkspace('work', defaultOrigin(), [], { now: () => 0 });
  const acts: [string, Record<string, unknown>][] = [
    ['vm.create', { vm: 'alpha', memory: '4M' }],
    ['vm.assign', { vm: 'alpha', device: CARD }],
    ['device.workload', { device: CARD, transfers: 100 }],
    ['vm.create', { vm: 'beta', memory: '4M' }],
    ['vm.create', { vm: 'gamma', memory: '4M' }],
  ];
  for (const [name, args] of acts) expect(workspace.dispatch(name, args).ok).toBe(true);
  workspace.undo();
  workspace.dispatch('vm.create', { vm: 'delta', memory: '4M' });
  workspace.dispatch('vm.create', { vm: 'epsilon', memory: '4M' });
  workspace.undo();
  return workspace;
}

describe('stopped at every step', () => {
  const works: [string, (workspace: Workspace) => Work<unknown>][] = [
    [
      'an act of many transfers',
      (each) => each.inSteps.dispatch('device.workload', { device: CARD, transfers: 400, stray: 100 }),
    ],
    ['undo', (each) => each.inSteps.undo()],
    ['redo', (each) => each.inSteps.redo()],
    ['going to an act', (each) => each.inSteps.goTo(3)],
    ['going to a branch', (each) => each.inSteps.switchBranch('main')],
    ['going back in time', (each) => each.inSteps.travel(2)],
  ];

  it.each(works)('%s leaves no trace', (_, begin) => {
    const workspace = atWork();
    const before = stateOf(workspace);
    let stopped = 0;
    while (stopAfter(stopped, begin(workspace))) {
      expect(stateOf(workspace)).toEqual(before);
      stopped += 1;
      expect(stopped).toBeLessThan(100);
    }
    expect(stopped).toBeGreaterThan(1);
    // The last time it ended, and nothing of the attempts stands in its way.
    expect(stateOf(workspace)).not.toEqual(before);
  });

  it('an act on many keeps what was done, whole acts only, and goes back to before as one', () => {
    const all = Array.from({ length: 6 }, (_, at) => ({ device: CARD, transfers: 64 + 64 * (at % 3) }));
    for (const steps of [0, 1, 2, 3, 5, 8, 13]) {
      const workspace = atWork();
      const before = workspace.host.digest();
      const acts = workspace.journal.length;
      const work = workspace.inSteps.dispatchAll('device.workload', all);
      for (let step = 0; step <= steps; step += 1) expect(work.next().done).toBe(false);
      let step = work.throw(new Cancelled());
      while (step.done !== true) step = work.next();
      const { done, asked, before: head, last } = step.value;
      expect(asked).toBe(6);
      expect(done).toBeLessThan(6);
      expect(workspace.journal).toHaveLength(acts + done);
      expect(workspace.journal.at(-1)?.id).toBe(last);
      // The host is where the journal says: a replay gives the same.
      const digest = workspace.host.digest();
      workspace.travel(last);
      expect(workspace.host.digest()).toBe(digest);
      workspace.travel(undefined);
      expect(workspace.goTo(head).ok).toBe(true);
      expect(workspace.host.digest()).toBe(before);
    }
  });

  it('refuses another act meanwhile', () => {
    const workspace = atWork();
    const work = workspace.inSteps.dispatch('device.workload', { device: CARD });
    work.next();
    const outcome = workspace.dispatch('vm.create', { vm: 'other' });
    expect(outcome.ok ? '' : outcome.error.code).toBe('EBUSY');
    finish(work);
    expect(workspace.dispatch('vm.create', { vm: 'other' }).ok).toBe(true);
  });
});

describe('on disk', () => {
  const home = ownHome();

  it('a batch refuses what is known to be refused without touching the host, and says the first reason', () => {
    const workspace = openOnFake('a', { create: true });
    workspace.dispatch('vm.create', { vm: 'two' });
    const outcome = finish(
      workspace.inSteps.dispatchAll(
        'vm.create',
        ['one', 'two', 'three'].map((vm) => ({ vm })),
      ),
    );
    expect(outcome).toMatchObject({ asked: 3, done: 2, refused: 1, before: 1, last: 3 });
    expect(outcome.failure?.message).toContain('two');
    workspace.close();
    expect(openOnFake('a').journal).toHaveLength(3);
  });

  it('closing in the middle of an act writes no digest of a machine that is half way', () => {
    createSession('real', { origin: defaultOrigin() }, new Date(0));
    const workspace = finish(openInSteps({ session: 'real', readOnly: false, what: 'test' }));
    workspace.dispatch('vm.create', { vm: 'alpha', memory: '4M' });
    workspace.dispatch('vm.assign', { vm: 'alpha', device: CARD });
    const work = workspace.inSteps.dispatch('device.workload', { device: CARD });
    work.next();
    work.next();
    workspace.close();
    const again = finish(openInSteps({ session: 'real', readOnly: false, what: 'test' }));
    expect(again.journal.map((act) => act.action)).toEqual(['vm.create', 'vm.assign']);
    expect(finish(again.checkDigests()).problem).toBeUndefined();
    again.close();
  });

  it('a checkpoint that falls due at an undo holds the digest of where the undo led', () => {
    const workspace = openOnFake('a', { create: true });
    for (let act = 0; act < 999; act += 1) workspace.dispatch('vm.create', { vm: `m${act}` });
    workspace.undo();
    const text = readFileSync(join(home.path, 'sessions', 'a', 'journal'), 'utf8');
    expect(text.trimEnd().split('\n').at(-1)).toContain('digest');
    expect(finish(workspace.checkDigests())).toEqual({ checked: 1, problem: undefined });
    workspace.close();
  });

  it('a session whose opening is stopped is free, and one that was being made is gone', () => {
    const shelf = new Shelf({ now: () => 0, readOnly: false });
    finish(shelf.creating('lab', undefined)).dispatch('vm.create', { vm: 'alpha', memory: '4M' });
    shelf.close();
    const other = new Shelf({ now: () => 0, readOnly: false });
    expect(stopAfter(1, other.opening('lab'))).toBe(true);
    const opened = finish(other.opening('lab'));
    expect(opened.readOnlyReason).toBeUndefined();
    expect(opened.journal).toHaveLength(1);
    // A bundled session is copied when it is opened.
    expect(stopAfter(1, other.opening('four-adis'))).toBe(true);
    expect(sessionExists('four-adis')).toBe(false);
    other.close();
  });
});
