/** The host as a plan looks at it. Making that goes through every function: kept until the session changes. */
import type { Host, Work } from '../../hw/index.ts';
import { Roles } from '../../src/plan/roles.ts';
import { type PlanView, viewOfHost } from '../../src/plan/view.ts';
import type { ScreenContext } from './screen.ts';

export interface HostView {
  readonly view: PlanView;
  readonly roles: Roles;
}

/** Functions from which on making the view takes long enough to be felt. */
const MANY_FUNCTIONS = 5000;

const kept = new WeakMap<Host, HostView & { readonly version: number }>();

export function* hostView({ host, workspace }: ScreenContext): Work<HostView> {
  const known = kept.get(host);
  if (known?.version === workspace.version) return known;
  const many = (host.description.functions?.length ?? 0) >= MANY_FUNCTIONS;
  if (many) yield { done: 0, total: undefined, indivisible: true };
  const view = viewOfHost(host);
  const made = { view, roles: new Roles(view), version: workspace.version };
  kept.set(host, made);
  return made;
}
