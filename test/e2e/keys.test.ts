/** Every key of the map on every screen, and storms of keys, in the built program on a session of its own. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { allCommands } from '../../views/commands/all.ts';
import { screens } from '../../views/screens/all.ts';
import { bytesOfKey } from '../views/stage.ts';
import { command, Home, missing, Running } from './pseudo-terminal.ts';

let home: Home;
let running: Running | undefined;

beforeEach(() => {
  home = new Home();
});

afterEach(async () => {
  try {
    running?.kill('SIGKILL');
  } catch {
    // It has ended.
  }
  running = undefined;
  home.remove();
});

/** Ways out, and what hands the terminal to somebody else: they have tests of their own. */
const APART = ['quit', 'suspend', 'pager', 'demo.play'];
const KEYS = [
  ...new Set(allCommands.filter(({ id }) => !APART.includes(id)).flatMap(({ keys }) => keys)),
].map(bytesOfKey);
/** The escape key in a form that needs no waiting. */
const ESCAPE = '\u001b[27u';

async function open(columns: number, rows: number): Promise<Running> {
  const console = new Running(['--mouse'], { home, columns, rows });
  running = console;
  await console.shows('Welcome to vtdeck');
  console.type('s');
  await console.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
  return console;
}

/** Waits until all that was typed has been done: the answer to a last key comes after it. */
async function done(console: Running, typed: string, tab: string): Promise<void> {
  const { length } = console.bytes;
  console.type(`${typed}${ESCAPE.repeat(6)}\u000c`);
  await console.shows(() => console.bytes.includes('\u001b[2J', length));
  console.type(ESCAPE + tab);
}

/** One frame, from its first line to its last: what is too tall or too wide would have moved it. */
function isWhole(screen: string, title: RegExp): boolean {
  const lines = screen.split('\n');
  return title.test(lines[0]) && /q quit\s*$/.test(lines.at(-1) ?? '');
}

async function endsWell(console: Running): Promise<void> {
  console.type(`${ESCAPE.repeat(4)}q`);
  expect((await console.ended).code).toBe(0);
  running = undefined;
  const verified = await command(home, 'session', 'verify', 'main');
  expect(verified.code, verified.output).toBe(0);
}

const title = missing === undefined ? 'the built program' : `the built program (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(title, { timeout: 240_000 }, () => {
  it.each([
    [80, 24],
    [120, 40],
    [200, 60],
  ])('takes every key on every screen at %ix%i', async (columns, rows) => {
    const console = await open(columns, rows);
    for (const screen of screens) {
      const go = allCommands.find(({ id }) => id === `go.${screen.id}`)?.keys[0] ?? '';
      // To the first row each time: on the screen of sessions that is the one that is open.
      const typed = KEYS.map((key) => `${ESCAPE.repeat(3)}${go}g${key}`).join('');
      await done(console, typed, go);
      await console.shows((shown) =>
        isWhole(shown, new RegExp(`\\[.?.?(?:${screen.shortTitle}|${screen.title})\\]`)),
      );
    }
    await endsWell(console);
  });

  it('weathers a storm of keys, and the session verifies', async () => {
    const console = await open(120, 40);
    let state = 11;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    // Not to the screen whose Enter opens other sessions and plays demos.
    const all = [
      ...KEYS.filter((key) => key !== '0'),
      ...'abcxvmy123 ',
      '\r',
      '\r',
      '\r',
      '\r',
      ESCAPE,
      ESCAPE,
      ESCAPE,
    ];
    for (let gust = 0; gust < 20; gust += 1) {
      let typed = '';
      for (let key = 0; key < 100; key += 1) typed += all[random(all.length)];
      await done(console, typed, '1');
      await console.shows((shown) => isWhole(shown, /\[1 Topo\]/));
    }
    await endsWell(console);
  });
});
