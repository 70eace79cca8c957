/**
 * The workspace behind screens and commands: runs actions on the host, journals them, and rebuilds the host by replay
 * where going back is needed. An act counts once its line is in the journal; an act that fails leaves no trace.
 */
import { randomUUID } from 'node:crypto';
import type { Host, HostDescription, ProfileName } from '../../hw/index.ts';
import type { Action, ArgumentValues, Chance } from '../actions/action.ts';
import { parseArguments } from '../actions/arguments.ts';
import { actionNamed } from '../actions/registry.ts';
import { runAction } from '../actions/run-action.ts';
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import type { Branch, CommandLogEntry, JournalEntry, Outcome, Prepared, Workspace } from '../workspace.ts';
import type { SessionDocument } from './document.ts';
import type { History } from './history.ts';
import type { RecordWithoutNumber } from './record.ts';
import { type Heard, replayActs } from './replay.ts';

/** Where records go. Without one, a workspace lives in memory only. */
export interface Sink {
  /** @param durable It outlives a loss of power when this returns. */
  append(record: RecordWithoutNumber, durable: boolean): number;
  /** Makes all that was appended outlive a loss of power. */
  sync(): void;
  checkpoint(state: { head: number; acts: number; digest: string }): void;
  close(): void;
}

export interface WorkspaceOptions {
  readonly sessionName: string;
  readonly description: HostDescription;
  readonly profile: ProfileName;
  readonly build: (description: HostDescription, profile: ProfileName) => Host;
  readonly history: History;
  readonly sink: Sink | undefined;
  readonly readOnlyReason?: string;
  readonly notices?: readonly string[];
  readonly document?: SessionDocument;
  readonly now: () => number;
  readonly chance?: Chance;
  /** Sync each act on its own (a console), or only when asked and at the end (a script of many). */
  readonly syncEachAct?: boolean;
}

/** The snapshot is written anew after so many acts; until then the journal has them. */
const ACTS_BETWEEN_CHECKPOINTS = 1000;

/** The command log keeps the latest so many. */
const COMMAND_LOG_LENGTH = 1000;

export class LiveWorkspace implements Workspace {
  private readonly options: WorkspaceOptions;
  private readonly history: History;
  private readonly listeners = new Set<() => void>();
  private current: Host;
  private past: { at: number; host: Host } | undefined;
  private changes = 0;
  private sequence: number;
  private savedAtAct: number;
  private actsSinceCheckpoint = 0;
  private log: CommandLogEntry[] = [];
  private readonly said: string[];
  private closed = false;

  /** @throws ApplicationError when an act of the history does not run: the engine changed, or the file lies. */
  constructor(options: WorkspaceOptions, recordsOnDisk: number) {
    this.options = options;
    this.history = options.history;
    this.sequence = recordsOnDisk;
    this.said = [...(options.notices ?? [])];
    this.current = this.rebuilt();
    this.savedAtAct = options.document?.checkpoint.head ?? this.history.head;
  }

  get host(): Host {
    return this.past?.host ?? this.current;
  }

  get profile(): ProfileName {
    return this.host.profile;
  }

  get sessionName(): string {
    return this.options.sessionName;
  }

  get readOnly(): boolean {
    return this.options.readOnlyReason !== undefined;
  }

  get readOnlyReason(): string | undefined {
    return this.options.readOnlyReason;
  }

  get notices(): readonly string[] {
    return this.said;
  }

  get version(): number {
    return this.changes;
  }

  get journal(): readonly JournalEntry[] {
    return this.history.applied;
  }

  get redoable(): readonly JournalEntry[] {
    return this.history.redoable;
  }

  get commandLog(): readonly CommandLogEntry[] {
    return this.log;
  }

  get branches(): readonly Branch[] {
    return this.history.branches;
  }

  get unsavedActs(): number {
    if (this.savedAtAct === this.history.head) return 0;
    const place = this.history.placeOf(this.savedAtAct) + 1;
    return Math.max(1, Math.abs(this.history.position - place));
  }

  get travellingAt(): number | undefined {
    return this.past?.at;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  disabledReason(name: string, args: Readonly<Record<string, unknown>> = {}): string | undefined {
    const closed = this.whyNothingCanChange();
    if (closed !== undefined) return closed.message;
    try {
      return actionNamed(name).disabledReason(this.current, args as Partial<ArgumentValues>);
    } catch (thrown) {
      return toApplicationError(thrown).message;
    }
  }

  prepare(name: string, raw: Readonly<Record<string, unknown>> = {}): Prepared {
    const action = actionNamed(name);
    const args = parseArguments(action, raw);
    const disabledReason = action.disabledReason(this.current, args);
    const told = <T>(ask: () => T[]): T[] => (disabledReason === undefined ? ask() : []);
    return {
      danger: action.danger,
      disabledReason,
      consequences: told(() => action.consequences?.(this.current, args) ?? []),
      commands: told(() => action.linuxCommand(this.current, args)),
    };
  }

  dispatch(name: string, raw: Readonly<Record<string, unknown>> = {}): Outcome {
    const refused = this.whyNothingCanChange();
    if (refused !== undefined) return { ok: false, error: refused };
    let action: Action;
    let args: ArgumentValues;
    try {
      action = actionNamed(name);
      args = parseArguments(action, raw);
      args = action.resolve?.(this.current, args, this.chance) ?? args;
    } catch (thrown) {
      return { ok: false, error: toApplicationError(thrown) };
    }
    try {
      const commands = action.linuxCommand(this.current, args);
      const { summary, value, host } = runAction(action, this.current, args);
      const parent = this.history.head;
      this.record({ kind: 'act', parent, action: name, args: asRecorded(args), at: this.options.now() });
      this.current = host ?? this.current;
      this.note(summary, commands);
      this.changed();
      return { ok: true, summary, value, commands };
    } catch (thrown) {
      return { ok: false, error: this.takeBack(toApplicationError(thrown)) };
    }
  }

  undo(): Outcome {
    const last = this.history.previous;
    if (last === undefined) return this.nothingTo('undo');
    return this.move(last.parent, `undone: ${last.action}`);
  }

  redo(): Outcome {
    const next = this.history.next;
    if (next === undefined) return this.nothingTo('redo');
    return this.move(next.id, `done again: ${next.action}`);
  }

  switchBranch(name: string): Outcome {
    const branch = this.history.branches.find((candidate) => candidate.name === name);
    if (branch === undefined) {
      const names = this.history.branches.map((candidate) => candidate.name).join(', ');
      return failed('ENOENT', 'branch by name', `there is no branch "${name}"`, `there are: ${names}`);
    }
    return this.change({ kind: 'switch', tip: branch.tip }, `on branch ${name}`);
  }

  /** Goes back (or forward) to any act of the branch worked on. */
  goTo(act: number): Outcome {
    if (act !== 0 && !this.history.has(act)) {
      return failed(
        'ENOENT',
        'act by number',
        `there is no act ${act} on this branch`,
        'the journal lists them',
      );
    }
    return this.move(act, act === 0 ? 'before the first act' : `as after act ${act}`);
  }

  travel(to: number | undefined): Outcome {
    if (to === undefined) {
      this.past = undefined;
      this.changed();
      return done('now');
    }
    const place = to === 0 ? 0 : this.history.placeOf(to) + 1;
    if (to !== 0 && place === 0) {
      return failed(
        'ENOENT',
        'act by number',
        `there is no act ${to} on this branch`,
        'the journal lists them',
      );
    }
    try {
      this.past = { at: to, host: this.replay(this.history.wholeBranch.slice(0, place), () => undefined) };
    } catch (thrown) {
      return { ok: false, error: toApplicationError(thrown) };
    }
    this.changed();
    return done(to === 0 ? 'as before the first act' : `as after act ${to}`);
  }

  save(): Outcome {
    if (this.readOnly) return { ok: false, error: this.readOnlyError() };
    try {
      this.checkpoint();
      this.changed();
      return done(`${this.sessionName} saved`);
    } catch (thrown) {
      return { ok: false, error: toApplicationError(thrown) };
    }
  }

  /**
   * Replays act by act and holds the host against every digest recorded for an act of this branch.
   * @returns how many were met, and the first that was not.
   */
  checkDigests(): { checked: number; problem: string | undefined } {
    let checked = 0;
    let problem: string | undefined;
    this.replay(this.history.applied, ({ id: act }, host) => {
      const recorded = this.history.digests.get(act);
      if (recorded === undefined || problem !== undefined) return;
      const digest = host.digest();
      if (digest === recorded) checked += 1;
      else problem = `after act ${act} the digest is ${digest}, recorded was ${recorded}`;
    });
    return { checked, problem };
  }

  /** What the snapshot says of it: title, tags, notes. */
  get document(): SessionDocument | undefined {
    return this.options.document;
  }

  /** Makes all acts outlive a loss of power. @throws ApplicationError */
  sync(): void {
    this.options.sink?.sync();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    try {
      if (!this.readOnly && this.unsavedActs > 0) this.checkpoint();
    } catch (thrown) {
      // The acts are in the journal: a snapshot that can't be written now is written at a later closing.
      this.said.push(toApplicationError(thrown).message);
    }
    try {
      this.options.sink?.close();
    } catch (thrown) {
      this.said.push(toApplicationError(thrown).message);
    }
  }

  private get chance(): Chance {
    return this.options.chance ?? { uuid: randomUUID };
  }

  private whyNothingCanChange(): ApplicationError | undefined {
    if (this.readOnly) return this.readOnlyError();
    if (this.past === undefined) return undefined;
    return new ApplicationError(
      'EROFS',
      `the host is shown as of act ${this.past.at}: nothing can change in the past`,
      {
        rule: 'time travel shows and does not act',
        remedy: 'come back to now first; or undo to there and act: the old way stays as a branch',
        exitCode: ExitCode.refused,
      },
    );
  }

  private readOnlyError(): ApplicationError {
    return new ApplicationError('EROFS', `the session is open to read only: ${this.readOnlyReason}`, {
      rule: 'one writer a session',
      remedy: `to go on from here: vtdeck session copy ${this.sessionName} NEW-NAME`,
      exitCode: ExitCode.refused,
    });
  }

  private nothingTo(what: 'undo' | 'redo'): Outcome {
    const refused = this.whyNothingCanChange();
    if (refused !== undefined) return { ok: false, error: refused };
    return failed('ENOENT', 'journal', `there is nothing to ${what}`, undefined);
  }

  private move(to: number, summary: string): Outcome {
    return this.change({ kind: 'head', to }, summary);
  }

  /** Journals a move in the history and brings the host there. */
  private change(record: RecordWithoutNumber, summary: string): Outcome {
    const refused = this.whyNothingCanChange();
    if (refused !== undefined) return { ok: false, error: refused };
    try {
      this.record(record);
      this.current = this.rebuilt();
      this.changed();
      return done(summary);
    } catch (thrown) {
      return { ok: false, error: toApplicationError(thrown) };
    }
  }

  /** Writes a record to the journal first, then takes it in. @throws ApplicationError; then nothing has changed. */
  private record(record: RecordWithoutNumber): void {
    const { sink } = this.options;
    const sequence =
      sink === undefined ? this.sequence : sink.append(record, this.options.syncEachAct ?? true);
    this.sequence = sequence + 1;
    const { kind, ...rest } = record;
    this.history.take({ seq: sequence, kind, ...rest } as Parameters<History['take']>[0]);
    if (sink === undefined) return;
    this.actsSinceCheckpoint += 1;
    if (this.actsSinceCheckpoint < ACTS_BETWEEN_CHECKPOINTS) return;
    try {
      this.checkpoint();
    } catch (thrown) {
      this.said.push(`${toApplicationError(thrown).message}; the acts are in the journal`);
      this.actsSinceCheckpoint = 0;
    }
  }

  private checkpoint(): void {
    const { sink } = this.options;
    const { head } = this.history;
    const digest = this.current.digest();
    if (sink !== undefined) {
      if (this.history.digests.get(head) !== digest) {
        const sequence = sink.append({ kind: 'digest', head, digest }, false);
        this.sequence = sequence + 1;
        this.history.take({ kind: 'digest', seq: sequence, head, digest });
      }
      sink.sync();
      sink.checkpoint({ head, acts: this.history.position, digest });
    }
    this.savedAtAct = head;
    this.actsSinceCheckpoint = 0;
  }

  /** After a refused or unrecorded act the host is built anew: whatever the act had begun is gone. */
  private takeBack(error: ApplicationError): ApplicationError {
    this.current = this.rebuilt();
    this.changed();
    return error;
  }

  /** The host as the journal says, and the command log with it. */
  private rebuilt(): Host {
    this.log = [];
    return this.replay(this.history.applied, ({ id, summary, commands }) => {
      if (id !== 0) this.note(summary, commands, id);
    });
  }

  /** A host of its own, after these acts. */
  private replay(acts: readonly JournalEntry[], after: Heard): Host {
    const { description, profile, build, sessionName } = this.options;
    return replayActs(build(description, profile), acts, sessionName, after);
  }

  private note(summary: string, commands: readonly string[], id = this.history.head): void {
    this.log.push({ id, summary, commands });
    if (this.log.length > 2 * COMMAND_LOG_LENGTH) this.log = this.log.slice(-COMMAND_LOG_LENGTH);
  }

  private changed(): void {
    this.changes += 1;
    for (const listener of this.listeners) listener();
  }
}

/** Arguments as the journal keeps them: nothing undefined, nothing shared. */
function asRecorded(args: ArgumentValues): Extract<RecordWithoutNumber, { kind: 'act' }>['args'] {
  return JSON.parse(JSON.stringify(args)) as Extract<RecordWithoutNumber, { kind: 'act' }>['args'];
}

function done(summary: string): Outcome {
  return { ok: true, summary, value: null, commands: [] };
}

function failed(code: string, rule: string, message: string, remedy: string | undefined): Outcome {
  return {
    ok: false,
    error: new ApplicationError(code, message, { rule, remedy, exitCode: ExitCode.usage }),
  };
}
