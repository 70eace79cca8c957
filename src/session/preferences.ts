/** What the operator prefers, kept by conf across sessions. */
import { isDeepStrictEqual } from 'node:util';
import Conf from 'conf';
import { homeFolder, madeHomeFolder } from './paths.ts';

export interface Preferences {
  /** The session that `vtdeck` opens without a name. */
  lastSession?: string;
  /** Names of screens' themes, key maps and the like, by what they set. */
  console?: Record<string, unknown>;
}

let opened: { home: string; conf: Conf<Preferences> | undefined } | undefined;

function preferences(): Conf<Preferences> | undefined {
  const home = homeFolder();
  if (opened?.home === home) return opened.conf;
  let conf: Conf<Preferences> | undefined;
  try {
    conf = new Conf<Preferences>({
      cwd: madeHomeFolder(),
      configName: 'preferences',
      clearInvalidConfig: false,
      configFileMode: 0o600,
    });
  } catch {
    conf = undefined; // unreadable: `vtdeck doctor` names the file and what is wrong with it
  }
  opened = { home, conf };
  return conf;
}

export function preference<Key extends keyof Preferences>(key: Key): Preferences[Key] | undefined {
  try {
    return preferences()?.get(key);
  } catch {
    return undefined;
  }
}

/** Keeps a preference; where that can't be written, the program goes on without. */
export function prefer<Key extends keyof Preferences>(key: Key, value: Preferences[Key]): void {
  try {
    if (isDeepStrictEqual(preference(key), value)) return; // a write waits for the disk
    preferences()?.set(key, value);
  } catch {
    // A read-only home: preferences last as long as the program.
  }
}
