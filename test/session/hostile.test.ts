/** Session files from anywhere: they can't drive the terminal, can't hang, and say what is wrong with them. */
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import { ApplicationError } from '../../src/errors.ts';
import { decodeWholeSession } from '../../src/session/document.ts';
import { parseJournal } from '../../src/session/journal.ts';
import { openWorkspace } from '../../src/session/open-workspace.ts';
import { createSession, openSession } from '../../src/session/store.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

const home = ownHome();
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;

const base = {
  format: 'vtdeck-session',
  version: 1,
  name: 'x',
  host: { builtin: 'server' },
  profile: '5.15',
  acts: [] as unknown[],
};

function thrownBy(run: () => unknown): ApplicationError {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ApplicationError);
    return thrown as ApplicationError;
  }
  throw new Error('nothing was thrown');
}

/** Opens it as a file, as `session show ./x.json` does. */
function opened(value: unknown): ReturnType<typeof openWorkspace> {
  const path = join(home.path, 'x.json');
  writeFileSync(path, JSON.stringify(value));
  return openWorkspace({ session: path, readOnly: true, what: 'test' });
}

describe('a hostile session file', () => {
  it('with escape sequences in its texts shows them, and does not send them', () => {
    const evil = '\u001b[2J\u001b]0;owned\u0007\u009b31m';
    const { document } = decodeWholeSession(
      JSON.stringify({ ...base, name: evil, notes: `a\n${evil}`, tags: [evil] }),
      'x',
    );
    for (const text of [document.title, document.notes, ...document.tags]) expect(text).not.toMatch(CONTROL);
    expect(document.notes).toContain('\n');
    const act = { action: 'vm.create', args: { vm: evil } };
    expect(
      thrownBy(() => decodeWholeSession(JSON.stringify({ ...base, acts: [act] }), 'x')).message,
    ).toContain('acts[0]');
  });

  it('with a host that is none says which part is wrong', () => {
    const host = {
      format: 'vtdeck-host',
      version: 1,
      name: 'h',
      origin: 'o',
      functions: [{ address: 'nowhere' }],
    };
    expect(thrownBy(() => opened({ ...base, host })).message).toMatch(/functions\.0/);
    expect(thrownBy(() => opened({ ...base, host: { builtin: '../../etc/passwd' } })).message).toContain(
      'no built-in host',
    );
  });

  it('nested beyond reason, truncated or of other kinds ends in a named error', () => {
    for (const text of [
      '['.repeat(200_000),
      `{"a":${'{"a":'.repeat(100_000)}`,
      'null',
      '7',
      '"x"',
      '{',
      '\u0000',
      JSON.stringify(base).slice(0, 50),
    ]) {
      const error = thrownBy(() => decodeWholeSession(text, 'x.json'));
      expect(error.exitCode).toBe(2);
      expect(error.place?.file).toBe('x.json');
    }
  });

  it('whose acts ask for the impossible is refused by the engine, quickly', () => {
    const huge = { action: 'vm.create', args: { vm: 'a', memory: '99999999999999999999T' } };
    const error = thrownBy(() => opened({ ...base, acts: [huge] }));
    expect(error.code).toBe('REPLAY');
    expect(error.exitCode).toBe(4);
    expect(error.message).toContain('act 1 (vm.create)');
  });

  it('never throws anything but a named error, whatever is changed in it (property)', () => {
    const whole = JSON.stringify({ ...base, acts: [{ action: 'vm.create', args: { vm: 'a' } }] });
    fc.assert(
      fc.property(
        fc.nat(whole.length - 1),
        fc.string({ minLength: 0, maxLength: 4 }),
        fc.nat(6),
        (at, put, cut) => {
          try {
            decodeWholeSession(whole.slice(0, at) + put + whole.slice(at + cut), 'x.json');
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(ApplicationError);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('a journal with any byte changed', () => {
  it('is either read as it was up to the damage, or the damage is named; nothing else is taken in (property)', () => {
    const workspace = openOnFake('a', { create: true });
    for (const vm of ['alpha', 'beta', 'gamma']) workspace.dispatch('vm.create', { vm });
    workspace.close();
    const good = readFileSync(join(home.path, 'sessions', 'a', 'journal'));
    const { records } = finish(parseJournal(good));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(good);
        changed[at] ^= flip;
        const read = finish(parseJournal(changed));
        expect(read.damage).toBeDefined();
        expect(read.records).toEqual(records.slice(0, read.records.length));
      }),
      { numRuns: 400 },
    );
  });
});

describe('a lock file from anywhere', () => {
  it.each(['', '{}', 'x'.repeat(100_000), '{"pid":-1}', '{"pid":1e99}'])(
    '%# is respected, and the session opens to read',
    (text) => {
      createSession('a', { origin: ORIGIN }, new Date(0));
      writeFileSync(join(home.path, 'sessions', 'a', 'lock'), text);
      expect(openSession('a', 'test', new Date(0)).readOnlyReason).toContain('did not say who it is');
    },
  );

  it('that can not be read and is from before this boot is what a loss of power left: it is taken over', () => {
    createSession('a', { origin: ORIGIN }, new Date(0));
    const path = join(home.path, 'sessions', 'a', 'lock');
    writeFileSync(path, '');
    utimesSync(path, 1, 1);
    const { writer, lock } = openSession('a', 'test', new Date(0));
    expect(writer).toBeDefined();
    writer?.close();
    lock?.release();
  });
});
