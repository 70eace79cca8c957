/** The sessions and demos as the console's screen lists and handles them. */
import { Cancelled, finish, type Work } from '../../hw/index.ts';
import type { Chance } from '../actions/action.ts';
import { exportTexts } from '../export/for-console.ts';
import { builtInHostNames } from '../hosts/builtin.ts';
import { importedHost, importedHostNames } from '../hosts/store.ts';
import type { Workspace } from '../workspace.ts';
import { removeSession } from './bin.ts';
import { bundledDemoNames, bundledDemoTitle, bundledSession, bundledSessionNames } from './bundled.ts';
import type { SessionOrigin } from './document.ts';
import { defaultOrigin, describe, openInSteps } from './open-workspace.ts';
import { prefer } from './preferences.ts';
import { hostName, type IndexedSession, indexedSessions } from './session-index.ts';
import { createSession, discardSession, renameSession } from './store.ts';

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
  private readonly opened: Workspace[] = [];
  /** How many notices each had when it was opened: those the console shows. */
  private readonly noticed = new Map<Workspace, number>();

  constructor(options: ShelfOptions) {
    this.options = options;
  }

  /** Your own first, then those that come with vtdeck, then demos. */
  list(): readonly Entry[] {
    const own = indexedSessions();
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

  open(name: string): Workspace {
    return finish(this.opening(name));
  }

  /** The same in steps; stopped, nothing is open. */
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
    renameSession(name, to);
  }

  remove(name: string): void {
    removeSession(name, new Date(this.options.now()));
  }

  /** Texts for libvirt, QEMU, mdevctl and the rest. */
  exports(workspace: Workspace): readonly { readonly name: string; text(): string }[] {
    return exportTexts(workspace.host);
  }

  /** The session that is worked on now, or undefined. */
  get latest(): Workspace | undefined {
    return this.opened[this.opened.length - 1];
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
