/** What every screen must have: cheap cursor moves, a filter with its count, order, marks, jumps; every byte named. */
import { describe, expect, it } from 'vitest';
import { finish, type Work } from '../../hw/index.ts';
import type { RowSource } from '../../views/list/row-source.ts';
import type { ScreenContext } from '../../views/screens/screen.ts';
import { topology } from '../../views/screens/topology.ts';
import { busyWorkspace, freshWorkspace, Stage } from './stage.ts';
import { expectWhole } from './whole.ts';

/** Key, name, something that some rows hold and others do not, and whether its rows can be acted on. */
const SCREENS: readonly (readonly [string, string, string])[] = [
  ['1', 'topology', 'nvme'],
  ['2', 'groups', '6a:01'],
  ['3', 'mdevs', 'in use'],
  ['4', 'machines', 'web2'],
  ['5', 'domains', 'web2'],
  ['6', 'units', 'dmar1'],
  ['7', 'walk', 'level 4'],
  ['8', 'events', 'dmar1'],
  ['9', 'plan', 'nvme'],
  ['0', 'sessions', 'vm.assign'],
  ['m', 'matrix', '6a:01'],
  ['@', 'log', 'qemu'],
];

const count = (text: string): string => /(\d+\/\d+(?: of \d+)?) [a-z]+ ?$/m.exec(text)?.[1] ?? '';

describe.each(SCREENS)('screen %s, %s', (key, name, word) => {
  it('moves its cursor for at most 600 bytes and without clearing, at 200x60', async () => {
    const stage = new Stage(200, 60, {}, busyWorkspace());
    await stage.keys('8', 't', 'Enter', key, 'g', 'j');
    for (const move of ['j', 'k', 'j', 'k']) {
      const pane = stage.handle?.lines.map((line) => line.slice(line.indexOf('│'))).join('') ?? '';
      stage.output.bytes = '';
      await stage.keys(move);
      const bytes = Buffer.byteLength(stage.output.bytes);
      // Beside the steps of a walk stands the entry that each read: that is another text with each row.
      const other = stage.handle?.lines.map((line) => line.slice(line.indexOf('│'))).join('') ?? '';
      const text = name === 'walk' ? Math.max(pane.length, other.length) : 0;
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(600 + text);
      expect(stage.output.bytes).not.toMatch(/\u001b\[[0-3]?J/);
    }
  });

  it('filters, inverse too, and says how many of how many; sorts both ways; marks', async () => {
    const stage = new Stage(120, 40, {}, busyWorkspace());
    await stage.keys('8', 't', 'Enter', key);
    const all = count(await stage.text());
    expect(all).toMatch(/^\d+\/\d+$/);
    const total = Number(all.split('/')[1]);
    await stage.keys('/');
    await stage.type(word.split(' ')[0]);
    await stage.keys('Enter');
    const some = count(await stage.text());
    expect(some).toMatch(new RegExp(`^\\d+/\\d+(?: of ${total})?$`));
    const shown = Number(some.split(/[/ ]/)[1]);
    expect(shown).toBeGreaterThan(0);
    await stage.keys('Esc', '/');
    await stage.type(`!${word.split(' ')[0]}`);
    await stage.keys('Enter');
    const rest = count(await stage.text());
    expect(rest).toMatch(/of \d+$|^\d+\/\d+$/);
    expect(Number(rest.split(/[/ ]/)[1]) + shown).toBe(total);
    await stage.keys('Esc', 's');
    expect(await stage.text()).toContain('sorted by');
    await stage.keys('S');
    expect(await stage.text()).toContain('the last first');
    await expectWhole(stage);
    if (name === 'plan') return; // Space picks there
    await stage.keys('g', 'Space', 'Space');
    expect(await stage.text()).toContain('2 marked');
    await stage.keys('Esc', '*');
    expect(await stage.text()).toMatch(/\d+ marked|has no name/);
  });

  it('comes back to where one was, and jumps or says that there is nothing to jump to', async () => {
    const stage = new Stage(120, 40, {}, busyWorkspace());
    await stage.keys('8', 't', 'Enter', key, 'g', 'j', 'j');
    const before = await stage.screen();
    const at = before.findIndex((line) => line.startsWith('>'));
    for (const jump of ['o', 'O']) {
      await stage.keys(jump);
      const text = await stage.text();
      if (text.split('\n')[0] === before[0]) {
        expect(text.split('\n').slice(-4).join('\n'), jump).toMatch(/^ [·!✗] /m);
        await stage.keys('Esc');
        if ((await stage.text()).split('\n')[0] !== before[0]) await stage.keys(']');
      } else {
        await stage.keys('[');
        expect((await stage.screen())[0]).toBe(before[0]);
        expect((await stage.screen())[at]).toBe(before[at]);
      }
    }
  });
});

describe('raw configuration space', () => {
  it('names every byte of the header and of every capability of every function', () => {
    const workspace = freshWorkspace();
    const { host } = workspace;
    const context = {
      host,
      workspace,
      folded: new Set<string>(),
      raw: true,
      picks: new Set<string>(),
    } as unknown as ScreenContext;
    const made = topology.rows(context) as RowSource<unknown> | Work<RowSource<unknown>>;
    const rows = 'at' in made ? made : finish(made);
    let named = 0;
    for (let position = 0; position < rows.count; position += 1) {
      const row = rows.at(position);
      const detail = topology.hex?.(row, context);
      if (detail === undefined) continue;
      const capabilities = host.capabilities((row as { node: { address: string } }).node.address);
      for (let offset = 0; offset < detail.bytes.length; offset += 1) {
        const name = detail.nameAt(offset);
        const inside = capabilities.some(
          ({ offset: start, bytes }) => offset >= start && offset < start + bytes.length,
        );
        if (!inside && offset >= 0x40) continue;
        expect(name, `byte ${offset}`).not.toBe('of no capability');
        if (inside && offset >= 0x40) expect(name).toMatch(/^[A-Z].* \+0x[0-9a-f]+: \S/);
        if (detail.bytes[offset] !== 0) expect(name, `byte ${offset}`).not.toMatch(/reserved$/);
        named += 1;
      }
    }
    expect(named).toBeGreaterThan(5_000);
  });
});
