/** Doing the acts of a journal again, on a host as it was before the first. */
import { Cancelled, type Host, partOf, type Work } from '../../hw/index.ts';
import { parseArguments } from '../actions/arguments.ts';
import { bootCost } from '../actions/cost.ts';
import { actionNamed } from '../actions/registry.ts';
import { LONG_PIECE, runAction } from '../actions/run-action.ts';
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import type { CommandLogEntry, JournalEntry } from '../workspace.ts';
import type { WorkspaceOptions } from './workspace-options.ts';

/** Hears of each act that was done, and of the start as act 0. */
export type Heard = (entry: CommandLogEntry, host: Host) => void;

type Origin = Pick<WorkspaceOptions, 'description' | 'profile' | 'build' | 'sessionName'>;

/**
 * A host of its own after the acts, in steps of one act; stopped, there is none.
 * @throws ApplicationError REPLAY when an act does not run: the engine is another than the one it was recorded on.
 */
export function* replay(origin: Origin, acts: readonly JournalEntry[], heard: Heard): Work<Host> {
  const { description, profile, build, sessionName } = origin;
  const total = acts.length;
  if (bootCost(description) >= LONG_PIECE) yield { done: 0, total, indivisible: true };
  let host = build(description, profile);
  heard({ id: 0, summary: '', commands: [] }, host);
  for (const [done, act] of acts.entries()) {
    yield { done, total };
    try {
      const action = actionNamed(act.action);
      const args = parseArguments(action, act.args);
      const commands = action.linuxCommand(host, args);
      const result = yield* partOf(runAction(action, host, args), { done, total });
      host = result.host ?? host;
      heard({ id: act.id, summary: result.summary, commands }, host);
    } catch (thrown) {
      if (thrown instanceof Cancelled) throw thrown;
      const error = toApplicationError(thrown);
      const said = `act ${act.id} (${act.action}) does not run: ${error.message} (${error.code})`;
      throw new ApplicationError('REPLAY', said, {
        rule: 'a session replays to where it was',
        remedy: `vtdeck session verify ${sessionName} tells more; the session on disk is as it was`,
        exitCode: ExitCode.differs,
        cause: thrown,
      });
    }
  }
  return host;
}

/** A host after acts, and the command log that they leave. */
export interface Rebuilt {
  readonly host: Host;
  readonly log: CommandLog;
}

export function* rebuild(origin: Origin, acts: readonly JournalEntry[]): Work<Rebuilt> {
  const log = new CommandLog();
  const host = yield* replay(origin, acts, (entry) => {
    if (entry.id !== 0) log.add(entry);
  });
  return { host, log };
}

/** The command log keeps the latest so many. */
const COMMAND_LOG_LENGTH = 1000;

export class CommandLog {
  entries: CommandLogEntry[] = [];

  add(entry: CommandLogEntry): void {
    this.entries.push(entry);
    if (this.entries.length > 2 * COMMAND_LOG_LENGTH) this.entries = this.entries.slice(-COMMAND_LOG_LENGTH);
  }
}

/** How many digests were met, and the first that was not. */
export interface DigestCheck {
  readonly checked: number;
  readonly problem: string | undefined;
}

/** Replays act by act and holds the host against every digest recorded for an act. */
export function* checkDigests(
  origin: Origin,
  acts: readonly JournalEntry[],
  digests: ReadonlyMap<number, string>,
): Work<DigestCheck> {
  let checked = 0;
  let problem: string | undefined;
  const compare: Heard = ({ id: act }, host) => {
    const recorded = digests.get(act);
    if (recorded === undefined || problem !== undefined) return;
    const digest = host.digest();
    if (digest === recorded) checked += 1;
    else problem = `after act ${act} the digest is ${digest}, recorded was ${recorded}`;
  };
  yield* replay(origin, acts, compare);
  return { checked, problem };
}
