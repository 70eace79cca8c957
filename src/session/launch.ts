/** Which session the console opens, and how, from what the command line says. */
import { finish, type ProfileName, type Work } from '../../hw/index.ts';
import { ApplicationError, ExitCode } from '../errors.ts';
import type { Workspace } from '../workspace.ts';
import { bundledSession } from './bundled.ts';
import { FIRST_SESSION, openInSteps } from './open-workspace.ts';
import { originOf } from './origin.ts';
import { preference } from './preferences.ts';
import type { Shelf } from './shelf.ts';
import { createSession, sessionExists } from './store.ts';

export interface LaunchRequest {
  /** Name or file; absent: the last one, or a first one on the built-in host. */
  readonly session: string | undefined;
  /** A new session on this host. */
  readonly host: string | undefined;
  readonly profile: ProfileName;
  readonly readOnly: boolean;
  readonly now: () => number;
}

/** Does the work of opening, to its end or until it is stopped. */
export type Follow = <Result>(work: Work<Result>, what: string) => Promise<Result>;

/** @throws ApplicationError */
export async function launch(
  request: LaunchRequest,
  shelf: Shelf,
  follow: Follow = async (work) => finish(work),
): Promise<Workspace> {
  const { session, host, profile, now } = request;
  if (session !== undefined && /\/|\.json$/.test(session)) {
    return follow(openInSteps({ session, readOnly: true, what: 'console', now }), `opening ${session}`);
  }
  const name =
    session ?? (host === undefined ? (lastSession() ?? FIRST_SESSION) : undefined) ?? nameOf(host as string);
  if (host !== undefined && sessionExists(name)) {
    throw new ApplicationError('EEXIST', `there is a session "${name}" already`, {
      rule: 'session names are unique',
      remedy: `vtdeck open ${name} opens it; with --host, give the new one another name`,
      exitCode: ExitCode.refused,
    });
  }
  if (
    host !== undefined ||
    (session === undefined && !sessionExists(name) && bundledSession(name) === undefined)
  ) {
    createSession(name, { origin: await originOf(host, profile) }, new Date(now()));
  }
  return follow(shelf.opening(name), `opening ${name}`);
}

/** The session open before, if it is still there. */
function lastSession(): string | undefined {
  const name = preference('lastSession');
  return name !== undefined && (sessionExists(name) || bundledSession(name) !== undefined) ? name : undefined;
}

function nameOf(host: string): string {
  const last = host.replace(/\/+$/, '').split('/').pop() ?? '';
  return (
    last
      .replace(/[^A-Za-z0-9_-]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 64) || FIRST_SESSION
  );
}
