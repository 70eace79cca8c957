/** From what `--host` says to the host that a session starts from. */
import type { ProfileName } from '../../hw/index.ts';
import { builtInHostNames } from '../hosts/builtin.ts';
import type { SessionOrigin } from './document.ts';
import { defaultOrigin } from './open-workspace.ts';

/** A built-in host stays a name; anything else (a folder, a file, an imported host) is taken into the session. */
export async function originOf(host: string | undefined, profile: ProfileName): Promise<SessionOrigin> {
  if (host === undefined) return defaultOrigin(profile);
  if (builtInHostNames().includes(host)) return { host: { builtin: host }, profile };
  const { loadHost } = await import('../hosts/import.ts');
  const { description } = loadHost(host);
  return { host: description as unknown as SessionOrigin['host'], profile };
}
