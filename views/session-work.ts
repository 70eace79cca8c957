/** What changes the session, however long it takes: acts, undo and redo, another session in place of this one. */
import type { Work } from '../hw/index.ts';
import { toApplicationError } from '../src/errors.ts';
import type { BatchOutcome, Outcome, Workspace } from '../src/workspace.ts';
import type { Console } from './console.ts';

type Arguments = Readonly<Record<string, unknown>>;

export class SessionWork {
  private readonly console: Console;
  /** The last act on several things: undone and done again as one. */
  private batch: BatchOutcome | undefined;
  /** The version of the session that lists show while an act is under way: not one that is half done. */
  version: number | undefined;

  constructor(console: Console) {
    this.console = console;
  }

  /**
   * Begins work on the session, unless other work is under way.
   * @param what "undoing"; @param noun What is counted: "acts".
   */
  begin<Result>(what: string, noun: string, work: Work<Result>, done: (result: Result) => void): void {
    const { console } = this;
    const other = console.jobs.of('act');
    if (other !== undefined) return console.warn(`not while this goes on: ${other.what}. Esc cancels it.`);
    const ended = (tell: () => void): void => {
      this.version = undefined;
      console.attempt(tell);
    };
    this.version = console.workspace.version;
    console.jobs.start<Result>('act', {
      what,
      noun,
      work,
      done: (result) => ended(() => done(result)),
      failed: (thrown) => ended(() => console.failWith(toApplicationError(thrown))),
      cancelled: () => ended(() => console.warn(`cancelled: ${what}; everything is as it was before`)),
    });
  }

  dispatch(title: string, name: string, args: Arguments, done: (outcome: Outcome) => void): void {
    this.begin(title, '', this.console.workspace.inSteps.dispatch(name, args), done);
  }

  dispatchAll(
    title: string,
    name: string,
    all: readonly Arguments[],
    done: (outcome: BatchOutcome) => void,
  ): void {
    this.begin(title, 'done', this.console.workspace.inSteps.dispatchAll(name, all), (outcome) => {
      if (outcome.done > 1) this.batch = outcome;
      done(outcome);
    });
  }

  undo(): void {
    const { workspace } = this.console;
    const { batch } = this;
    const whole = batch !== undefined && workspace.journal.at(-1)?.id === batch.last;
    if (whole)
      this.move('undoing', workspace.inSteps.goTo(batch.before), `undone: ${batch.title}, all ${batch.done}`);
    else this.move('undoing', workspace.inSteps.undo());
  }

  redo(): void {
    const { workspace } = this.console;
    const { batch } = this;
    const whole =
      batch !== undefined &&
      (workspace.journal.at(-1)?.id ?? 0) === batch.before &&
      workspace.redoable[batch.done - 1]?.id === batch.last;
    if (whole)
      this.move(
        'doing it again',
        workspace.inSteps.goTo(batch.last),
        `done again: ${batch.title}, all ${batch.done}`,
      );
    else this.move('doing it again', workspace.inSteps.redo());
  }

  /** Work that brings the session to another state, and says so. */
  move(what: string, work: Work<Outcome>, said?: string): void {
    const { console } = this;
    this.begin(what, 'acts', work, (outcome) => {
      if (outcome.ok) console.say(said ?? outcome.summary);
      else console.failWith(outcome.error);
    });
  }

  /** Another session in place of this one, which is then closed. */
  open(name: string, opening: Work<Workspace>): void {
    const { console } = this;
    this.begin(`opening ${name}`, 'acts', inPlaceOf(console.workspace, opening), (next) => {
      this.batch = undefined;
      console.enter(next);
    });
  }
}

function* inPlaceOf(old: Workspace, opening: Work<Workspace>): Work<Workspace> {
  const next = yield* opening;
  yield* old.inSteps.close();
  return next;
}
