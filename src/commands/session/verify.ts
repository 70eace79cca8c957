import type { CommandModule } from 'yargs';
import { finish } from '../../../hw/index.ts';
import { ApplicationError, ExitCode } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { bundledSessionNames } from '../../session/bundled.ts';
import { sessionNames } from '../../session/store.ts';
import { type Verified, verifySession } from '../../session/verify.ts';

export const verify: CommandModule<object, { names?: string[]; json?: boolean }> = {
  command: 'verify [names..]',
  describe: 'replay sessions and hold their digests against those recorded (none named: all)',
  builder: (yargs) => yargs.positional('names', { type: 'string', array: true }) as never,
  handler: ({ names, json }) => {
    const wanted =
      names === undefined || names.length === 0
        ? [...new Set([...sessionNames(), ...bundledSessionNames()])]
        : names;
    const results = wanted.map((name) => finish(verifySession(name)));
    const failed = results.filter((result) => !result.ok);
    if (json) printJson({ ok: failed.length === 0, sessions: results });
    else for (const result of results) printText(lineOf(result));
    if (failed.length === 0) return;
    if (json) process.exitCode = exitOf(failed);
    else {
      const code = exitOf(failed);
      const what = code === ExitCode.usage ? "can't be read" : 'differ';
      throw new ApplicationError('DIFFERS', `${failed.length} of ${results.length} sessions ${what}`, {
        rule: 'a session replays to the same tables',
        exitCode: code,
      });
    }
  },
};

/** A session that can't be read at all is an input error, one that replays to something else differs. */
function exitOf(failed: readonly Verified[]): ExitCode {
  return failed.every((result) => result.unreadable) ? ExitCode.usage : ExitCode.differs;
}

function lineOf(result: Verified): string {
  if (!result.ok) return `${result.unreadable ? 'unread ' : 'differs'}  ${result.name}: ${result.problem}`;
  return `same     ${result.name}: ${result.acts} acts, ${result.checked} recorded digests checked, digest ${result.digest}`;
}
