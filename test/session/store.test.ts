import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ApplicationError } from '../../src/errors.ts';
import { binnedSessions, removeSession, restoreSession } from '../../src/session/bin.ts';
import { decodeWholeSession, encodeWholeSession } from '../../src/session/document.ts';
import { isSessionName } from '../../src/session/paths.ts';
import { recoverSession } from '../../src/session/recover.ts';
import {
  createSession,
  openSession,
  readSession,
  renameSession,
  sessionNames,
} from '../../src/session/store.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

const home = ownHome();
const NOW = new Date(0);

function folder(name: string): string {
  return join(home.path, 'sessions', name);
}

/** A session with so many acts, closed. */
function withActs(name: string, acts: number): void {
  const workspace = openOnFake(name, { create: true });
  for (let n = 0; n < acts; n++) workspace.dispatch('vm.create', { vm: `vm${n}` });
  workspace.close();
}

function thrownBy(run: () => unknown): ApplicationError {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ApplicationError);
    return thrown as ApplicationError;
  }
  throw new Error('nothing was thrown');
}

describe('names of sessions', () => {
  it.each(['../x', 'a/b', '', '.hidden', 'a'.repeat(65), 'x\u001b[2J', 'a..b', '-rf', 'con\u0000'])(
    'refuses %j',
    (name) => {
      expect(isSessionName(name)).toBe(false);
      expect(thrownBy(() => createSession(name, { origin: ORIGIN }, NOW)).exitCode).toBe(2);
    },
  );

  it('says which there are when one is not', () => {
    createSession('alpha', { origin: ORIGIN }, NOW);
    const error = thrownBy(() => readSession('alpah'));
    expect(error.remedy).toContain('alpha');
    expect(error.exitCode).toBe(2);
  });
});

describe('a torn journal', () => {
  it('loses the act under way at every length of the last line, and nothing else', () => {
    withActs('a', 3);
    const path = join(folder('a'), 'journal');
    const whole = readFileSync(path);
    // The digest line of closing is cut away first, so that the last line is an act beyond the snapshot.
    const workspace = openOnFake('a');
    workspace.dispatch('vm.create', { vm: 'late' });
    const longer = readFileSync(path);
    workspace.close();
    for (let length = whole.length; length < longer.length; length++) {
      rmSync(folder('t'), { recursive: true, force: true });
      createSession('t', { origin: ORIGIN }, NOW);
      const document = JSON.parse(readFileSync(join(folder('a'), 'session.json'), 'utf8'));
      document.checkpoint = { ...document.checkpoint, records: 1 };
      writeFileSync(join(folder('t'), 'session.json'), JSON.stringify(document));
      writeFileSync(join(folder('t'), 'journal'), longer.subarray(0, length));
      const opened = openSession('t', 'test', NOW);
      expect(opened.records.filter((record) => record.kind === 'act')).toHaveLength(3);
      expect(opened.notices.length).toBe(length === whole.length ? 0 : 1);
      opened.writer?.close();
      opened.lock?.release();
      expect(readFileSync(join(folder('t'), 'journal'))).toEqual(whole);
    }
  });
});

describe('damage', () => {
  it('in the middle of the journal is named by line and offset, and nothing is touched', () => {
    withActs('a', 3);
    const path = join(folder('a'), 'journal');
    const bytes = readFileSync(path);
    const second = bytes.indexOf(0x0a) + 1;
    bytes[second + 12] ^= 1;
    writeFileSync(path, bytes);
    for (const open of [() => readSession('a'), () => openSession('a', 'test', NOW)]) {
      const error = thrownBy(open);
      expect(error.place).toEqual({ file: path, line: 2, offset: second });
      expect(error.exitCode).toBe(2);
      expect(error.remedy).toContain('session recover a');
    }
    expect(readFileSync(path)).toEqual(bytes);
    expect(existsSync(join(folder('a'), 'lock'))).toBe(false);
  });

  it('is kept aside by recovery, and the acts before it stay', () => {
    withActs('a', 3);
    const path = join(folder('a'), 'journal');
    const bytes = readFileSync(path);
    const lines = bytes.toString().split('\n');
    lines[3] = lines[3].replace('vm2', 'vm9');
    writeFileSync(path, lines.join('\n'));
    const said = recoverSession('a', NOW);
    expect(said.join(' ')).toContain('journal.corrupt-1');
    expect(readFileSync(`${path}.corrupt-1`, 'utf8')).toBe(lines.join('\n'));
    expect(readSession('a').records.filter((record) => record.kind === 'act')).toHaveLength(2);
    openOnFake('a').close();
  });

  it('of the document: named, kept aside, rebuilt from the journal', () => {
    withActs('a', 2);
    const path = join(folder('a'), 'session.json');
    const text = `${readFileSync(path, 'utf8').slice(0, 90)}\n oops`;
    writeFileSync(path, text);
    const error = thrownBy(() => openSession('a', 'test', NOW));
    expect(error.place?.file).toBe(path);
    expect(error.place?.line).toBeGreaterThan(1);
    expect(readFileSync(path, 'utf8')).toBe(text);
    recoverSession('a', NOW);
    expect(readFileSync(`${path}.corrupt-1`, 'utf8')).toBe(text);
    expect(readSession('a').records.filter((record) => record.kind === 'act')).toHaveLength(2);
  });

  it('notices records lost at the end that the snapshot had seen', () => {
    withActs('a', 3);
    const path = join(folder('a'), 'journal');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    writeFileSync(path, `${lines.slice(0, -2).join('\n')}\n`);
    expect(thrownBy(() => readSession('a')).message).toContain('2 records are missing');
  });

  it('notices a doubled and a missing line', () => {
    withActs('a', 3);
    const path = join(folder('a'), 'journal');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    writeFileSync(path, `${[...lines.slice(0, 2), ...lines.slice(1)].join('\n')}\n`);
    expect(thrownBy(() => readSession('a')).place?.line).toBe(3);
    writeFileSync(path, `${[lines[0], ...lines.slice(2)].join('\n')}\n`);
    expect(thrownBy(() => readSession('a')).place?.line).toBe(2);
  });

  it('refuses the journal of another session', () => {
    withActs('a', 1);
    withActs('b', 1);
    writeFileSync(join(folder('a'), 'journal'), readFileSync(join(folder('b'), 'journal')));
    expect(thrownBy(() => readSession('a')).message).toContain('another session');
  });

  it('refuses a format newer than this program, and foreign files', () => {
    withActs('a', 1);
    const path = join(folder('a'), 'session.json');
    const document = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...document, version: 99 }));
    expect(thrownBy(() => readSession('a')).message).toContain('format version 99');
    expect(thrownBy(() => decodeWholeSession('{"a":1}', 'x.json')).message).toContain('no session');
    expect(thrownBy(() => decodeWholeSession('[[[', 'x.json')).place?.line).toBe(1);
  });
});

describe('a save that was cut short', () => {
  it('gives way to the snapshot before it', () => {
    withActs('a', 2);
    const path = join(folder('a'), 'session.json');
    const good = readFileSync(path, 'utf8');
    writeFileSync(`${path}.previous`, good);
    writeFileSync(path, good.slice(0, good.length / 2));
    writeFileSync(`${path}.tmp-123`, 'left over');
    writeFileSync(join(folder('a'), `lock.${2 ** 22 - 3}`), 'left over');
    const opened = openSession('a', 'test', NOW);
    expect(opened.notices.join(' ')).toContain('the last save was cut short');
    opened.writer?.close();
    opened.lock?.release();
    expect(readFileSync(path, 'utf8')).toBe(good);
    expect(readdirSync(folder('a')).sort()).toEqual(['journal', 'session.json']);
  });
});

describe('the lock', () => {
  it('of a dead process is taken over, and that is said', () => {
    withActs('a', 1);
    const owner = {
      pid: 2 ** 22 - 3,
      started: '1',
      boot: '',
      host: hostname(),
      what: 'console',
      since: NOW.toISOString(),
    };
    writeFileSync(join(folder('a'), 'lock'), JSON.stringify(owner));
    const opened = openSession('a', 'test', NOW);
    expect(opened.writer).toBeDefined();
    expect(opened.notices.join(' ')).toContain('was stale');
    opened.writer?.close();
    opened.lock?.release();
  });

  it('of a process whose number went to another one is stale too', () => {
    withActs('a', 1);
    const owner = {
      pid: process.pid,
      started: '1',
      boot: '',
      host: hostname(),
      what: 'console',
      since: NOW.toISOString(),
    };
    writeFileSync(join(folder('a'), 'lock'), JSON.stringify(owner));
    const opened = openSession('a', 'test', NOW);
    expect(opened.writer).toBeDefined();
    opened.writer?.close();
    opened.lock?.release();
  });

  it('of another machine is respected', () => {
    withActs('a', 1);
    const owner = {
      pid: 5,
      started: '',
      boot: '',
      host: 'elsewhere',
      what: 'console',
      since: NOW.toISOString(),
    };
    writeFileSync(join(folder('a'), 'lock'), JSON.stringify(owner));
    expect(openSession('a', 'test', NOW).readOnlyReason).toContain('on elsewhere');
  });

  it('is given back, and keeps rename and remove off while it is held', () => {
    withActs('a', 1);
    const opened = openSession('a', 'test', NOW);
    expect(thrownBy(() => renameSession('a', 'b')).exitCode).toBe(3);
    expect(thrownBy(() => removeSession('a', NOW)).code).toBe('EBUSY');
    opened.writer?.close();
    opened.lock?.release();
    renameSession('a', 'b');
    expect(sessionNames()).toEqual(['b']);
  });
});

describe('the bin', () => {
  it('gives back what was removed, also two of one name', () => {
    withActs('a', 1);
    removeSession('a', new Date(1000));
    withActs('a', 2);
    removeSession('a', new Date(2000));
    expect(sessionNames()).toEqual([]);
    expect(binnedSessions()).toHaveLength(2);
    restoreSession('a', 'a');
    expect(readSession('a').records.filter((record) => record.kind === 'act')).toHaveLength(2);
    expect(thrownBy(() => restoreSession('a', 'a')).code).toBe('EEXIST');
    restoreSession('a', 'older');
    expect(readSession('older').records.filter((record) => record.kind === 'act')).toHaveLength(1);
  });
});

describe('one file', () => {
  it('goes out and comes in as the same session', () => {
    withActs('a', 3);
    const { document, records } = readSession('a');
    const text = encodeWholeSession({ document, records: [...records] });
    const back = decodeWholeSession(text, 'a.json');
    expect(back.document).toEqual(document);
    expect(back.records).toEqual(records);
    expect(encodeWholeSession(back)).toBe(text);
  });

  it('with an altered line is refused by its number', () => {
    withActs('a', 3);
    const { document, records } = readSession('a');
    const text = encodeWholeSession({ document, records: [...records] }).replace(
      'vm\\":\\"vm1',
      'vm\\":\\"vm7',
    );
    expect(thrownBy(() => decodeWholeSession(text, 'a.json')).message).toContain('journal line 3');
  });
});

describe('format version 1', () => {
  const old = {
    format: 'vtdeck-session',
    version: 1,
    name: 'old one',
    host: { builtin: 'fake' },
    profile: '5.15',
    notes: 'from before',
    acts: [
      { action: 'vm.create', args: { vm: 'alpha', memory: '64M' } },
      { action: 'vm.write', args: { vm: 'alpha', address: '0x0', data: '00' } },
    ],
  };

  it('is read', () => {
    const session = decodeWholeSession(JSON.stringify(old), 'old.json');
    expect(session.fromVersion).toBe(1);
    expect(session.document.notes).toBe('from before');
    expect(session.records.map((record) => record.kind)).toEqual(['begin', 'act', 'act']);
  });

  it('in the store is brought up to date, and the old file kept', () => {
    mkdirSync(folder('old'), { recursive: true });
    const text = JSON.stringify(old);
    writeFileSync(join(folder('old'), 'session.json'), text);
    expect(readSession('old').records).toHaveLength(3);
    const workspace = openOnFake('old');
    expect(workspace.notices.join(' ')).toContain('from format version 1');
    expect(workspace.host.machineState('alpha')).toBeDefined();
    workspace.dispatch('vm.create', { vm: 'beta' });
    workspace.close();
    expect(readFileSync(join(folder('old'), 'session.json.version1-1'), 'utf8')).toBe(text);
    const again = openOnFake('old');
    expect(again.journal).toHaveLength(3);
    again.close();
  });

  it('with a wrong act is refused by its place', () => {
    const bad = { ...old, acts: [{ action: 'vm.create', args: { vm: { nested: true } } }] };
    expect(thrownBy(() => decodeWholeSession(JSON.stringify(bad), 'old.json')).message).toContain('acts[0]');
  });
});
