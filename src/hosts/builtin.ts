/** The hosts that come with the program. */
import type { HostDescription } from '../../hw/index.ts';
import { BUILT_IN_SERVER, builtInServer } from './builtin/server.ts';

/** Name of the host that is used when none is asked for. */
export const DEFAULT_HOST = BUILT_IN_SERVER;

const HOSTS: Readonly<Record<string, () => HostDescription>> = { [BUILT_IN_SERVER]: builtInServer };

/** Names of the built-in hosts. */
export function builtInHostNames(): string[] {
  return Object.keys(HOSTS);
}

/** The description of a built-in host, or undefined when there is none of that name. */
export function builtInHost(name: string): HostDescription | undefined {
  return Object.hasOwn(HOSTS, name) ? HOSTS[name]() : undefined;
}
