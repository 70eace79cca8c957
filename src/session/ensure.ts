/** A session that is acted on for the first time begins then. */
import { rmSync } from 'node:fs';
import type { ProfileName } from '../../hw/index.ts';
import { ApplicationError, ExitCode } from '../errors.ts';
import { bundledSession } from './bundled.ts';
import { originOf } from './origin.ts';
import { checkSessionName } from './paths.ts';
import { createSession, sessionExists, sessionFolder } from './store.ts';

export interface Ensured {
  /** It was made now. */
  readonly created: boolean;
  /** Takes a session made now away again, where its first act was refused. */
  discard(): void;
}

const THERE: Ensured = { created: false, discard: () => undefined };

/**
 * Makes the session on the host named (else the built-in one) when there is none of that name.
 * @throws ApplicationError USAGE for what can't be a name; EEXIST when there is one and a host was named.
 */
export async function ensureSession(
  name: string,
  host: string | undefined,
  profile: ProfileName,
): Promise<Ensured> {
  const there = /\/|\.json$/.test(name) || sessionExists(name) || bundledSession(name) !== undefined;
  if (there && host === undefined) return THERE;
  if (there) {
    throw new ApplicationError('EEXIST', `there is a session "${name}" already: it has its host`, {
      rule: 'a session keeps its host',
      remedy: 'leave --host out, or give a new session another name',
      exitCode: ExitCode.refused,
    });
  }
  const origin = await originOf(host, profile);
  try {
    createSession(checkSessionName(name), { origin }, new Date());
  } catch (thrown) {
    if (host === undefined && sessionExists(name)) return THERE; // somebody else made it meanwhile
    throw thrown;
  }
  return { created: true, discard: () => rmSync(sessionFolder(name), { recursive: true, force: true }) };
}
