/** The built program in a pseudo-terminal, from start to end. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainText } from '../../src/terminal/cells.ts';
import { command, Home, missing, Running } from './pseudo-terminal.ts';

let home: Home;
let running: Running | undefined;

beforeEach(() => {
  home = new Home();
});

afterEach(async () => {
  if (running !== undefined) {
    try {
      running.kill('SIGKILL');
    } catch {
      // It has ended.
    }
    await running.ended;
    running = undefined;
  }
  home.remove();
});

/** The console past the tour of a first start. */
async function open(
  options: Partial<ConstructorParameters<typeof Running>[1]> = {},
  ...words: string[]
): Promise<Running> {
  const console = new Running(words, { home, ...options });
  running = console;
  await console.shows('Welcome to vtdeck');
  console.type('s');
  await console.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
  return console;
}

async function closed(console: Running): Promise<number> {
  const { code } = await console.ended;
  running = undefined;
  return code;
}

const title =
  missing === undefined
    ? 'the console in a pseudo-terminal'
    : `the console in a pseudo-terminal (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(title, { timeout: 120_000 }, () => {
  it.each([
    [80, 24],
    [200, 60],
  ])('does the main job at %ix%i, and has it all back after a new start', async (columns, rows) => {
    const console = await open({ columns, rows });
    console.type('/idxd\r');
    await console.shows('/4 of ');
    console.type('x');
    await console.shows('is on');
    console.type('c');
    await console.shows('Enter takes it');
    console.type('\r');
    await console.shows('UUID of the new device');
    console.type('\r');
    await console.shows('mediated device');
    console.type('a\r');
    await console.shows('New virtual machine');
    console.type('\r');
    await console.shows('does it');
    console.type('y');
    await console.shows('by PASID 1');
    console.type('d\r');
    await console.shows('landed');
    console.type('d\u00150x80000000\r');
    await console.shows('faulted');
    console.type('q');
    expect(await closed(console)).toBe(0);
    expect(console.leftBehind).toEqual([]);

    const again = new Running([], { home, columns, rows });
    running = again;
    await again.shows('Topology');
    again.type('8');
    await again.shows('! fault');
    again.type('4');
    await again.shows('vm1');
    again.type('q');
    expect(await closed(again)).toBe(0);
    const verified = await command(home, 'session', 'verify', 'main');
    expect(verified.output + verified.code).toMatch(/0$/);
  });

  it('stops with Ctrl-Z under a shell with job control and is right again after fg', async () => {
    const shell = new Running(['--norc', '--noprofile', '-i'], {
      home,
      file: '/bin/bash',
      environment: { PS1: 'ready> ' },
    });
    running = shell;
    await shell.shows('ready>');
    const { bundle } = await import('./pseudo-terminal.ts');
    shell.type(`'${process.execPath}' '${bundle}'\r`);
    await shell.shows('Welcome to vtdeck');
    shell.type('sj');
    await shell.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
    shell.type('\u001a');
    await shell.shows('Stopped');
    expect(shell.onAlternateScreen).toBe(false);
    shell.type('fg\r');
    await shell.shows('[1 Topo');
    expect(shell.onAlternateScreen).toBe(true);
    shell.type('2');
    await shell.shows('[2 Grp');
    expect(shell.screen).not.toContain('not suspended');
    shell.type('q');
    await shell.shows('ready>');
    expect(shell.onAlternateScreen).toBe(false);
    shell.type('exit\r');
    await closed(shell);
  });

  it('shows how far a long replay is, and Esc cancels it without a trace', async () => {
    const acts = join(home.path, 'acts');
    const card = '0000:27:00.0';
    writeFileSync(
      acts,
      [
        'vm.create vm=alpha memory=64M',
        `vm.assign vm=alpha device=${card}`,
        `device.workload device=${card} transfers=100000`,
        'vm.create vm=beta memory=4M',
      ].join('\n'),
    );
    expect((await command(home, 'run', acts, '--session', 'long')).code).toBe(0);
    const console = new Running(['open', 'long'], { home });
    running = console;
    await console.shows('Welcome to vtdeck');
    console.type('s');
    await console.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
    console.type('z');
    await console.shows(/undoing: \d of 3 acts.*Esc cancels/);
    console.type('j');
    await console.shows((screen) => screen.split('\n')[4].startsWith('>'));
    console.type('\u001b');
    await console.shows('cancelled: undoing; everything is as it was before');
    console.type('q');
    expect(await closed(console)).toBe(0);
    const records = readFileSync(join(home.path, 'sessions', 'long', 'journal'), 'utf8');
    expect(records).toContain('beta');
    expect(records).not.toContain('"kind":"head"');
  });

  it('follows the size of the window at any moment', async () => {
    const console = await open({ columns: 120, rows: 40 });
    for (const [columns, rows] of [
      [80, 24],
      [40, 10],
      [200, 60],
      [80, 24],
    ] as const) {
      console.resize(columns, rows);
      console.type('j');
      await console.shows(
        (screen) =>
          screen.split('\n').length === rows &&
          (columns >= 80 ? /q quit\s*$/.test(screen) : screen.includes(`${columns}x${rows}`)),
      );
    }
  });

  it('takes a paste as text, clicks and the wheel', async () => {
    const console = await open({}, '--mouse');
    console.type('\u001b[200~qqq\u001b[201~');
    console.type('\u001b[<0;10;9M\u001b[<0;10;9m');
    await console.shows((screen) => screen.split('\n')[8].startsWith('>'));
    console.type('/\u001b[200~id\rxd\u001b[201~');
    await console.shows('/id xd');
  });

  it('moves the cursor by one row for at most 600 bytes, without clearing, at 200x60', async () => {
    const console = await open({ columns: 200, rows: 60 });
    console.type('jj');
    await console.shows((screen) => screen.split('\n')[5].startsWith('>'));
    const before = console.bytes.length;
    console.type('j');
    await console.shows((screen) => screen.split('\n')[6].startsWith('>'));
    const written = console.bytes.slice(before);
    expect(Buffer.byteLength(written)).toBeLessThanOrEqual(600);
    expect(written).not.toMatch(/\u001b\[[0-3]?J/);
  });

  it('has no colour with NO_COLOR and nothing but ASCII with --ascii', async () => {
    const console = await open({ environment: { NO_COLOR: '1' } }, '--ascii');
    console.type('j2?');
    await console.shows('Help: Groups');
    expect(console.bytes).not.toMatch(/\u001b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m/);
    expect(console.bytes).not.toMatch(/[^\u0000-\u007f]/);
  });

  it('reads as labelled text with --screen-reader', async () => {
    const console = new Running(['--screen-reader'], { home });
    running = console;
    await console.shows('Tour');
    console.type('s');
    await console.shows('Topology, session main');
    console.type('j');
    await console.shows('row 2 of');
    expect(plainText(console.screen)).not.toMatch(/[│╭─]/);
    console.type('q');
    expect(await closed(console)).toBe(0);
  });

  it('tells the second console on a session who has it, and lets it look', async () => {
    const first = await open();
    const second = new Running([], { home });
    try {
      await second.shows('read-only');
      second.type('n\r');
      await second.shows('✗');
      second.type('q');
      expect((await second.ended).code).toBe(0);
    } finally {
      if (existsSync(`/proc/${second.pid}`)) second.kill('SIGKILL');
    }
    first.type('q');
    expect(await closed(first)).toBe(0);
  });

  it('shows a long text in $PAGER and comes back', async () => {
    const console = await open({ environment: { PAGER: 'cat; echo; echo paged; read -r line < /dev/tty' } });
    console.type('jP');
    await console.shows('paged');
    expect(console.onAlternateScreen).toBe(false);
    console.type('\r');
    await console.shows('[1 Topo');
    expect(console.onAlternateScreen).toBe(true);
    console.type('q');
    expect(await closed(console)).toBe(0);
  });

  it('saves the screen as text and SVG', async () => {
    const console = await open();
    console.type('\u0013');
    await console.shows('screen saved');
    expect(readFileSync(join(home.path, 'vtdeck-screen-1.txt'), 'utf8')).toContain('[1 Topo');
    expect(readFileSync(join(home.path, 'vtdeck-screen-1.svg'), 'utf8')).toMatch(/^<svg .*<\/svg>\s*$/s);
  });
});
