/**
 * The workspace behind screens and commands: runs actions on the host, journals them, and rebuilds the host by replay
 * where going back is needed. An act counts once its line is in the journal; an act that fails or is stopped leaves no
 * trace.
 */
import { randomUUID } from 'node:crypto';
import { Cancelled, finish, type Work } from '../../hw/index.ts';
import type { Action, ArgumentValues, Chance } from '../actions/action.ts';
import { parseArguments } from '../actions/arguments.ts';
import { actionNamed } from '../actions/registry.ts';
import { runAction } from '../actions/run-action.ts';
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import type {
  BatchOutcome,
  JournalEntry,
  Outcome,
  Prepared,
  Workspace,
  WorkspaceInSteps,
} from '../workspace.ts';
import type { RecordWithoutNumber } from './record.ts';
import { checkDigests, type DigestCheck, type Rebuilt, rebuild, replay } from './replay.ts';
import type { WorkspaceOptions } from './workspace-options.ts';
import { WorkspaceState } from './workspace-state.ts';

type Arguments = Readonly<Record<string, unknown>>;

export class LiveWorkspace extends WorkspaceState implements Workspace {
  readonly inSteps: WorkspaceInSteps;

  /** @throws ApplicationError when an act of the history does not run: the engine changed, or the file lies. */
  static *open(options: WorkspaceOptions, recordsOnDisk: number): Work<LiveWorkspace> {
    return new LiveWorkspace(options, recordsOnDisk, yield* rebuild(options, options.history.applied));
  }

  private constructor(options: WorkspaceOptions, recordsOnDisk: number, rebuilt: Rebuilt) {
    super(options, recordsOnDisk, rebuilt);
    this.inSteps = {
      dispatch: (name, args = {}) => this.act(name, args, this.options.syncEachAct ?? true),
      dispatchAll: (name, all) => this.actOnAll(name, all),
      undo: () => this.undoing(),
      redo: () => this.redoing(),
      goTo: (act) => this.goingTo(act),
      switchBranch: (name) => this.switchingTo(name),
      travel: (to) => this.travelling(to),
      save: () => this.saving(),
      close: () => this.closing(),
    };
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

  dispatch(name: string, args: Arguments = {}): Outcome {
    return finish(this.inSteps.dispatch(name, args));
  }

  undo(): Outcome {
    return finish(this.undoing());
  }

  redo(): Outcome {
    return finish(this.redoing());
  }

  goTo(act: number): Outcome {
    return finish(this.goingTo(act));
  }

  switchBranch(name: string): Outcome {
    return finish(this.switchingTo(name));
  }

  travel(to: number | undefined): Outcome {
    return finish(this.travelling(to));
  }

  save(): Outcome {
    return finish(this.saving());
  }

  /** Replays, and holds the host against every digest recorded for an act of this branch. */
  checkDigests(): Work<DigestCheck> {
    return checkDigests(this.options, this.history.applied, this.history.digests);
  }

  private get chance(): Chance {
    return this.options.chance ?? { uuid: randomUUID };
  }

  private nothingTo(what: 'undo' | 'redo'): Outcome {
    const refused = this.whyNothingCanChange();
    if (refused !== undefined) return { ok: false, error: refused };
    return failed('ENOENT', 'journal', `there is nothing to ${what}`, undefined);
  }

  /** @param durable Each act outlives a loss of power when it is told of. */
  private *act(name: string, raw: Arguments, durable: boolean): Work<Outcome> {
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
    this.underWay = true;
    let outcome: Outcome;
    try {
      const commands = action.linuxCommand(this.current, args);
      const { summary, value, host } = yield* runAction(action, this.current, args);
      const parent = this.history.head;
      const at = this.options.now();
      this.record({ kind: 'act', parent, action: name, args: asRecorded(args), at }, durable);
      this.current = host ?? this.current;
      this.log.add({ id: this.history.head, summary, commands });
      outcome = { ok: true, summary, value, commands };
    } catch (thrown) {
      // Whatever the act had begun is gone with the host it had begun on.
      this.take(yield* rebuild(this.options, this.history.applied));
      this.underWay = false;
      this.changed();
      if (thrown instanceof Cancelled) throw thrown;
      return { ok: false, error: toApplicationError(thrown) };
    }
    this.underWay = false;
    this.changed();
    yield* this.checkpointWhenDue();
    return outcome;
  }

  private *actOnAll(name: string, all: readonly Arguments[]): Work<BatchOutcome> {
    const before = this.history.head;
    let done = 0;
    let refused = 0;
    let failure: BatchOutcome['failure'];
    const told = ({ message, code, remedy }: ApplicationError): BatchOutcome['failure'] => {
      return { message: `${message} (${code})`, remedy };
    };
    try {
      for (const args of all) {
        yield { done: done + refused, total: all.length };
        // What is known to be refused is not begun: taking it back is a replay.
        const reason = this.disabledReason(name, args);
        if (reason !== undefined) {
          refused += 1;
          failure ??= { message: reason, remedy: undefined };
          continue;
        }
        const outcome = yield* this.act(name, args, false);
        if (outcome.ok) done += 1;
        else {
          refused += 1;
          failure ??= told(outcome.error);
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof Cancelled)) throw thrown;
    }
    try {
      this.sync();
    } catch (thrown) {
      failure = told(toApplicationError(thrown));
    }
    const { title } = actionNamed(name);
    return { title, asked: all.length, done, refused, failure, before, last: this.history.head };
  }

  private *undoing(): Work<Outcome> {
    const last = this.history.previous;
    if (last === undefined) return this.nothingTo('undo');
    return yield* this.move(last.parent, `undone: ${last.action}`);
  }

  private *redoing(): Work<Outcome> {
    const { next } = this.history;
    if (next === undefined) return this.nothingTo('redo');
    return yield* this.move(next.id, `done again: ${next.action}`);
  }

  private *goingTo(act: number): Work<Outcome> {
    if (act !== 0 && !this.history.has(act)) return noSuchAct(act);
    return yield* this.move(act, act === 0 ? 'before the first act' : `as after act ${act}`);
  }

  private *switchingTo(name: string): Work<Outcome> {
    const branch = this.history.branches.find((candidate) => candidate.name === name);
    if (branch === undefined) {
      const names = this.history.branches.map((candidate) => candidate.name).join(', ');
      return failed('ENOENT', 'branch by name', `there is no branch "${name}"`, `there are: ${names}`);
    }
    const { tip } = branch;
    return yield* this.change({ kind: 'switch', tip }, this.history.pathTo(tip), `on branch ${name}`);
  }

  private *travelling(to: number | undefined): Work<Outcome> {
    if (to === undefined) {
      this.past = undefined;
      this.changed();
      return done('now');
    }
    if (to !== 0 && !this.history.has(to)) return noSuchAct(to);
    try {
      this.past = { at: to, host: yield* replay(this.options, this.actsUntil(to), () => undefined) };
    } catch (thrown) {
      if (thrown instanceof Cancelled) throw thrown;
      return { ok: false, error: toApplicationError(thrown) };
    }
    this.changed();
    return done(to === 0 ? 'as before the first act' : `as after act ${to}`);
  }

  private *saving(): Work<Outcome> {
    if (this.readOnly) return { ok: false, error: this.readOnlyError() };
    try {
      yield* this.checkpoint();
      this.changed();
      return done(`${this.sessionName} saved`);
    } catch (thrown) {
      if (thrown instanceof Cancelled) throw thrown;
      return { ok: false, error: toApplicationError(thrown) };
    }
  }

  /** Acts of the branch worked on, up to that one; 0: none. */
  private actsUntil(act: number): readonly JournalEntry[] {
    return act === 0 ? [] : this.history.wholeBranch.slice(0, this.history.placeOf(act) + 1);
  }

  private *move(to: number, summary: string): Work<Outcome> {
    return yield* this.change({ kind: 'head', to }, this.actsUntil(to), summary);
  }

  /** Builds the host as it will be, journals the move in the history, and only then takes both. */
  private *change(
    record: RecordWithoutNumber,
    acts: readonly JournalEntry[],
    summary: string,
  ): Work<Outcome> {
    const refused = this.whyNothingCanChange();
    if (refused !== undefined) return { ok: false, error: refused };
    try {
      const rebuilt = yield* rebuild(this.options, acts);
      this.record(record, this.options.syncEachAct ?? true);
      this.take(rebuilt);
    } catch (thrown) {
      if (thrown instanceof Cancelled) throw thrown;
      return { ok: false, error: toApplicationError(thrown) };
    }
    this.changed();
    yield* this.checkpointWhenDue();
    return done(summary);
  }
}

/** Arguments as the journal keeps them: nothing undefined, nothing shared. */
function asRecorded(args: ArgumentValues): Extract<RecordWithoutNumber, { kind: 'act' }>['args'] {
  return JSON.parse(JSON.stringify(args)) as Extract<RecordWithoutNumber, { kind: 'act' }>['args'];
}

function noSuchAct(act: number): Outcome {
  return failed('ENOENT', 'act by number', `there is no act ${act} on this branch`, 'the journal lists them');
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
