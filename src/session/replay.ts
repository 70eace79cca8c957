/** Doing the acts of a journal again, on a host as it was before the first. */
import type { Host } from '../../hw/index.ts';
import { parseArguments } from '../actions/arguments.ts';
import { actionNamed } from '../actions/registry.ts';
import { runAction } from '../actions/run-action.ts';
import { ApplicationError, ExitCode, toApplicationError } from '../errors.ts';
import type { CommandLogEntry, JournalEntry } from '../workspace.ts';

/** Hears of each act that was done, and of the start as act 0. */
export type Heard = (entry: CommandLogEntry, host: Host) => void;

/**
 * The host after the acts: the one given, or the one that a boot made of it.
 * @throws ApplicationError REPLAY when an act does not run: the engine is another than the one it was recorded on.
 */
export function replayActs(
  host: Host,
  acts: readonly JournalEntry[],
  sessionName: string,
  heard: Heard,
): Host {
  let current = host;
  heard({ id: 0, summary: '', commands: [] }, current);
  for (const act of acts) {
    try {
      const action = actionNamed(act.action);
      const args = parseArguments(action, act.args);
      const commands = action.linuxCommand(current, args);
      const result = runAction(action, current, args);
      current = result.host ?? current;
      heard({ id: act.id, summary: result.summary, commands }, current);
    } catch (thrown) {
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
  return current;
}
