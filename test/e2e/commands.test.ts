/** The command line of the built program: what it prints, JSON shapes, errors and exit codes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PROGRAM, vtdeck } from './program.ts';

// Each starts programs, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 });

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'vtdeck-cli-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const run = (...args: string[]): ReturnType<typeof vtdeck> => vtdeck(args, { home });

/** Runs, wants exit 0 and gives what `--json` printed. */
// biome-ignore lint/suspicious/noExplicitAny: each command prints its own shape
async function json(...args: string[]): Promise<Record<string, any>> {
  const { code, stdout, stderr } = await run(...args, '--json');
  expect(stderr).toBe('');
  expect(code, stdout).toBe(0);
  return JSON.parse(stdout);
}

const PARENT = '0000:6a:01.0';

describe('the main job by commands', () => {
  it('each act has its result and its Linux command; the walk reads the tables that it made', async () => {
    await json('session', 'create', 'lab');
    await json('do', 'device.aux-enable', '--device', PARENT, '--session', 'lab');
    const made = await json(
      'do',
      'mdev.create',
      '--session',
      'lab',
      '--parent',
      PARENT,
      '--type',
      'idxd-1dwq-v1',
    );
    const { uuid } = made.value as { uuid: string };
    expect(made.commands).toEqual([
      `echo ${uuid} > /sys/class/mdev_bus/${PARENT}/mdev_supported_types/idxd-1dwq-v1/create`,
    ]);
    await json('do', 'vm.create', 'vm=alpha', 'memory=64M', '--session', 'lab');
    const assigned = await json('do', 'vm.assign', 'vm=alpha', `device=${uuid}`, '--session', 'lab');
    expect(assigned.value).toMatchObject({ pasid: 1 });
    const landed = await json('do', 'device.dma', `device=${uuid}`, 'iova=0x1000', '--session', 'lab');
    expect(landed.value).toMatchObject({ ok: true, pasid: 1, fault: null });
    const faulted = await json('do', 'device.dma', `device=${uuid}`, 'iova=0x80000000', '--session', 'lab');
    expect(faulted.value).toMatchObject({
      ok: false,
      fault: { access: 'write', pasid: 1, address: '0x80000000' },
    });
    const walk = await json('translate', '--session', 'lab', '--device', uuid, '--iova', '0x1000', '--write');
    expect(Object.keys(walk)).toEqual(['ok', 'physical', 'page', 'cached', 'unit', 'steps', 'fault']);
    expect(walk).toMatchObject({ ok: true, fault: null, page: '4K' });
    const steps = walk.steps as { structure: string; address: string; raw: string; fields: object }[];
    expect(steps[0].structure).toBe('scalable-mode root entry');
    for (const step of steps) {
      expect(step.address).toMatch(/^0x[0-9a-f]+$/);
      expect(step.raw).toMatch(/^0x[0-9a-f]+$/);
      expect(Object.keys(step.fields).length).toBeGreaterThan(0);
    }
    const outside = await json('translate', '--session', 'lab', '--device', uuid, '--iova', '0x80000000');
    expect(outside).toMatchObject({ ok: false, physical: null });
    expect(outside.fault).toMatchObject({
      reason: expect.stringMatching(/^0x[0-9a-f]+$/),
      recorded: expect.any(Boolean),
    });
    const shown = await json('session', 'show', 'lab');
    expect(shown.acts).toHaveLength(6);
    const verified = await json('session', 'verify', 'lab');
    expect(verified).toMatchObject({ ok: true, sessions: [{ name: 'lab', ok: true, acts: 6 }] });
  });

  it('as a script stops at the first refusal, with its line', async () => {
    await json('session', 'create', 'lab');
    const script = join(home, 'acts.txt');
    writeFileSync(
      script,
      `# a comment\nvm.create vm=alpha memory=64M\n\nvm.assign vm=alpha device=0000:81:00.0\nvm.create vm=beta\n`,
    );
    const { code, stdout, stderr } = await run('run', script, '--session', 'lab');
    expect(code).toBe(1);
    expect(stdout).toContain('ok      alpha runs');
    expect(stderr).toContain('acts.txt:4:');
    expect(stderr).toContain('(EPERM: reserved memory region)');
    const shown = await json('session', 'show', 'lab');
    expect(shown.acts).toHaveLength(1);
  });

  it('a refused act leaves the session byte for byte as it was', async () => {
    await json('session', 'create', 'lab');
    await json('do', 'vm.create', 'vm=alpha', '--session', 'lab');
    const journal = join(home, 'sessions', 'lab', 'journal');
    const before = readFileSync(journal);
    for (const words of [
      ['vm.assign', 'vm=alpha', 'device=0000:81:00.0'],
      ['device.aux-enable', 'device=0000:00:14.0'],
      ['mdev.create', 'parent=0000:16:00.0', 'type=x'],
      ['vm.create', 'vm=alpha'],
    ]) {
      const { code, stdout } = await run('do', ...words, '--session', 'lab', '--yes', '--json');
      expect(code).toBe(1);
      const { error } = JSON.parse(stdout);
      expect(error.code).toMatch(/^E[A-Z]+$/);
      expect(error.rule).not.toBe('');
      expect(error.message).not.toBe('');
    }
    expect(readFileSync(journal)).toEqual(before);
  });
});

describe('a session that is not there yet', () => {
  it('begins with its first act, on the host named; a refused first act leaves nothing behind', async () => {
    const refused = await run('do', 'device.aux-enable', 'device=0000:00:14.0', '--session', 'fresh');
    expect(refused.code).toBe(1);
    expect((await run('session', 'show', 'fresh')).code).toBe(2);
    expect(await json('do', 'vm.create', 'vm=alpha', 'memory=64M', '--session', 'fresh')).toMatchObject({
      ok: true,
    });
    const again = await run('do', 'vm.create', 'vm=beta', '--session', 'fresh', '--host', 'server');
    expect(again.code).toBe(3);
    await json('do', 'vm.create', 'vm=alpha', 'memory=64M', '--session', 'other', '--host', 'server');
    expect((await json('session', 'list')).sessions.slice(0, 2)).toMatchObject([
      { name: 'fresh', acts: 1, host: 'server' },
      { name: 'other', acts: 1, host: 'server' },
    ]);
  });
});

describe('safety', () => {
  it('what takes more than was asked for is refused with 3 until it is meant', async () => {
    await json('session', 'create', 'lab');
    await json('do', 'vm.create', 'vm=alpha', '--session', 'lab');
    const { code, stderr } = await run(
      'do',
      'vm.assign',
      'vm=alpha',
      'device=0000:27:00.0',
      '--session',
      'lab',
    );
    expect(code).toBe(3);
    expect(stderr).toContain('leaves its driver nvme');
    expect(stderr).toContain('--yes');
    await json('do', 'vm.assign', 'vm=alpha', 'device=0000:27:00.0', '--session', 'lab', '--yes');
  });

  it('a dry run says what it would do and does nothing', async () => {
    await json('session', 'create', 'lab');
    const plan = await json('do', 'vm.create', 'vm=alpha', '--session', 'lab', '--dry-run');
    expect(plan).toMatchObject({ possible: true, danger: 'none' });
    expect((await json('session', 'show', 'lab')).acts).toEqual([]);
  });
});

describe('sessions', () => {
  it('are copied, renamed, exported, imported, compared, binned and restored', async () => {
    await json('session', 'create', 'one');
    await json('do', 'vm.create', 'vm=alpha', 'memory=64M', '--session', 'one');
    await json('session', 'copy', 'one', 'two');
    expect(await json('session', 'diff', 'one', 'two')).toMatchObject({ same: true, differences: [] });
    await json('do', 'vm.create', 'vm=beta', 'memory=64M', '--session', 'two');
    const differs = await run('session', 'diff', 'one', 'two', '--json');
    expect(differs.code).toBe(4);
    expect(JSON.parse(differs.stdout).differences).toContainEqual(
      expect.objectContaining({ area: 'machine', subject: 'beta', left: null }),
    );
    await json('session', 'rename', 'two', 'three');
    const file = join(home, 'three.json');
    await json('session', 'export', 'three', file);
    expect((await run('session', 'export', 'three', file)).code).toBe(3);
    await json('session', 'import', file, 'four');
    expect(await json('session', 'diff', 'three', 'four')).toMatchObject({ same: true });
    await json('session', 'tag', 'four', 'lab', 'old');
    await json('session', 'note', 'four', 'a note');
    expect(await json('session', 'show', 'four')).toMatchObject({ tags: ['lab', 'old'], notes: 'a note' });
    expect((await json('session', 'list', '--tag', 'lab')).sessions).toHaveLength(1);
    await json('session', 'remove', 'four');
    expect((await run('session', 'show', 'four')).code).toBe(2);
    await json('session', 'restore', 'four');
    expect((await json('session', 'show', 'four')).acts).toHaveLength(2);
    await json('session', 'remove', 'four');
    expect((await run('session', 'empty-bin')).code).toBe(3);
    await json('session', 'empty-bin', '--yes');
  });

  it('undo, redo, branches and go-to work from the command line', async () => {
    await json('session', 'create', 'lab');
    for (const vm of ['alpha', 'beta'])
      await json('do', 'vm.create', `vm=${vm}`, 'memory=64M', '--session', 'lab');
    await json('do', 'undo', '--session', 'lab');
    await json('do', 'vm.create', 'vm=gamma', 'memory=64M', '--session', 'lab');
    const { branches } = await json('session', 'branch', 'lab');
    expect(branches).toHaveLength(2);
    await json('session', 'branch', 'lab', 'main');
    const names = async (): Promise<string[]> =>
      (await json('session', 'show', 'lab')).acts.map((act: { args: { vm: string } }) => act.args.vm);
    expect(await names()).toEqual(['alpha', 'beta']);
    await json('session', 'go-to', 'lab', '0');
    expect(await names()).toEqual([]);
    await json('do', 'redo', '--session', 'lab');
    expect(await names()).toEqual(['alpha']);
  });

  it('that are damaged are named with file, line and remedy, and nothing is touched', async () => {
    await json('session', 'create', 'lab');
    await json('do', 'vm.create', 'vm=alpha', 'memory=64M', '--session', 'lab');
    const journal = join(home, 'sessions', 'lab', 'journal');
    const damaged = readFileSync(journal, 'utf8').replace('"vm":"alpha"', '"vm":"alphb"');
    writeFileSync(journal, damaged);
    for (const words of [
      ['session', 'show', 'lab'],
      ['do', 'vm.create', 'vm=x', '--session', 'lab'],
      ['session', 'verify', 'lab'],
    ]) {
      const { code, stdout, stderr } = await run(...words);
      expect(code).toBe(2);
      expect(`${stdout}${stderr}`).toContain(`${journal}:3 `);
    }
    expect(readFileSync(journal, 'utf8')).toBe(damaged);
    expect((await run('doctor')).code).toBe(1);
    await json('session', 'recover', 'lab');
    expect(readdirSync(join(home, 'sessions', 'lab')).sort()).toEqual([
      'journal',
      'journal.corrupt-1',
      'session.json',
    ]);
    expect((await json('session', 'show', 'lab')).acts).toEqual([]);
    expect((await run('doctor')).code).toBe(0);
  });
});

describe('wrong input', () => {
  it('is a command after "--", which no option can follow', async () => {
    const { code, stderr } = await run('--', 'session', 'list');
    expect(code).toBe(2);
    expect(stderr).toMatch(/no command before "--".*\n.*vtdeck session list/);
  });

  it.each([
    [['frobnicate'], 2, /no command "frobnicate"/],
    [['sesion', 'list'], 2, /did you mean session/],
    [['do', 'mdev.crate', '--session', 'plain-server'], 2, /no action "mdev\.crate"/],
    [['do', 'vm.create', 'colour=red', '--session', 'plain-server'], 2, /no argument "colour"/],
    [
      ['translate', '--session', 'nowhere', '--device', '0000:6a:01.0', '--iova', '0'],
      2,
      /no session "nowhere"/,
    ],
    [['do', 'undo', '--session', 'nowhere'], 2, /no session "nowhere"/],
    [['do', 'vm.create', '--session', '../../etc', 'vm=a'], 2, /no such file|folder|session/],
    [['session', 'create', '../evil'], 2, /can't name a session/],
    [['session', 'create', 'x\u001b[2J'], 2, /can't name a session/],
    [['session', 'import', '/dev/null'], 2, /not JSON/],
    [['demo', 'play', 'nowhere.tape'], 2, /no such tape/],
    [['translate', '--session', 'plain-server', '--device', '0000:99:00.0', '--iova', '0'], 2, /no device/],
    [
      ['translate', '--session', 'plain-server', '--device', '0000:6a:01.0', '--iova', 'here'],
      2,
      /no address/,
    ],
    [['session', 'show'], 2, /0 arguments given, at least 1 needed/],
    [['session', 'lst'], 2, /did you mean list/],
    [['topology', '--host'], 2, /--host needs a value/],
    [['topology', '--host', 'a', '--host', 'b'], 2, /--host was given more than once/],
    [['topology', '--host', 'server', '--dmar', 'x'], 2, /server is a host with its own DMAR table/],
    [['topology'], 2, /--host is missing/],
    [['schema', 'nope'], 2, /^vtdeck: name: "nope" is none of "groups"/],
    [['dmar', 'nowhere'], 2, /nowhere: no such file/],
    [['dmar', tmpdir()], 2, new RegExp(`${tmpdir()}: is a folder`)],
    [['run', tmpdir(), '--session', 's'], 2, new RegExp(`${tmpdir()}: is a folder`)],
    [['plan', '--host', 'server', '--from', '/dev/null'], 2, /\/dev\/null: no QEMU command line/],
    [['plan', '--host', 'server', '--vf', '0000:16:00.1=-4'], 2, /"0000:16:00.1=-4" names no virtual/],
    [['plan', '--host', 'server', '--assign', '0000:16:00.1', '--kernel', 'zz'], 2, /"zz" is no version/],
    [['plan', '--fleet', '/dev/null'], 2, /\/dev\/null: is no folder/],
    [['host', 'import', 'server'], 2, /name of a host that comes with vtdeck/],
    [['do', 'undo', 'now=1', '--session', 'plain-server'], 2, /undo has no arguments/],
    [['do', 'vm.create', 'vm=a', 'vm=b', '--session', 'plain-server'], 2, /vm was given more than once/],
    [['do', 'vm.create', 'vm=', '--session', 'plain-server'], 2, /vm: "" is empty/],
    [
      ['do', 'sriov.set', 'device=0000:16:00.0', 'count=-1', '--session', 's'],
      2,
      /count: "-1" is less than 0/,
    ],
    [
      ['do', 'sriov.set', 'device=0000:16:00.0', 'count=1e9', '--session', 's'],
      2,
      /count: "1e9" is no number/,
    ],
    [['demo', 'play', 'tour', '--out', '/proc/none'], 2, /\/proc\/none: no such file or folder/],
    [['--bogus'], 2, /bogus/],
  ])('%j ends with %i and says why', async (words, exit, message) => {
    const { code, stdout, stderr } = await run(...words);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('\u001b');
    expect(stdout).toBe('');
    expect(code).toBe(exit);
    const again = await run(...words, '--json');
    expect(again.stderr).toBe('');
    expect(JSON.parse(again.stdout).error).toMatchObject({
      code: expect.any(String),
      rule: expect.any(String),
    });
    expect(again.code).toBe(exit);
  });
});

describe('standard input and output as files', () => {
  it('are meant by a dash', async () => {
    const made = await vtdeck(['run', '-', '--session', 'lab'], { home, stdin: 'vm.create vm=alpha\n' });
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const { stdout } = await run('session', 'export', 'lab', '-');
    expect(JSON.parse(stdout)).toMatchObject({ format: 'vtdeck-session' });
    expect(await vtdeck(['session', 'import', '-', 'copy'], { home, stdin: stdout })).toMatchObject({
      code: 0,
    });
    await json('session', 'diff', 'lab', 'copy');
    const wrong = await vtdeck(['import', '-'], { home, stdin: '<domain' });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/^vtdeck: standard input:/);
  });
});

describe('Ctrl-C', () => {
  it('ends a long script at once; what was done is kept, and the session goes on', async () => {
    const script = join(home, 'long.txt');
    writeFileSync(script, 'device.aux-enable device=0000:6a:01.0\n'.repeat(1_000_000));
    const child = spawn(process.execPath, [PROGRAM, 'run', script, '--session', 'lab'], {
      env: { ...process.env, VTDECK_HOME: home },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    const journal = join(home, 'sessions', 'lab', 'journal');
    await vi.waitUntil(() => existsSync(journal) && statSync(journal).size > 10_000, { timeout: 60_000 });
    child.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    const next = await run('do', 'vm.create', 'vm=alpha', '--session', 'lab');
    expect(next).toMatchObject({ code: 0, stderr: expect.stringContaining('that process is gone') });
    await json('session', 'verify', 'lab');
  });
});

describe('a file that can not be written', () => {
  it('leaves the one that was there, and no part of itself', async () => {
    const folder = join(home, 'taken');
    mkdirSync(folder);
    const { code, stderr } = await run('demo', 'play', 'tour', '--txt', folder);
    expect(stderr).toContain(`${folder}: is a folder`);
    expect(code).toBe(2);
    expect((await run('session', 'export', 'plain-server', join(home, 'no', 'x.json'))).stderr).toContain(
      `${join(home, 'no', 'x.json')}: no such file or folder`,
    );
    expect(readdirSync(home).filter((name) => name.startsWith('taken'))).toEqual(['taken']);
  });
});

describe('a home that can not be made', () => {
  it("is named, and nothing hangs (Node's recursive mkdir never returns below /proc)", async () => {
    for (const words of [
      ['session', 'list'],
      ['do', 'vm.create', 'vm=a', '--session', 'x'],
    ]) {
      const { code, stderr } = await vtdeck(words, { home: '/proc/nowhere/vtdeck' });
      expect(code).toBeGreaterThan(0);
      expect(stderr).toContain('/proc/nowhere');
    }
    expect((await vtdeck(['doctor'], { home: '/proc/nowhere/vtdeck' })).stdout).toContain('problem home');
  });
});

describe('help and completion', () => {
  it('list every command, action, argument and value', async () => {
    const help = await run('--help');
    expect(help.code).toBe(0);
    for (const name of [
      'open',
      'do',
      'run',
      'session',
      'demo',
      'translate',
      'groups',
      'topology',
      'host',
      'replay',
    ]) {
      expect(help.stdout).toContain(`vtdeck ${name}`);
    }
    const words = async (...typed: string[]): Promise<string[]> =>
      (await run('completion', '--words', '--', ...typed)).stdout.trim().split('\n');
    expect(await words()).toContain('translate');
    expect(await words('do')).toContain('mdev.create');
    expect(await words('do', 'mdev.create')).toContain('--parent');
    expect(await words('do', 'mdev.create', '--session', 'plain-server', '--parent')).toContain(PARENT);
    expect(await words('open')).toContain('four-adis');
    expect((await run('completion', 'zsh')).stdout).toContain('#compdef');
  });
});
