import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import { removeSession } from '../../src/session/bin.ts';
import { indexedSessions } from '../../src/session/session-index.ts';
import { createSession, renameSession } from '../../src/session/store.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

const home = ownHome();
const seen = (): [string, number][] => finish(indexedSessions()).map(({ name, acts }) => [name, acts]);

function act(name: string): void {
  const workspace = openOnFake(name);
  workspace.dispatch('vm.create', { vm: `vm${Math.floor(workspace.journal.length)}` });
  workspace.close();
}

describe('the index of sessions', () => {
  it('says what the sessions say, whatever was done to them since', () => {
    expect(seen()).toEqual([]);
    createSession('a', { origin: ORIGIN }, new Date(0));
    createSession('b', { origin: ORIGIN }, new Date(0));
    expect(seen()).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
    act('a');
    renameSession('b', 'constructor');
    expect(seen()).toEqual([
      ['a', 1],
      ['constructor', 0],
    ]);
    removeSession('a', new Date(0));
    expect(seen()).toEqual([['constructor', 0]]);
  });

  it('is made anew when it is damaged, stale or gone', () => {
    createSession('a', { origin: ORIGIN }, new Date(0));
    seen();
    const path = join(home.path, 'index.json');
    for (const text of [
      '',
      '{"a":7}',
      'nonsense',
      readFileSync(path, 'utf8')
        .replace('"acts": 0', '"acts": 9')
        .replace(/"stamp": "[^"]*"/, '"stamp": "1@1 1@1"'),
    ]) {
      writeFileSync(path, text);
      expect(seen()).toEqual([['a', 0]]);
    }
  });

  it('names what is wrong with a damaged session', () => {
    createSession('a', { origin: ORIGIN }, new Date(0));
    writeFileSync(join(home.path, 'sessions', 'a', 'journal'), 'nonsense\n');
    const [session] = finish(indexedSessions());
    expect(session.problem).toMatch(/journal:1/);
  });
});
