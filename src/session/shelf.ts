/** The sessions and demos as the console's screen lists and handles them. */

import { homedir } from 'node:os';
import { join } from 'node:path';
import { Cancelled, type Work } from '../../hw/index.ts';
import type { Chance } from '../actions/action.ts';
import { ApplicationError, ExitCode } from '../errors.ts';
import { exportTexts } from '../export/for-console.ts';
import { builtInHostNames } from '../hosts/builtin.ts';
import { importedHost, importedHostNames } from '../hosts/store.ts';
import type { Workspace } from '../workspace.ts';
import { binnedSessions, removeSession, restoreSession } from './bin.ts';
import { bundledDemoNames, bundledDemoTitle, bundledSession, bundledSessionNames } from './bundled.ts';
import type { SessionOrigin } from './document.ts';
import type { LiveWorkspace } from './live-workspace.ts';
import { defaultOrigin, describe, openInSteps } from './open-workspace.ts';
import { prefer } from './preferences.ts';
import { hostName, type IndexedSession, indexedSessions } from './session-index.ts';
import { createSession, discardSession, renameSession } from './store.ts';
import { verifySession } from './verify.ts';
import { copySession, exportSession, importSession } from './whole.ts';

export interface ShelfOptions {
  readonly now: () => number;
  readonly chance?: Chance;
  readonly readOnly: boolean;
}

interface Entry {
  readonly name: string;
  readonly kind: 'session' | 'bundled' | 'demo';
  readonly title: string;
  readonly host: string;
  readonly acts: number | undefined;
  readonly changed: string;
}

export class Shelf {
  private readonly options: ShelfOptions;
  private readonly opened: LiveWorkspace[] = [];
  /** How many notices each had when it was opened: those the console shows. */
  private readonly noticed = new Map<Workspace, number>();

  constructor(options: ShelfOptions) {
    this.options = options;
  }

  /** Your own first, then those that come with vtdeck, then demos. In steps: what has changed is read. */
  *listing(): Work<readonly Entry[]> {
    const { latest } = this;
    const open: [string, number][] =
      latest === undefined || latest.readOnly ? [] : [[latest.sessionName, latest.actsInAll]];
    const own = yield* indexedSessions(new Map(open));
    const names = new Set(own.map((session) => session.name));
    return [
      ...own.map(ownEntry),
      ...bundledSessionNames()
        .filter((name) => !names.has(name))
        .map(bundledEntry),
      ...bundledDemoNames().map((name): Entry => {
        return {
          name,
          kind: 'demo',
          title: bundledDemoTitle(name),
          host: '',
          acts: undefined,
          changed: '',
        };
      }),
    ];
  }

  /** Opens one in steps; stopped, nothing is open. */
  *opening(name: string): Work<Workspace> {
    const { now, chance, readOnly } = this.options;
    const workspace = yield* openInSteps({ session: name, readOnly, what: 'console', now, chance });
    this.opened.push(workspace);
    this.noticed.set(workspace, workspace.notices.length);
    // Once the first frame is drawn: keeping it waits for the disk, and nothing is lost without it.
    setImmediate(() => prefer('lastSession', name));
    return workspace;
  }

  /** A session on a host (undefined: the default one), opened in steps; stopped, there is none. */
  *creating(name: string, host: string | undefined): Work<Workspace> {
    this.refuseReadOnly();
    const origin = defaultOrigin();
    const imported = host === undefined || builtInHostNames().includes(host) ? undefined : importedHost(host);
    const own = imported ?? (host === undefined ? origin.host : { builtin: host });
    const chosen: SessionOrigin = { ...origin, host: own as SessionOrigin['host'] };
    describe(chosen); // before anything is made: there is no such host
    createSession(name, { origin: chosen }, new Date(this.options.now()));
    try {
      return yield* this.opening(name);
    } catch (thrown) {
      if (thrown instanceof Cancelled) discardSession(name);
      throw thrown;
    }
  }

  /** Those built in, and those imported. */
  hosts(): readonly string[] {
    return [...builtInHostNames(), ...importedHostNames()];
  }

  rename(name: string, to: string): void {
    this.refuseReadOnly();
    renameSession(name, to);
  }

  /** Moves it to the bin. */
  remove(name: string): void {
    this.refuseReadOnly();
    removeSession(name, new Date(this.options.now()));
  }

  copy(name: string, to: string): void {
    this.refuseReadOnly();
    copySession(name, to, new Date(this.options.now()));
  }

  /** Writes it to a new file. @returns the path. */
  exportTo(name: string, file: string): string {
    const path = fromHome(file);
    exportSession(name, path, false);
    return path;
  }

  /** Brings an exported session in. @returns the name it has here. */
  *importing(file: string): Work<string> {
    this.refuseReadOnly();
    return (yield* importSession(fromHome(file), undefined, new Date(this.options.now()))).name;
  }

  /** Names of what is in the bin, the last one first, and when each went there. */
  binned(): readonly { readonly name: string; readonly removed: string }[] {
    return binnedSessions().map(({ name, removedAt }) => ({
      name,
      removed: removedAt.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d).*$/, '$1-$2-$3 $4:$5'),
    }));
  }

  restore(name: string): void {
    this.refuseReadOnly();
    restoreSession(name, name);
  }

  /** Replays it and holds it against the digests recorded on the way. @returns what that came to. */
  *verifying(name: string): Work<{ readonly ok: boolean; readonly said: string }> {
    const { ok, acts, checked, problem } = yield* verifySession(name);
    return { ok, said: problem ?? `${acts} acts replay to the same tables, ${checked} recorded digests met` };
  }

  /** Texts for libvirt, QEMU, mdevctl and the rest. */
  exports(workspace: Workspace): readonly { readonly name: string; text(): string }[] {
    return exportTexts(workspace.host);
  }

  /** The session that is worked on now, or undefined. */
  get latest(): LiveWorkspace | undefined {
    return this.opened[this.opened.length - 1];
  }

  private refuseReadOnly(): void {
    if (!this.options.readOnly) return;
    throw new ApplicationError('EROFS', 'the console was opened read-only', {
      rule: 'read-only',
      remedy: 'open it without --read-only to change sessions',
      exitCode: ExitCode.refused,
    });
  }

  /** Closes all that is open. @returns what went wrong with it, for the operator to read when the console has gone. */
  close(): string[] {
    const said: string[] = [];
    for (const workspace of this.opened) {
      workspace.close();
      said.push(...workspace.notices.slice(this.noticed.get(workspace) ?? 0));
    }
    return said;
  }
}

/** A path as a person types it: `~/` is the home folder. */
function fromHome(file: string): string {
  return file.startsWith('~/') ? join(homedir(), file.slice(2)) : file;
}

function ownEntry(session: IndexedSession): Entry {
  const { name, title, host, acts, savedAt, problem } = session;
  if (problem !== null)
    return { name, kind: 'session', title: problem, host, acts: undefined, changed: 'damaged' };
  const changed = (savedAt ?? '').slice(0, 16).replace('T', ' ');
  return { name, kind: 'session', title, host, acts, changed };
}

function bundledEntry(name: string): Entry {
  const session = bundledSession(name);
  const acts = session?.document.checkpoint.acts;
  const host = session === undefined ? '' : hostName(session.document);
  return { name, kind: 'bundled', title: session?.document.title ?? name, host, acts, changed: '' };
}
