/** Demos before somebody's eyes, and keys that become a tape: the built program in a pseudo-terminal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command, Home, missing, Running } from './pseudo-terminal.ts';

// Each starts programs, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 });

let home: Home;
let running: Running | undefined;

beforeEach(() => {
  home = new Home();
});
afterEach(async () => {
  running?.kill('SIGKILL');
  await running?.ended;
  running = undefined;
  home.remove();
});

async function ended(console: Running): Promise<number> {
  const { code } = await console.ended;
  running = undefined;
  return code;
}

const title = missing === undefined ? 'in a pseudo-terminal' : `in a pseudo-terminal (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(title, () => {
  it('the main job passes at speed, and the terminal is given back', async () => {
    running = new Running(['demo', 'play', 'main-job', '--speed', '20'], { home, columns: 100, rows: 30 });
    await running.shows('scalable-mode root entry');
    await running.shows(/demo main-job\.tape: 54 keys, 16 expectations met/);
    expect(running.onAlternateScreen).toBe(false);
    expect(await ended(running)).toBe(0);
  });

  it('a demo pauses, goes on step by step, and hands the keyboard over', async () => {
    const tape = join(home.path, 'slow.tape');
    writeFileSync(tape, 'Sleep 1s\nType "2"\nSleep 30s\nType "3"\nSleep 60s\nType "4"\n');
    running = new Running(['demo', 'play', tape], { home, columns: 100, rows: 30 });
    await running.shows('Topology');
    running.type(' ');
    running.type('.');
    running.type('.');
    await running.shows('[2 Grp]');
    running.type('t');
    running.type('6');
    await running.shows('[6 Unit]');
    running.type('q');
    expect(await ended(running)).toBe(0);
  });

  it('a demo is left with q', async () => {
    running = new Running(['demo', 'play', 'tour'], { home, columns: 100, rows: 30 });
    await running.shows('Topology');
    running.type('q');
    expect(await ended(running)).toBe(0);
  });

  it('a demo is played from the console, which then stands as it was left', async () => {
    running = new Running([], { home, columns: 100, rows: 30 });
    await running.shows('Welcome to vtdeck');
    running.type('sn\r');
    await running.shows('✓ vm1 ');
    running.type('0/main-job\r\r');
    await running.shows(/demo main-job \d+\/\d+ playing/);
    running.type(' ');
    await running.shows('paused');
    running.resize(120, 36);
    running.type('.'.repeat(12));
    await running.shows(/^>/m);
    running.type('q');
    await running.shows('your session is as you left it');
    await running.shows((screen) => screen.split('\n')[35].includes('q quit'));
    expect(running.onAlternateScreen).toBe(true);
    running.type('4');
    await running.shows('1/1 machine');
    const console = running;
    running.type('q');
    expect(await ended(running)).toBe(0);
    await vi.waitFor(() => expect(console.leftBehind).toEqual([]));
    expect((await command(home, 'session', 'show', 'main', '--json')).output).toContain('"vm1"');
  });

  it('a demo that is ended from outside gives the terminal back', async () => {
    running = new Running(['demo', 'play', 'tour'], { home, columns: 100, rows: 30 });
    await running.shows('playing');
    const demo = running;
    running.kill('SIGTERM');
    expect(await ended(running)).toBe(143);
    await vi.waitFor(() => expect(demo.leftBehind).toEqual([]));
  });

  it('what is typed into a console becomes a tape that plays', async () => {
    const tape = join(home.path, 'mine.tape');
    running = new Running(['open', '--record', tape], { home, columns: 100, rows: 30 });
    await running.shows('Welcome to vtdeck');
    running.type('s');
    await running.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
    running.type(':vm.create vm=alpha memory=64M\r');
    await running.shows('alpha runs');
    running.type('4');
    await running.shows('[4 VM]');
    running.type('q');
    expect(await ended(running)).toBe(0);
    const text = readFileSync(tape, 'utf8');
    expect(text).toContain('Type "');
    expect(text).toContain('#: Wait+State /acts=1\\b/');
    // Without the key that closed the first start's greeting, and without the one that quit.
    const again = text
      .replace(/"s/, '"')
      .replace(/q"/, '"')
      .replace(/^Type ""$/m, '');
    writeFileSync(tape, `${again}#: Expect+State /machines=1/\n`);
    const { code, output } = await command(home, 'demo', 'play', tape, '--quiet');
    expect(output).toContain('1 expectations met');
    expect(code).toBe(0);
  });

  it('what was done by keys is there after a new start, with the same tables', async () => {
    running = new Running(['open', 'four-adis'], { home, columns: 100, rows: 30 });
    await running.shows('Welcome to vtdeck');
    running.type('s');
    await running.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
    running.type(':vm.create vm=late memory=64M\r');
    await running.shows('late runs');
    running.type('q');
    expect(await ended(running)).toBe(0);
    const first = await command(home, 'session', 'show', 'four-adis', '--json');
    running = new Running([], { home, columns: 100, rows: 30 });
    await running.shows('four-adis on server');
    running.type('4');
    await running.shows('late');
    running.type('q');
    expect(await ended(running)).toBe(0);
    const second = await command(home, 'session', 'show', 'four-adis', '--json');
    expect(JSON.parse(second.output).digest).toBe(JSON.parse(first.output).digest);
    expect(JSON.parse(second.output).acts).toHaveLength(18);
    const verified = await command(home, 'session', 'verify', 'four-adis', '--json');
    expect(verified.code).toBe(0);
    expect(JSON.parse(verified.output).sessions[0].checked).toBeGreaterThan(0);
  });
});
