/** From a name, a file or nothing to a session at work. */
import { existsSync } from 'node:fs';
import {
  buildHost,
  Cancelled,
  finish,
  type Host,
  type HostDescription,
  type ProfileName,
  type Work,
} from '../../hw/index.ts';
import type { Chance } from '../actions/action.ts';
import { ApplicationError, fileError, printable, toApplicationError } from '../errors.ts';
import { builtInHost, builtInHostNames, DEFAULT_HOST } from '../hosts/builtin.ts';
import { parseHostDescription } from '../hosts/schema.ts';
import { readInput } from '../input.ts';
import { bundledSession, bundledSessionNames } from './bundled.ts';
import { decodeWholeSession, type SessionDocument, type SessionOrigin } from './document.ts';
import { History, HistoryError } from './history.ts';
import { LiveWorkspace } from './live-workspace.ts';
import type { JournalRecord } from './record.ts';
import { sinkFor } from './sink.ts';
import {
  createSession,
  discardSession,
  existingFolder,
  type OpenedSession,
  openingSession,
  readingSession,
  sessionExists,
} from './store.ts';

/** The session that `vtdeck` works on when none was named and none was open before. */
export const FIRST_SESSION = 'main';

export interface OpenRequest {
  /** Name in the store, name of a bundled session, or path of an exported one. */
  readonly session: string;
  /** Read only: no lock, nothing written. */
  readonly readOnly: boolean;
  /** For whoever finds the session locked: "console", "do mdev.create". */
  readonly what: string;
  readonly syncEachAct?: boolean;
  readonly now?: () => number;
  readonly chance?: Chance;
}

/** The host and profile that a new session starts from when nothing else is said. */
export function defaultOrigin(profile: ProfileName = '5.15'): SessionOrigin {
  return { host: { builtin: DEFAULT_HOST }, profile };
}

/** @throws ApplicationError when neither store nor bundle nor file has it, or it is damaged. */
export function openWorkspace(request: OpenRequest): LiveWorkspace {
  return finish(openInSteps(request));
}

/** The same in steps of one act; stopped, nothing is open. @throws ApplicationError */
export function* openInSteps(request: OpenRequest): Work<LiveWorkspace> {
  const now = request.now ?? Date.now;
  const { session } = request;
  if (isPath(session)) return yield* openFile(session, request);
  if (!sessionExists(session)) {
    const bundled = bundledSession(session);
    if (bundled === undefined) {
      existingFolder(session); // says that there is none, and which there are
      throw new ApplicationError('ENOENT', `session "${session}" has gone`);
    }
    if (request.readOnly) {
      const why = 'it comes with vtdeck and was opened to read';
      return yield* inMemory(
        session,
        bundled.document,
        bundled.records,
        `saved-sessions/${session}.json`,
        why,
        request,
      );
    }
    const { title, tags, notes, origin } = bundled.document;
    createSession(session, { origin, title, tags, notes, records: bundled.records }, new Date(now()));
    try {
      return yield* openStored(request, now());
    } catch (thrown) {
      if (thrown instanceof Cancelled) discardSession(session);
      throw thrown;
    }
  }
  return yield* openStored(request, now());
}

function* openStored(request: OpenRequest, now: number): Work<LiveWorkspace> {
  const { session } = request;
  const opened = yield* request.readOnly
    ? readingSession(session)
    : openingSession(session, request.what, new Date(now));
  return yield* live(opened, request.readOnly ? 'it was opened to read' : opened.readOnlyReason, request);
}

/** A workspace that nobody keeps: for demos and tests. */
export function scratchWorkspace(
  name: string,
  origin: SessionOrigin,
  records: readonly JournalRecord[],
  options: Pick<OpenRequest, 'now' | 'chance'> = {},
): LiveWorkspace {
  const history = historyOf(records, name);
  const now = options.now ?? Date.now;
  const description = describe(origin);
  const opening = LiveWorkspace.open(
    {
      sessionName: name,
      description,
      profile: origin.profile,
      build,
      history,
      sink: undefined,
      now,
      chance: options.chance,
    },
    Math.max(1, records.length),
  );
  return finish(opening);
}

function isPath(text: string): boolean {
  return text.includes('/') || (text.endsWith('.json') && existsSync(text));
}

function openFile(path: string, request: OpenRequest): Work<LiveWorkspace> {
  const { document, records } = decodeWholeSession(readInput(path), path);
  const why = 'it is a file; bring it in with: vtdeck session import';
  return inMemory(document.title, document, records, path, why, request);
}

function inMemory(
  name: string,
  document: SessionDocument,
  records: readonly JournalRecord[],
  file: string,
  readOnlyReason: string,
  request: OpenRequest,
): Work<LiveWorkspace> {
  const { origin } = document;
  return LiveWorkspace.open(
    {
      sessionName: name,
      description: describe(origin),
      profile: origin.profile,
      build,
      history: historyOf(records, file),
      sink: undefined,
      readOnlyReason,
      document,
      now: request.now ?? Date.now,
    },
    records.length,
  );
}

function* live(
  opened: OpenedSession,
  readOnlyReason: string | undefined,
  request: OpenRequest,
): Work<LiveWorkspace> {
  const { document, writer, lock, records, folder, name, notices } = opened;
  const now = request.now ?? Date.now;
  const sink =
    writer === undefined || lock === undefined ? undefined : sinkFor(folder, document, writer, lock, now);
  try {
    return yield* LiveWorkspace.open(
      {
        sessionName: name,
        description: describe(document.origin),
        profile: document.origin.profile,
        build,
        history: historyOf(records, folder),
        sink,
        readOnlyReason,
        notices,
        document,
        now,
        chance: request.chance,
        syncEachAct: request.syncEachAct,
      },
      records.length,
    );
  } catch (thrown) {
    sink?.close();
    throw thrown instanceof Cancelled ? thrown : toApplicationError(thrown);
  }
}

function build(description: HostDescription, profile: ProfileName): Host {
  return buildHost(description, { profile });
}

/** @throws ApplicationError FORMAT when a record does not fit those before it. */
export function historyOf(records: readonly JournalRecord[], file: string): History {
  try {
    return History.from(records);
  } catch (thrown) {
    if (!(thrown instanceof HistoryError)) throw thrown;
    throw fileError(thrown.message, { file, line: thrown.sequence + 1 });
  }
}

/** The description that an origin stands for. @throws ApplicationError ENOENT for an unknown built-in host. */
export function describe(origin: SessionOrigin): HostDescription {
  const { host } = origin;
  if (!('builtin' in host)) {
    // A session may come from anywhere: its host is held against the schema, and its texts can't drive a terminal.
    const tame = (_key: string, value: unknown): unknown =>
      typeof value === 'string' ? printable(value) : value;
    return parseHostDescription(JSON.stringify(host, tame), `host of the session (${String(host.name)})`);
  }
  const found = builtInHost(host.builtin as string);
  if (found !== undefined) return found;
  throw new ApplicationError('ENOENT', `this vtdeck has no built-in host "${String(host.builtin)}"`, {
    rule: 'host by name',
    remedy: `there are: ${builtInHostNames().join(', ')}; sessions: ${bundledSessionNames().join(', ')}`,
    exitCode: 2,
  });
}
