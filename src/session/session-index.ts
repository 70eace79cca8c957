/**
 * The index of sessions, kept by conf: what a list of them shows, so that listing need not read every journal. It only
 * ever repeats what the sessions' own files say: an entry counts as long as those files are the ones it was made from.
 * Two processes that write it at once lose nothing but time.
 */
import { existsSync, statSync } from 'node:fs';
import Conf from 'conf';
import { Cancelled, type Work } from '../../hw/index.ts';
import { formatError, toApplicationError } from '../errors.ts';
import type { SessionDocument } from './document.ts';
import { asDocument, documentPath, readRawDocument } from './document-file.ts';
import { madeHomeFolder } from './paths.ts';
import { journalPath, lockPath, readingSession, sessionFolder, sessionNames } from './store.ts';

/** What is known of a session without opening it. */
export interface IndexedSession {
  readonly name: string;
  readonly title: string;
  readonly host: string;
  readonly profile: string;
  readonly acts: number;
  readonly savedAt: string | null;
  readonly tags: readonly string[];
  /** Why it can't be read, with file and line; null: it can. */
  readonly problem: string | null;
}

type Entries = Record<string, { readonly stamp: string; readonly session: IndexedSession }>;

/**
 * All sessions of the store, by name; in steps.
 * @param open How many acts those have that are open here: their journals need not be read.
 */
export function* indexedSessions(open: ReadonlyMap<string, number> = new Map()): Work<IndexedSession[]> {
  const conf = openIndex();
  const known = readEntries(conf);
  const entries: Entries = {};
  let changed = false;
  for (const name of sessionNames()) {
    const stamp = stampOf(name);
    const before = Object.hasOwn(known, name) ? known[name] : undefined;
    const current = before !== undefined && before.stamp === stamp;
    entries[name] = current ? before : { stamp, session: yield* describeSession(name, open.get(name)) };
    // One that is open changes with every act: it is written down when it is closed.
    changed ||= !current && !existsSync(lockPath(sessionFolder(name)));
  }
  changed ||= Object.keys(known).length !== Object.keys(entries).length;
  if (changed) keep(conf, entries);
  return Object.values(entries).map((entry) => entry.session);
}

/** The host's name, as a list shows it. */
export function hostName(document: SessionDocument): string {
  const { host } = document.origin;
  return 'builtin' in host ? String(host.builtin) : String(host.name);
}

function* describeSession(name: string, actsOfOpen: number | undefined): Work<IndexedSession> {
  try {
    const { document, acts } =
      actsOfOpen === undefined ? yield* readWhole(name) : { document: documentOf(name), acts: actsOfOpen };
    return {
      name,
      title: document.title,
      host: hostName(document),
      profile: document.origin.profile,
      acts,
      savedAt: document.savedAt,
      tags: document.tags,
      problem: null,
    };
  } catch (thrown) {
    if (thrown instanceof Cancelled) throw thrown;
    const problem = formatError(toApplicationError(thrown))
      .split('\n')[0]
      .replace(/^vtdeck: /, '');
    return { name, title: '', host: '', profile: '', acts: 0, savedAt: null, tags: [], problem };
  }
}

function* readWhole(name: string): Work<{ document: SessionDocument; acts: number }> {
  const { document, records } = yield* readingSession(name);
  return { document, acts: records.filter((record) => record.kind === 'act').length };
}

function documentOf(name: string): SessionDocument {
  const folder = sessionFolder(name);
  return asDocument(readRawDocument(folder).value, folder);
}

/** Tells the files of a session from what they were: size and time of each. */
function stampOf(name: string): string {
  const folder = sessionFolder(name);
  return [documentPath(folder), journalPath(folder)]
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? '-' : `${stat.size}@${stat.mtimeMs}`;
    })
    .join(' ');
}

function openIndex(): Conf<Entries> | undefined {
  try {
    // An index that can't be read is made anew: it holds nothing of its own.
    return new Conf<Entries>({
      cwd: madeHomeFolder(),
      configName: 'index',
      clearInvalidConfig: true,
      accessPropertiesByDotNotation: false,
      configFileMode: 0o600,
    });
  } catch {
    return undefined;
  }
}

function readEntries(conf: Conf<Entries> | undefined): Entries {
  try {
    const store = conf?.store ?? {};
    return Object.fromEntries(
      Object.entries(store).filter(
        ([name, entry]) => entry?.session?.name === name && typeof entry.stamp === 'string',
      ),
    );
  } catch {
    return {};
  }
}

function keep(conf: Conf<Entries> | undefined, entries: Entries): void {
  try {
    if (conf !== undefined) conf.store = entries;
  } catch {
    // A home that can't be written has no index; the list is right all the same.
  }
}
