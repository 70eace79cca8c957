/**
 * Each way of ending: the terminal is as it was, in its modes and in its line discipline, and the journal holds every
 * act. A plain shell runs the program and says afterwards what state it got the terminal back in.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundle, command, Home, missing, Running } from './pseudo-terminal.ts';

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
    running = undefined;
  }
  home.remove();
});

/** Faults that a signal sets off from outside: the program itself has no way to crash on demand. */
function crashHooks(): string {
  const path = join(home.path, 'crash.cjs');
  writeFileSync(
    path,
    `process.on('SIGUSR2', () => setTimeout(() => { throw new Error('thrown on demand') }, 1));
     process.on('SIGPIPE', () => { void Promise.reject(new Error('rejected on demand')) });`,
  );
  return path;
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

/** The program with an act done, all modes on; `pid` is its own. */
async function atWork(): Promise<{ shell: Running; pid: number }> {
  const script = `'${process.execPath}' --require '${crashHooks()}' '${bundle}' --mouse; code=$?; stty -a; echo "ended with $code"; read -r line`;
  const shell = new Running(['-c', script], { home, file: '/bin/sh' });
  running = shell;
  await shell.shows('Welcome to vtdeck');
  shell.type('s');
  await shell.shows((screen) => !screen.includes('Welcome') && screen.includes('Topology'));
  shell.type('n\u0015web\r');
  await shell.shows('✓ web ');
  expect(shell.leftBehind).toEqual(
    expect.arrayContaining(['alternate screen', 'cursor hidden', 'mouse reports', 'bracketed paste']),
  );
  return { shell, pid: childOf(shell.pid) };
}

async function expectGivenBack(shell: Running, code: number): Promise<string> {
  const screen = await shell.shows(/ended with \d+/);
  expect(screen).toContain(`ended with ${code}`);
  expect(shell.leftBehind).toEqual([]);
  for (const flag of ['icanon', 'echo', 'isig', 'icrnl', 'opost'])
    expect(screen).toMatch(new RegExp(`(?<![-\\w])${flag}\\b`));
  return screen;
}

/** What a replay gives is what was recorded, and the acts are among it. */
async function expectJournalWhole(...names: readonly string[]): Promise<void> {
  const journal = readFileSync(join(home.path, 'sessions', 'main', 'journal'), 'utf8');
  for (const name of ['web', ...names]) expect(journal).toContain(`"vm":"${name}"`);
  const verified = await command(home, 'session', 'verify', 'main');
  expect(verified.code, verified.output).toBe(0);
}

const title =
  missing === undefined
    ? 'the terminal and the journal'
    : `the terminal and the journal (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(title, { timeout: 120_000 }, () => {
  it.each([
    ['q', 'q', 0],
    ['Ctrl-C', '\u0003', 0],
    ['the palette', ':quit\r', 0],
  ])('are whole after %s', async (_name, keys, code) => {
    const { shell } = await atWork();
    shell.type(keys);
    await expectGivenBack(shell, code);
    await expectJournalWhole();
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGQUIT', 131],
  ] as const)('are whole after %s', async (signal, code) => {
    const { shell, pid } = await atWork();
    process.kill(pid, signal);
    await expectGivenBack(shell, code);
    await expectJournalWhole();
  });

  it.each([
    ['an exception that nobody caught', 'SIGUSR2', 'thrown on demand'],
    ['a rejection that nobody handled', 'SIGPIPE', 'rejected on demand'],
  ] as const)(
    'are whole after %s, which is shown on the screen of the shell',
    async (_name, signal, said) => {
      const { shell, pid } = await atWork();
      process.kill(pid, signal);
      await shell.shows(/ended with \d+/);
      expect(shell.bytes).toContain(said);
      expect(shell.bytes).toContain('the session is on disk up to the last act');
      await expectGivenBack(shell, 1);
      await expectJournalWhole();
    },
  );

  it('are whole when it crashes while an overlay is open and a paste is half there', async () => {
    const { shell, pid } = await atWork();
    shell.type(':vm.cre');
    await shell.shows('vm.create');
    shell.type('\u001b[200~half of a paste');
    process.kill(pid, 'SIGUSR2');
    await shell.shows(/ended with \d+/);
    await expectGivenBack(shell, 1);
    await expectJournalWhole();
  });

  it('leave every finished act on disk when it is killed in the middle of many', async () => {
    const { pid, shell } = await atWork();
    for (let machine = 0; machine < 6; machine += 1) shell.type(`:vm.create vm=many${machine} memory=16M\r`);
    await shell.shows(/✓ many\d/);
    process.kill(pid, 'SIGKILL');
    await shell.shows(/ended with 137/);
    await expectJournalWhole('many0');
  });

  it('ends when the window is closed, with every act on disk and the session free for the next', async () => {
    const { shell, pid } = await atWork();
    shell.closeWindow();
    running = undefined;
    const until = Date.now() + 20_000;
    while (existsSync(`/proc/${pid}`) && Date.now() < until)
      await new Promise((done) => setTimeout(done, 20));
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await expectJournalWhole();
    const next = await command(
      home,
      'do',
      'vm.create',
      '--vm',
      'after',
      '--memory',
      '16M',
      '--session',
      'main',
    );
    expect(next.code, next.output).toBe(0);
  });
});
