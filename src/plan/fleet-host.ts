/** One host of a fleet: what is asked of it, and what comes out as one line of JSON. */
import { errorToJson, toApplicationError } from '../errors.ts';
import { loadHost } from '../hosts/import.ts';
import { makePlan, type Plan, type PlanRequest } from './plan.ts';
import { type PlanView, viewOfDescription } from './view.ts';

/** `assign` empty: a plan for each group, of its first function that is no bridge. */
export type FleetRequest = Omit<PlanRequest, 'roles'>;

export type FleetResult =
  | { readonly host: string; readonly plans: readonly Plan[] }
  | { readonly host: string; readonly error: Record<string, unknown> };

/** Never throws: a host that can't be read or has no such device is a line that says so. */
export function planHost(host: string, request: FleetRequest): FleetResult {
  try {
    const view = viewOfDescription(loadHost(host).description);
    const choices = request.assign.length > 0 ? [request.assign] : firstOfEachGroup(view);
    return { host, plans: choices.map((assign) => makePlan(view, { ...request, assign, roles: new Map() })) };
  } catch (thrown) {
    return { host, ...errorToJson(toApplicationError(thrown)) };
  }
}

function firstOfEachGroup(view: PlanView): string[][] {
  const choices: string[][] = [];
  for (const group of view.groups.values()) {
    const first = group.devices.find((name) => view.functions.get(name)?.isBridge === false);
    if (first !== undefined) choices.push([first]);
  }
  return choices;
}
