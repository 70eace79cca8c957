/** The screens in the order of their keys. */
import { domains } from './domains.ts';
import { events } from './events.ts';
import { groups } from './groups.ts';
import { log } from './log.ts';
import { machines } from './machines.ts';
import { matrix } from './matrix.ts';
import { mdevs } from './mdevs.ts';
import { plan } from './plan.ts';
import type { Screen, ScreenId } from './screen.ts';
import { sessions } from './sessions.ts';
import { topology } from './topology.ts';
import { units } from './units.ts';
import { walk } from './walk.ts';

export const screens: readonly Screen[] = [
  topology,
  groups,
  mdevs,
  machines,
  domains,
  units,
  walk,
  events,
  plan,
  sessions,
  matrix,
  log,
];

const byId = new Map(screens.map((screen) => [screen.id, screen]));

export function screenOf(id: ScreenId): Screen {
  return byId.get(id) as Screen;
}

/** The digit of a screen: 1 to 9 and 0; the others have none. */
export function digitOf(id: ScreenId): string {
  const at = screens.findIndex((screen) => screen.id === id);
  return at < 9 ? String(at + 1) : at === 9 ? '0' : '';
}
