/** Long work: shown after 200 ms and not before, stopped by Esc without a trace, with keys and frames in between. */
import { describe, expect, it } from 'vitest';
import { workspaceOf } from '../../bench/console/many-rows.ts';
import { plainText } from '../../src/terminal/cells.ts';
import type { Workspace } from '../../src/workspace.ts';
import type { ConsoleOptions } from '../../views/options.ts';
import { freshWorkspace, Stage } from './stage.ts';
import { WorkingClock } from './working-clock.ts';

const ROWS = 20_000;
/** Milliseconds of the test's clock that a step takes, where work is to last. */
const SLOW = 8;

/** A console on which work takes time from when its rows are there. */
async function slow(
  workspace: Workspace,
  options: Partial<ConsoleOptions> = {},
): Promise<{ stage: Stage; clock: WorkingClock; frames: string[] }> {
  const clock = new WorkingClock();
  const frames: string[] = [];
  const onFrame = (lines: readonly string[]): void => {
    frames.push(lines.map(plainText).join('\n'));
  };
  const stage = new Stage(120, 40, { ...options, clock, onFrame }, workspace);
  await stage.text();
  clock.cost = SLOW;
  return { stage, clock, frames };
}

/** Types without letting any time pass but that of the work's first slice. */
function press(stage: Stage, ...keys: string[]): void {
  for (const key of keys) stage.input.emit('data', { Enter: '\r', Esc: '\u001b' }[key] ?? key);
}

/** Lets slices pass until the screen fits; how many it took. */
async function until(stage: Stage, fits: (text: string) => boolean): Promise<number> {
  for (let slices = 0; slices < 5000; slices += 1) {
    if (fits(await stage.text())) return slices;
    stage.clock.advance(1);
  }
  throw new Error(`never came:\n${await stage.text()}`);
}

const working = (text: string): boolean => text.includes('Esc cancels');

/** Machines made one after the other: a history that takes its time to replay. */
function withHistory(acts: number): Workspace {
  const workspace = freshWorkspace();
  workspace.dispatch('vm.create', { vm: 'first', memory: '4M' });
  for (let act = 1; act < acts; act += 1)
    workspace.dispatch('vm.write', {
      vm: 'first',
      address: '0x1000',
      data: (act & 0xff).toString(16).padStart(2, '0'),
    });
  return workspace;
}

/** Rows and cursor, without what is said below them. */
const body = (text: string): string => text.split('\n').slice(1, -3).join('\n');

describe('a filter over many rows', () => {
  it('keeps the old rows until the new ones are there, and shows how far it is after 200 ms', async () => {
    const { stage, frames } = await slow(workspaceOf(ROWS));
    const before = body(await stage.text());
    press(stage, '/', '7');
    expect(working(await stage.text())).toBe(false);
    await until(stage, working);
    const text = await stage.text();
    expect(text).toMatch(/filtering by 7: [\d,]+ of [\d,]+ rows\s+0\.[23] s\s+Esc cancels/);
    expect(text).toContain(`/${ROWS + 47} rows`);
    expect(before.split('\n').slice(2, 20)).toEqual(body(text).split('\n').slice(2, 20));
    await until(stage, (shown) => !working(shown));
    expect(await stage.text()).toMatch(/\/\d+ of \d+ rows/);
    expect(frames.some((frame) => frame.includes('No row fits'))).toBe(false);
  });

  it('starts anew at each letter and ends where one that takes no time ends', async () => {
    const { stage } = await slow(workspaceOf(ROWS));
    press(stage, '/', '7');
    await until(stage, working);
    press(stage, 'f');
    expect(await stage.text()).not.toContain('filtering by 7:');
    await until(stage, (text) => text.includes('filtering by 7f:'));
    await until(stage, (text) => /of \d+ rows/.test(text));
    const quick = new Stage(120, 40, {}, workspaceOf(ROWS));
    await quick.keys('/', '7', 'f');
    expect(body(await stage.text())).toBe(body(await quick.text()));
  });

  it('is taken away by Esc at once', async () => {
    const { stage } = await slow(workspaceOf(ROWS));
    const before = body(await stage.text());
    press(stage, '/', '7');
    await until(stage, working);
    press(stage, 'Esc');
    await until(stage, (text) => !working(text) && !text.includes('type to filter'));
    expect(body(await stage.text())).toBe(before);
  });

  it('holds back what is typed after it, so that it meets the row it was meant for', async () => {
    const { stage, clock } = await slow(workspaceOf(ROWS));
    clock.cost = 1;
    press(stage, ...'/2b:1f.7', 'Enter', 'j', 'Y');
    stage.clock.advance(2000);
    const copied = /\u001b\]52;c;([A-Za-z0-9+/=]+)/.exec(stage.output.bytes)?.[1] ?? '';
    expect(Buffer.from(copied, 'base64').toString()).toBe('0000:2b:1f.7');
  });
});

describe('sorting many rows', () => {
  it('shows its progress, and Esc leaves order, cursor and arrow as they were', async () => {
    const { stage } = await slow(workspaceOf(ROWS));
    press(stage, 'j', 'j');
    stage.clock.advance(20);
    const before = body(await stage.text());
    press(stage, 's');
    await until(stage, (text) => text.includes('sorting: '));
    press(stage, 'Esc');
    await until(stage, (text) => text.includes('cancelled: sorting; the list is as it was'));
    expect(body(await stage.text())).toBe(before);
  });

  it('gives the same order in steps as at once, both ways', async () => {
    const { stage, clock } = await slow(workspaceOf(ROWS));
    clock.cost = 1;
    const quick = new Stage(120, 40, {}, workspaceOf(ROWS));
    for (const keys of [['s', 's'], ['S'], ['s', 's', 's', 's', 's']]) {
      for (const key of keys) {
        press(stage, key);
        stage.clock.advance(1000);
      }
      await quick.keys(...keys);
      expect(body(await stage.text())).toBe(body(await quick.text()));
    }
  });
});

describe('rows that take long to read', () => {
  it('come with the new screen when they come soon: the old one stays until then', async () => {
    const { stage, clock, frames } = await slow(workspaceOf(ROWS));
    clock.cost = 0.4;
    frames.length = 0;
    press(stage, '9');
    await until(stage, (text) => text.includes('[9 Plan'));
    expect(frames.filter((frame) => frame.includes('[9 Plan') && !frame.includes('[ ] '))).toEqual([]);
    expect(frames.filter(working)).toEqual([]);
  });

  it('say so when they take longer, and Esc goes on without them', async () => {
    const { stage, clock } = await slow(workspaceOf(ROWS));
    clock.cost = 40;
    press(stage, '9');
    await until(stage, working);
    expect(await stage.text()).toMatch(/reading Plan/);
    press(stage, 'Esc');
    await until(stage, (text) => text.includes('The rows were not read'));
    clock.cost = 0;
    await stage.keys('Ctrl-l');
    expect(await stage.text()).toContain('[ ] ');
  });
});

describe('undo of a long history', () => {
  it('says nothing in the first 200 ms, then how far it is', async () => {
    const workspace = withHistory(300);
    const { stage, clock, frames } = await slow(workspace);
    clock.cost = 1;
    const begun = clock.now();
    frames.length = 0;
    press(stage, 'z');
    await until(stage, working);
    expect(clock.now() - begun).toBeGreaterThanOrEqual(200);
    expect(clock.now() - begun).toBeLessThan(260);
    expect(frames.filter(working).length).toBeGreaterThan(0);
    expect(await stage.text()).toMatch(/[█░]{16} undoing: \d+ of 299 acts {2}0\.[23] s {2}Esc cancels/);
    await until(stage, (text) => text.includes('✓ undone: vm.write'));
    expect(workspace.journal).toHaveLength(299);
  });

  it('never shows progress of work that ends before', async () => {
    const { stage, clock, frames } = await slow(withHistory(120));
    clock.cost = 1;
    press(stage, 'z');
    await until(stage, (text) => text.includes('undone: vm.write'));
    expect(frames.filter(working)).toEqual([]);
  });

  it('is cancelled without a trace, and can be done again', async () => {
    const workspace = withHistory(100);
    const { stage } = await slow(workspace);
    const before = {
      digest: workspace.host.digest(),
      acts: workspace.journal.length,
      rows: body(await stage.text()),
    };
    press(stage, 'z');
    await until(stage, working);
    press(stage, 'Esc');
    await until(stage, (text) => text.includes('! cancelled: undoing; everything is as it was before'));
    expect(workspace.host.digest()).toBe(before.digest);
    expect(workspace.journal).toHaveLength(before.acts);
    expect(workspace.redoable).toHaveLength(0);
    expect(body(await stage.text())).toBe(before.rows);
    press(stage, 'z');
    await until(stage, (text) => text.includes('undone: vm.write'));
    expect(workspace.journal).toHaveLength(before.acts - 1);
  });

  it('lets keys typed before it was shown wait their turn', async () => {
    const workspace = withHistory(40);
    const { stage, clock } = await slow(workspace);
    clock.cost = 1;
    press(stage, 'z', 'z', 'j', 'z');
    stage.clock.advance(1000);
    expect(workspace.journal).toHaveLength(37);
    expect((await stage.screen()).findIndex((line) => line.startsWith('> '))).toBe(4);
  });

  it('obeys an Esc typed before it was shown, once it is', async () => {
    const workspace = withHistory(100);
    const { stage } = await slow(workspace);
    press(stage, 'z', 'Esc');
    await until(stage, (text) => text.includes('cancelled: undoing'));
    expect(workspace.journal).toHaveLength(100);
  });

  it('lets one move and look about, and refuses other acts with a sentence', async () => {
    const workspace = withHistory(1500);
    const { stage, clock } = await slow(workspace);
    clock.cost = 2;
    press(stage, 'z');
    await until(stage, working);
    press(stage, 'j', 'j', 'j');
    stage.clock.advance(20);
    expect((await stage.screen()).findIndex((line) => line.startsWith('> '))).toBe(6);
    press(stage, 'x');
    stage.clock.advance(20);
    expect(await stage.text()).toContain('! not while this goes on: undoing. Esc cancels it.');
    press(stage, '2');
    await until(stage, (text) => text.includes('[2 Grp'));
    expect(working(await stage.text())).toBe(true);
    press(stage, '?');
    await until(stage, (text) => text.includes('Help: Groups'));
    press(stage, 'Esc');
    await until(stage, (text) => !text.includes('Help: Groups'));
    expect(working(await stage.text())).toBe(true);
    await until(stage, (text) => text.includes('undone'));
    expect(workspace.journal).toHaveLength(1499);
  });

  it('goes on over a change of the window, each frame whole', async () => {
    const workspace = withHistory(200);
    const { stage } = await slow(workspace);
    press(stage, 'z');
    await until(stage, working);
    for (const [columns, rows] of [
      [80, 24],
      [40, 10],
      [20, 5],
      [200, 60],
    ] as const) {
      stage.output.resize(columns, rows);
      stage.clock.advance(20);
      expect(stage.handle?.lines).toHaveLength(rows);
      expect(await stage.text()).toContain('undoing');
    }
    await until(stage, (text) => text.includes('undone'));
  });

  it('ends with the program, and the session is as before', async () => {
    const workspace = withHistory(200);
    const digest = workspace.host.digest();
    const { stage } = await slow(workspace);
    press(stage, 'z');
    await until(stage, working);
    press(stage, 'q');
    await stage.finished;
    stage.clock.advance(60_000);
    expect(workspace.journal).toHaveLength(200);
    expect(workspace.host.digest()).toBe(digest);
    expect(stage.input.raw).toBe(false);
  });

  it('is told to a screen reader seldom', async () => {
    const workspace = withHistory(400);
    const { stage, clock } = await slow(workspace, { screenReader: true });
    clock.cost = 2;
    stage.output.bytes = '';
    press(stage, 'z');
    stage.clock.advance(20_000);
    const told = plainText(stage.output.bytes);
    const each = told.match(/working: [^\r\n]*/g) ?? [];
    const far = ['', ', 25 percent done', ', 50 percent done', ', 75 percent done'];
    expect(new Set(each)).toEqual(new Set(far.map((text) => `working: undoing${text}. Escape cancels`)));
    expect(each.length).toBeLessThan(8);
    expect(told).not.toMatch(/[█░]/);
    expect(told).toContain('undone: vm.write');
  });
});

describe('an act', () => {
  const CARD = '0000:27:00.0';

  function withCard(): Workspace {
    const workspace = freshWorkspace();
    workspace.dispatch('vm.create', { vm: 'alpha', memory: '4M' });
    workspace.dispatch('vm.assign', { vm: 'alpha', device: CARD });
    return workspace;
  }

  it('of many transfers is cancelled half way: what it wrote is taken back', async () => {
    const workspace = withCard();
    const digest = workspace.host.digest();
    const { stage } = await slow(workspace);
    press(stage, ':', ...`device.workload device=${CARD} transfers=20000`, 'Enter');
    await until(stage, working);
    expect(await stage.text()).toMatch(/Let the device work for a while: [\d,]+ of 20,000/);
    expect(workspace.host.digest()).not.toBe(digest);
    press(stage, 'Esc');
    await until(stage, (text) => text.includes('cancelled: Let the device work'));
    expect(workspace.host.digest()).toBe(digest);
    expect(workspace.journal).toHaveLength(2);
  });

  it('on all marked rows that is cancelled says how many were done, keeps the other marks, and is undone as one', async () => {
    const workspace = freshWorkspace();
    for (let at = 0; at < 30; at += 1) workspace.dispatch('vm.create', { vm: `m${at}`, memory: '2M' });
    const digest = workspace.host.digest();
    const { stage, clock } = await slow(workspace);
    clock.cost = 0;
    await stage.keys('4', '*', '+', ...'2M');
    clock.cost = 4;
    press(stage, 'Enter');
    await until(stage, (shown) => /: [4-9] of 30/.test(shown));
    press(stage, 'Esc');
    await until(stage, (shown) => shown.includes('cancelled: '));
    const text = await stage.text();
    const [, done] = /cancelled: (\d+) of 30 done; z takes all of them back/.exec(text) ?? [];
    expect(Number(done)).toBeGreaterThan(1);
    expect(workspace.journal).toHaveLength(30 + Number(done));
    expect(text).toContain(`${30 - Number(done)} marked`);
    clock.cost = 0;
    await stage.keys('z');
    expect(await stage.text()).toContain(`all ${done}`);
    expect(workspace.host.digest()).toBe(digest);
    await stage.keys('Z');
    expect(workspace.journal).toHaveLength(30 + Number(done));
    // The same key again goes on with those that are left.
    await stage.keys('+', ...'2M', 'Enter');
    expect(workspace.host.machineStates().every(({ memoryBytes }) => memoryBytes === 4n << 20n)).toBe(true);
  });

  it('that one piece makes long is announced before the piece, and a cancellation meanwhile takes it back', async () => {
    const workspace = freshWorkspace();
    workspace.dispatch('vm.create', { vm: 'big', memory: '4G' });
    const digest = workspace.host.digest();
    const { stage } = await slow(workspace);
    press(stage, ':', ...`vm.assign vm=big device=${CARD}`, 'Enter');
    await until(stage, (text) => text.includes('y does it'));
    press(stage, 'y');
    await until(stage, (text) => text.includes('cancels when this piece is done'));
    expect(workspace.host.digest()).toBe(digest);
    press(stage, 'Esc');
    await until(stage, (text) => text.includes('cancelled: Assign'));
    expect(workspace.host.digest()).toBe(digest);
    expect(workspace.journal).toHaveLength(1);
  });
});
