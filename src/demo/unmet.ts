/** What an expectation that was not met says: where, what, the nearest line, and the screen. */
import { ApplicationError, ExitCode } from '../errors.ts';
import { matches, nearestLine } from './pattern.ts';
import type { TapeCommand } from './tape.ts';

export type Expectation = Extract<TapeCommand, { kind: 'wait' | 'expect' }>;

/** @param seen What was looked at: the lines of the screen, the cursor's, or the state in words. */
export function unmetError(
  command: Expectation,
  pattern: string,
  how: string,
  seen: readonly string[],
  screen: readonly string[],
): ApplicationError {
  const nearest = command.negated
    ? seen.find((line) => matches(pattern, command.flags, line))
    : nearestLine(pattern, [...seen]);
  const diff = [
    `- expected ${command.negated ? 'no ' : ''}${command.scope} with /${pattern}/${command.flags}`,
    `+ ${command.scope === 'screen' ? 'nearest line' : command.scope}: ${nearest ?? (command.scope === 'screen' ? '(none like it)' : seen.join(' '))}`,
  ];
  const frame = screen
    .map((line) => line.trimEnd())
    .join('\n')
    .trimEnd();
  return new ApplicationError(
    'DIFFERS',
    `/${pattern}/ ${how}\n${diff.join('\n')}\n--- the screen\n${frame}\n---`,
    {
      rule: command.kind === 'wait' ? 'Wait' : 'Expect',
      place: { file: command.file, line: command.line },
      exitCode: ExitCode.differs,
    },
  );
}
