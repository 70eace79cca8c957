/**
 * A plan made on one capture, held against a newer one of the same machine: cards move, numbers change, firmware
 * updates regroup. Devices are followed by identity, never by address or group number.
 */
import { compareHosts, type HostDescription } from '../../hw/index.ts';
import { makePlan, type Plan, type PlanRequest } from './plan.ts';
import { viewOfDescription } from './view.ts';

export interface Recheck {
  /** The plan holds as it was made: same devices at the same addresses, nothing new locked out or in the way. */
  readonly holds: boolean;
  readonly changes: readonly string[];
  /** The plan on the newer capture; undefined when a device is gone. */
  readonly plan: Plan | undefined;
  /** The devices asked for, as the newer capture names them. */
  readonly assign: readonly string[];
}

/** Makes the plan on both captures and tells what differs. */
export function recheckPlan(before: HostDescription, after: HostDescription, request: PlanRequest): Recheck {
  const comparison = compareHosts(before, after);
  const moved = new Map(comparison.moved.map((device) => [device.before, device.after]));
  const gone = new Set(comparison.removed);
  const follow = (name: string): string => moved.get(name) ?? name;
  const changes: string[] = [];
  for (const name of request.assign) {
    if (gone.has(name)) changes.push(`${name} is no longer in the machine`);
    else if (moved.has(name)) changes.push(`${name} is now at ${follow(name)}`);
  }
  const assign = request.assign.map(follow);
  if (request.assign.some((name) => gone.has(name)))
    return { holds: false, changes, plan: undefined, assign };
  const old = makePlan(viewOfDescription(before), request);
  const acceptSiblings = request.acceptSiblings.filter((name) => !gone.has(name)).map(follow);
  const roles = new Map([...request.roles].map(([name, role]) => [follow(name), role]));
  const plan = makePlan(viewOfDescription(after), { ...request, assign, acceptSiblings, roles });
  const before_ = new Set(old.lockedOut.map(({ device }) => follow(device)));
  const now = new Set(plan.lockedOut.map(({ device }) => device));
  for (const device of now)
    if (!before_.has(device)) changes.push(`${device} would be locked out now, which it was not before`);
  for (const device of before_) if (!now.has(device)) changes.push(`${device} is no longer locked out`);
  const rules = new Set(old.blockers.map(({ rule, device }) => `${rule}: ${follow(device)}`));
  for (const { rule, device, detail } of plan.blockers) {
    if (!rules.has(`${rule}: ${device}`)) changes.push(`new in the way: ${detail}`);
  }
  const groups = old.groups
    .map((id, index) => [id, plan.groups[index]] as const)
    .filter(([was, is]) => was !== is);
  for (const [was, is] of groups)
    changes.push(`group ${was} is now group ${is ?? 'none'}: /dev/vfio nodes change with it`);
  return { holds: changes.length === 0, changes, plan, assign };
}
