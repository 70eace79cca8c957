import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { finish, type HostDescription } from '../../hw/index.ts';
import { History } from '../../src/session/history.ts';
import { LiveWorkspace } from '../../src/session/live-workspace.ts';
import { sinkFor } from '../../src/session/sink.ts';
import { createSession, openSession } from '../../src/session/store.ts';
import { fakeHost } from './fake-host.ts';

export const ORIGIN = { host: { builtin: 'fake' }, profile: '5.15' } as const;

/** A home of its own for each test of a file; the value is good within a test. */
export function ownHome(): { readonly path: string } {
  const home = { path: '' };
  const before = process.env.VTDECK_HOME;
  beforeEach(() => {
    home.path = mkdtempSync(join(tmpdir(), 'vtdeck-home-'));
    process.env.VTDECK_HOME = home.path;
  });
  afterEach(() => {
    rmSync(home.path, { recursive: true, force: true });
    if (before === undefined) delete process.env.VTDECK_HOME;
    else process.env.VTDECK_HOME = before;
  });
  return home;
}

/** Opens a session of the store on the fake host; makes it when it isn't there. */
export function openOnFake(name: string, options: { create?: boolean } = {}): LiveWorkspace {
  if (options.create) createSession(name, { origin: ORIGIN }, new Date(0));
  const opened = openSession(name, 'test', new Date(0));
  const { writer, lock } = opened;
  return finish(
    LiveWorkspace.open(
      {
        sessionName: name,
        description: {} as HostDescription,
        profile: '5.15',
        build: fakeHost,
        history: History.from(opened.records),
        sink: writer && lock ? sinkFor(opened.folder, opened.document, writer, lock, () => 0) : undefined,
        readOnlyReason: opened.readOnlyReason,
        notices: opened.notices,
        document: opened.document,
        now: () => 0,
      },
      opened.records.length,
    ),
  );
}

/** One in memory only. */
export function inMemory(): LiveWorkspace {
  return finish(
    LiveWorkspace.open(
      {
        sessionName: 'memory',
        description: {} as HostDescription,
        profile: '5.15',
        build: fakeHost,
        history: new History(),
        sink: undefined,
        now: () => 0,
      },
      1,
    ),
  );
}
