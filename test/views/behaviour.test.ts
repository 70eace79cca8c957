/** What people who use such programs expect: each expectation a test. */
import { describe, expect, it } from 'vitest';
import { plainText } from '../../src/terminal/cells.ts';
import { allCommands } from '../../views/commands/all.ts';
import { freshWorkspace, Stage } from './stage.ts';

const colour = /\u001b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m/;

describe('the console', () => {
  it('moves the cursor by one row inside a page for at most 600 bytes and without clearing, at 200x60', async () => {
    const stage = new Stage(200, 60);
    await stage.keys('j', 'j', 'j');
    for (const key of [...'jjjjjjjjkkkk']) {
      stage.output.bytes = '';
      await stage.keys(key);
      const bytes = Buffer.byteLength(stage.output.bytes);
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(600);
      expect(stage.output.bytes).not.toMatch(/\u001b\[[0-3]?J/);
    }
  });

  it('uses no colour with NO_COLOR, and still shows where the cursor is', async () => {
    const stage = new Stage(80, 24, { noColor: true });
    await stage.keys('j', 'x', 'Enter', 'Esc', '2', '8', ':', 'Esc', '?');
    expect(stage.output.bytes).not.toMatch(colour);
    await stage.keys('Esc', '1');
    expect((await stage.screen()).some((line) => line.startsWith('> '))).toBe(true);
  });

  it('writes nothing but ASCII in ASCII mode', async () => {
    const stage = new Stage(80, 24, { ascii: true });
    await stage.keys(
      '/',
      ...'idxd',
      'Enter',
      'x',
      'c',
      'Enter',
      'Enter',
      'Enter',
      'Esc',
      '2',
      'Enter',
      'Esc',
      '6',
      '7',
      '9',
      '?',
      'Esc',
      ':',
      'Esc',
    );
    const other = [...stage.output.bytes].filter((character) => character > '~');
    expect(other).toEqual([]);
  });

  it('is read aloud as labelled text in screen-reader mode, without drawing characters', async () => {
    const stage = new Stage(80, 24, { screenReader: true });
    await stage.keys('j', 'j');
    const text = plainText(stage.output.bytes);
    expect(text).toContain('Topology, session main');
    expect(text).toContain('row 3 of 63');
    expect(text).toContain('Class: System peripheral');
    expect(text).toMatch(/Keys: /);
    expect(text).not.toMatch(/[│╭─]/);
    expect(stage.output.bytes).not.toContain('\u001b[?1049h');
  });

  it('goes on at 40x10 and says that there is more to see', async () => {
    const stage = new Stage(40, 10);
    for (const key of [...'1234567890m@']) {
      await stage.keys(key, 'j', 'Enter', ':', 'Esc', '?', 'Esc', 'Esc');
      expect(stage.handle?.lines).toHaveLength(10);
    }
    expect(await stage.text()).toContain('40x10, small');
  });

  it('is right after each of many resizes', async () => {
    const stage = new Stage(80, 24);
    for (const [columns, rows] of [
      [120, 40],
      [40, 10],
      [200, 60],
      [81, 25],
      [10, 3],
      [80, 24],
    ] as const) {
      stage.output.resize(columns, rows);
      await stage.keys('j');
      expect(stage.handle?.lines.length).toBeLessThanOrEqual(rows);
      const screen = await stage.screen();
      expect(screen.join('\n').trim()).not.toBe('');
      expect(screen.map((line) => line.trimEnd())).toEqual(
        Array.from({ length: rows }, (_, row) => plainText(stage.handle?.lines[row] ?? '').trimEnd()),
      );
    }
  });

  it('takes a paste as text and runs none of it', async () => {
    const workspace = freshWorkspace();
    const stage = new Stage(80, 24, {}, workspace);
    await stage.type('\u001b[200~xq\rzzz\u001b[201~');
    expect(workspace.journal).toHaveLength(0);
    await stage.keys('/');
    await stage.type('\u001b[200~id\nxd\u001b[201~');
    expect(await stage.text()).toContain('/id xd');
  });

  it('selects by mouse, opens with a second click, scrolls by the wheel, changes screens by their names', async () => {
    const stage = new Stage(120, 40, { mouse: true });
    expect(stage.output.bytes).toContain('\u001b[?1006h');
    await stage.type('\u001b[<0;10;8M\u001b[<0;10;8m');
    expect((await stage.screen())[7]).toMatch(/^> /);
    await stage.type('\u001b[<0;10;8M\u001b[<0;10;8m');
    expect((await stage.screen())[5]).toContain('│');
    await stage.type('\u001b[<65;10;8M');
    expect((await stage.screen())[10]).toMatch(/^> /);
    await stage.type('\u001b[<0;14;1M\u001b[<0;14;1m');
    expect(await stage.text()).toContain('[2 Grp');
  });

  it('copies by OSC 52', async () => {
    const stage = new Stage(80, 24);
    await stage.keys('j', 'Y');
    expect(stage.output.bytes).toContain(
      `\u001b]52;c;${Buffer.from('0000:00:00.0').toString('base64')}\u0007`,
    );
  });

  it('filters, inverts, sorts, marks a range and acts on all that is marked', async () => {
    const stage = new Stage(120, 40);
    await stage.keys('/', ...'idxd', 'Enter');
    expect(await stage.text()).toContain('1/4 of 63');
    await stage.keys('v', 'j', 'v');
    expect(await stage.text()).toContain('2 marked');
    await stage.keys('x');
    expect(stage.workspace.journal.map((act) => act.action)).toEqual([
      'device.aux-enable',
      'device.aux-enable',
    ]);
    await stage.keys('Esc', 'Esc', '/', ...'!0000:', 'Enter');
    expect(await stage.text()).toMatch(/\d+\/\d+ of 63/);
    await stage.keys('Esc', '2', 's', 's');
    expect(await stage.text()).toContain('Members↑');
    await stage.keys('S');
    expect(await stage.text()).toContain('Members↓');
  });

  it('completes actions, arguments and values in the palette, and asks for what is missing', async () => {
    const stage = new Stage(120, 40);
    await stage.keys(':', ...'aux-en', 'Tab', ...'dev', 'Tab', ...'6a:01', 'Tab');
    expect(await stage.text()).toContain(':device.aux-enable device=0000:6a:01.0');
    await stage.keys('Enter');
    expect(await stage.text()).toContain('auxiliary mode of 0000:6a:01.0 is on');
    await stage.keys(':', ...'vm.create vm=web kind="virtual machine"', 'Enter');
    expect(stage.workspace.host.machineState('web')).toBeDefined();
    await stage.keys(':', ...'vm.start', 'Enter');
    expect(await stage.text()).toContain('web');
    await stage.keys('Esc');
  });

  it('asks for the name typed before the worst acts', async () => {
    const stage = new Stage(100, 30);
    await stage.keys('4', 'n', 'Ctrl-u', ...'web', 'Enter', 'r', 'y', 'D');
    expect(await stage.text()).toContain('Type web to go on');
    await stage.keys('y', 'Enter');
    expect(stage.workspace.host.machineState('web')).toBeDefined();
    await stage.keys('Ctrl-u', ...'web', 'Enter');
    expect(stage.workspace.host.machineState('web')).toBeUndefined();
  });

  it('lets what was said fade, but not errors', async () => {
    const stage = new Stage(100, 30);
    await stage.keys('n', 'Enter');
    expect(await stage.text()).toContain('✓ vm1 ');
    stage.clock.advance(10_000);
    expect(await stage.text()).not.toContain('✓ vm1 ');
    await stage.keys('j', 'x');
    expect(await stage.text()).toContain('✗');
    stage.clock.advance(60_000);
    expect(await stage.text()).toContain('✗');
    await stage.keys('Esc');
    expect(await stage.text()).not.toContain('✗');
  });

  it('has help for every command that has a key, and takes other keys from the preferences', async () => {
    const stage = new Stage(120, 60, {
      preferences: { tourDone: true, keys: { 'device.walk': ['W'], nonsense: ['x'], quit: ['Blah'] } },
    });
    expect(await stage.text()).toContain('there is no command "nonsense"');
    await stage.keys('Esc', '/', ...'6a:01', 'Enter', 'W');
    expect(await stage.text()).toContain('Walk the tables for 0000:6a:01.0');
    await stage.keys('Esc', '?');
    let all = '';
    for (let page = 0; page < 4; page += 1) {
      all += await stage.text();
      await stage.keys('PageDown');
    }
    for (const command of allCommands) expect(all.replace(/\s+/g, ' ')).toContain(command.title.slice(0, 30));
  });

  it('shows the tour once, and never again when told so', async () => {
    const said: unknown[] = [];
    const stage = new Stage(100, 30, { preferences: {}, prefer: (change) => said.push(change) });
    expect(await stage.text()).toContain('Welcome to vtdeck');
    await stage.keys('Enter');
    expect(await stage.text()).toContain('2 of 5');
    await stage.keys('s');
    expect(said).toEqual([{ tourDone: true }]);
    expect(await stage.text()).not.toContain('2 of 5');
  });

  it('scrolls what of the tour does not fit, and begins each page at its top', async () => {
    const stage = new Stage(40, 10, { preferences: {}, prefer: () => {} });
    expect(await stage.text()).not.toContain('Nothing outside');
    await stage.keys('PageDown', 'PageDown', 'PageDown');
    expect(await stage.text()).toContain('Nothing outside');
    await stage.keys('Enter');
    expect(await stage.text()).toContain('Getting about');
  });

  it('lets every key but those of the tour do what it always does', async () => {
    const stage = new Stage(100, 30, { preferences: {}, prefer: () => {} });
    expect(await stage.text()).toContain('Welcome to vtdeck');
    await stage.keys('2');
    expect(await stage.text()).toContain('[2 Grp]');
    const other = new Stage(100, 30, { preferences: {}, prefer: () => {} });
    await other.keys('q');
    await other.finished;
    expect(other.ended).toBe(true);
  });

  it('leaves the terminal as it was', async () => {
    const stage = new Stage(80, 24, { mouse: true });
    await stage.keys('q');
    await stage.finished;
    expect(stage.input.raw).toBe(false);
    const { bytes } = stage.output;
    const last = (on: string, off: string): boolean => bytes.lastIndexOf(off) > bytes.lastIndexOf(on);
    expect(last('\u001b[?1049h', '\u001b[?1049l')).toBe(true);
    expect(last('\u001b[?25l', '\u001b[?25h')).toBe(true);
    expect(last('\u001b[?2004h', '\u001b[?2004l')).toBe(true);
    expect(last('\u001b[?1002h', '\u001b[?1002l')).toBe(true);
    expect(bytes.endsWith('\u001b[?1049l')).toBe(true);
  });
});
