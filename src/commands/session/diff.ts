import type { CommandModule } from 'yargs';
import { ExitCode } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { diffHosts } from '../../session/diff.ts';
import { openWorkspace } from '../../session/open-workspace.ts';

export const diff: CommandModule<object, { left: string; right: string; json?: boolean }> = {
  command: 'diff <left> <right>',
  describe: 'what differs between two sessions (exit code 4 when anything does)',
  builder: (yargs) =>
    yargs
      .positional('left', { type: 'string', demandOption: true })
      .positional('right', { type: 'string', demandOption: true }) as never,
  handler: ({ left, right, json }) => {
    const [here, there] = [left, right].map(
      (session) => openWorkspace({ session, readOnly: true, what: 'session diff' }).host,
    );
    const differences = diffHosts(here, there);
    if (json) printJson({ same: differences.length === 0, left, right, differences });
    else if (differences.length === 0) printText(`${left} and ${right} are the same`);
    for (const { area, subject, what, left: a, right: b } of json ? [] : differences) {
      printText(`${area} ${subject}: ${what}`);
      printText(`  - ${a ?? '(not there)'}`);
      printText(`  + ${b ?? '(not there)'}`);
    }
    if (differences.length > 0) process.exitCode = ExitCode.differs;
  },
};
