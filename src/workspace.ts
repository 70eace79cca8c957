/**
 * A session at work: the host as it is now, the journal that led there, and the one way to change it. Screens and
 * commands read `host` and dispatch actions; they never call the host's operations themselves.
 */
import type { Host, ProfileName, Work } from '../hw/index.ts';
import type { ArgumentValues, Danger } from './actions/action.ts';
import type { ApplicationError } from './errors.ts';

/** What became of a dispatched action. */
export type Outcome =
  | {
      readonly ok: true;
      readonly summary: string;
      readonly value: unknown;
      readonly commands: readonly string[];
    }
  | { readonly ok: false; readonly error: ApplicationError };

/** One act of the journal. */
export interface JournalEntry {
  /** Ascending from 1; never used twice in a session. */
  readonly id: number;
  /** The act before it on its branch; 0: the empty host. */
  readonly parent: number;
  readonly action: string;
  readonly args: ArgumentValues;
  /** Milliseconds since 1970, when it was done. */
  readonly at: number;
}

/** A line of the command log: the real Linux command of an act. */
export interface CommandLogEntry {
  readonly id: number;
  readonly summary: string;
  readonly commands: readonly string[];
}

/** A way of going on that was left by undoing and acting otherwise. */
export interface Branch {
  readonly name: string;
  /** Its last act. */
  readonly tip: number;
  readonly acts: number;
  readonly current: boolean;
}

/** What is to be known before an act. */
export interface Prepared {
  readonly danger: Danger;
  readonly disabledReason: string | undefined;
  /** What else it takes or loses, one line each. */
  readonly consequences: readonly string[];
  /** The real Linux commands. */
  readonly commands: readonly string[];
}

/** What became of one action done to many things. */
export interface BatchOutcome {
  readonly title: string;
  /** How many were asked for, done and refused. What is left was stopped before. */
  readonly asked: number;
  readonly done: number;
  readonly refused: number;
  /** The first refusal: what the operator reads of it. */
  readonly failure: { readonly message: string; readonly remedy: string | undefined } | undefined;
  /** The act before the first one of them: `goTo` takes all of them back. */
  readonly before: number;
  /** The last of them. */
  readonly last: number;
}

/**
 * What may take long, in steps. Stopped in between (by throwing `Cancelled` into it), host and journal are as before;
 * of a batch the acts that were done stay.
 */
export interface WorkspaceInSteps {
  dispatch(name: string, args?: Readonly<Record<string, unknown>>): Work<Outcome>;
  /** One action, once for each arguments. They are all on disk when it ends. */
  dispatchAll(name: string, all: readonly Readonly<Record<string, unknown>>[]): Work<BatchOutcome>;
  undo(): Work<Outcome>;
  redo(): Work<Outcome>;
  goTo(act: number): Work<Outcome>;
  switchBranch(name: string): Work<Outcome>;
  travel(to: number | undefined): Work<Outcome>;
  save(): Work<Outcome>;
  /** Stopped, it closes without a snapshot. */
  close(): Work<void>;
}

export interface Workspace {
  /** As of now. Read it anew after each change: undo and refused acts replace the object. */
  readonly host: Host;
  readonly profile: ProfileName;
  readonly sessionName: string;
  readonly readOnly: boolean;
  /** Why it is read-only, who has it ("process 1234 on alpha since 09:12"); undefined when it is not. */
  readonly readOnlyReason: string | undefined;
  /** What was repaired or noticed while opening, for the operator to read once. */
  readonly notices: readonly string[];
  /** Counts up at every change; cheap to compare. */
  readonly version: number;
  /** The acts from the empty host to now, oldest first. */
  readonly journal: readonly JournalEntry[];
  /** Acts that redo would do, next first. */
  readonly redoable: readonly JournalEntry[];
  readonly commandLog: readonly CommandLogEntry[];
  readonly branches: readonly Branch[];
  /** Acts since the last save. */
  readonly unsavedActs: number;
  /** While travelling: the act as of which the host is shown; undefined: now. */
  readonly travellingAt: number | undefined;

  /** Runs an action by name. Never throws for what an operator can cause: the outcome says it. */
  dispatch(name: string, args?: Readonly<Record<string, unknown>>): Outcome;
  /** Why the action can't run now with what is known of its arguments; undefined: it can. */
  disabledReason(name: string, args?: Readonly<Record<string, unknown>>): string | undefined;
  /** What an action would do, before it is done. */
  prepare(name: string, args?: Readonly<Record<string, unknown>>): Prepared;
  undo(): Outcome;
  redo(): Outcome;
  /** Moves to an act of this branch, as so many undos or redos; 0: before the first. */
  goTo(act: number): Outcome;
  /** Goes to the tip of a branch. */
  switchBranch(name: string): Outcome;
  /** Shows the host as of an act of this journal (0: before the first); undefined comes back to now. Changes nothing. */
  travel(to: number | undefined): Outcome;
  /** Writes the snapshot; everything was on disk before, in the journal. */
  save(): Outcome;
  /** The same for who shows progress and may stop it. Nothing else may be dispatched meanwhile. */
  readonly inSteps: WorkspaceInSteps;
  subscribe(listener: () => void): () => void;
  /** Saves, gives the lock back. The workspace can't be used afterwards. */
  close(): void;
}
