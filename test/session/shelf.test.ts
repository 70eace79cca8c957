import { join } from 'node:path';
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
    const listed = finish(shelf.listing()).filter((entry) => entry.kind === 'session');
    expect(listed.map(({ name, acts, host }) => [name, acts, host])).toEqual([
      ['three', 0, 'server'],
      ['two', 1, 'lab'],
    ]);
    shelf.remove('two');
    expect(finish(shelf.listing()).filter((entry) => entry.kind === 'session')).toHaveLength(1);
    expect(finish(shelf.listing()).filter((entry) => entry.kind === 'bundled')).toHaveLength(12);
    expect(() => finish(shelf.creating('../x', undefined))).toThrow(/can't name a session/);
    expect(() => finish(shelf.creating('four', 'nowhere'))).toThrow(/no built-in host/);
  });

  it('copies, writes to a file, brings in, takes back from the bin and verifies', () => {
    const shelf = new Shelf({ now: () => 0, readOnly: false });
    const one = finish(shelf.creating('one', undefined));
    one.dispatch('vm.create', { vm: 'alpha', memory: '64M' });
    const digest = one.host.digest();
    shelf.copy('one', 'two'); // also of one that is open
    expect(() => shelf.copy('one', 'two')).toThrow(/two/);
    expect(finish(shelf.opening('two')).host.digest()).toBe(digest);
    const file = shelf.exportTo('two', join(process.env.VTDECK_HOME as string, 'two.json'));
    expect(() => shelf.exportTo('one', file)).toThrow(/is there already/);
    shelf.close();
    shelf.remove('two');
    expect(shelf.binned()).toEqual([{ name: 'two', removed: '1970-01-01 00:00' }]);
    expect(finish(shelf.importing(file))).toBe('two');
    expect(() => shelf.restore('two')).toThrow(/two/);
    expect(finish(shelf.verifying('two'))).toMatchObject({
      ok: true,
      said: expect.stringContaining('1 acts'),
    });
    expect(finish(shelf.verifying('nowhere')).ok).toBe(false);
  });

  it('changes nothing when it was opened to look', () => {
    const writer = new Shelf({ now: () => 0, readOnly: false });
    finish(writer.creating('one', undefined));
    writer.close();
    const shelf = new Shelf({ now: () => 0, readOnly: true });
    for (const change of [
      () => finish(shelf.creating('two', undefined)),
      () => shelf.copy('one', 'two'),
      () => shelf.rename('one', 'two'),
      () => shelf.remove('one'),
      () => finish(shelf.importing('/nowhere')),
      () => shelf.restore('one'),
    ])
      expect(change).toThrow(/read-only/);
    expect(finish(shelf.listing())[0].name).toBe('one');
  });
});
