/** Options that several commands share. */
import { usageError } from '../errors.ts';
import { preference } from '../session/preferences.ts';

export const sessionOption = {
  type: 'string',
  describe: 'session: a name, or the file of an exported one (else VTDECK_SESSION, else the last one opened)',
  requiresArg: true,
} as const;

/** The session that a command works on. @throws ApplicationError USAGE when none was named and none is known. */
export function sessionOf(argv: { session?: unknown }): string {
  const named = argv.session ?? process.env.VTDECK_SESSION ?? preference('lastSession');
  if (Array.isArray(named)) throw usageError('--session was given more than once', 'give it once');
  if (typeof named === 'string' && named !== '') return named;
  throw usageError('no session was named', 'say --session NAME; vtdeck session list shows which there are');
}
