import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import { builtInHost } from '../../src/hosts/builtin.ts';
import { keepHost } from '../../src/hosts/store.ts';
import { Shelf } from '../../src/session/shelf.ts';
import { ownHome } from './workspace-on.ts';

ownHome();

describe('the shelf', () => {
  it('makes, lists, renames, removes and closes sessions, on built-in and imported hosts', () => {
    const description = builtInHost('server');
    if (description === undefined) throw new Error('the built-in server is missing');
    keepHost('lab', { ...description, name: 'lab' });
    const shelf = new Shelf({ now: () => 0, readOnly: false });
    expect(shelf.hosts()).toEqual(['server', 'lab']);
    const first = finish(shelf.creating('one', undefined));
    expect(first.host.description.name).toBe('server');
    first.close();
    const second = finish(shelf.creating('two', 'lab'));
    expect(second.host.description.name).toBe('lab');
    expect(second.dispatch('vm.create', { vm: 'alpha', memory: '64M' }).ok).toBe(true);
    expect(shelf.latest).toBe(second);
    expect(shelf.close()).toEqual([]);
    shelf.rename('one', 'three');
    const listed = shelf.list().filter((entry) => entry.kind === 'session');
    expect(listed.map(({ name, acts, host }) => [name, acts, host])).toEqual([
      ['three', 0, 'server'],
      ['two', 1, 'lab'],
    ]);
    shelf.remove('two');
    expect(shelf.list().filter((entry) => entry.kind === 'session')).toHaveLength(1);
    expect(shelf.list().filter((entry) => entry.kind === 'bundled')).toHaveLength(12);
    expect(() => finish(shelf.creating('../x', undefined))).toThrow(/can't name a session/);
    expect(() => finish(shelf.creating('four', 'nowhere'))).toThrow(/no built-in host/);
  });
});
