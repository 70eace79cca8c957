/** What stands in the way of an assignment, each with its rule and what can be done. */
import type { LockedOut } from './plan.ts';
import { resetFacts } from './reset.ts';
import type { Role } from './roles.ts';
import type { PlanFunction, PlanView } from './view.ts';

export interface Blocker {
  readonly rule: string;
  readonly device: string;
  readonly detail: string;
  readonly remedy: string;
}

export interface Judgement {
  readonly blockers: Blocker[];
  readonly warnings: Blocker[];
}

/** Judges one function that is to be handed out whole. `takes`: all that goes with the assignment. */
export function deviceBlockers(
  view: PlanView,
  found: PlanFunction,
  role: Role | undefined,
  takes: readonly string[],
): Judgement {
  const device = found.address;
  const blockers: Blocker[] = [];
  const warnings: Blocker[] = [];
  if (found.isBridge) {
    blockers.push({
      rule: 'bridge',
      device,
      detail: `${device} is a ${found.portType}: vfio-pci takes only functions with a type 0 header`,
      remedy: 'assign the functions behind it',
    });
  }
  const group = found.group === undefined ? undefined : view.groups.get(found.group);
  const why = view.ungrouped.get(device);
  const missing = view.uncertain.get(device);
  if (missing !== undefined) {
    blockers.push({
      rule: 'group not known',
      device,
      detail: missing,
      remedy: 'take the capture again as root (lspci -vvvnnxxxx), or read the group on the machine itself',
    });
  } else if (group === undefined) {
    blockers.push({
      rule: 'no group',
      device,
      detail: `${device} is in no IOMMU group: ${why ?? 'the kernel gave it none'}`,
      remedy:
        'switch VT-d on in the firmware and give intel_iommu=on; a slot that no unit covers only the firmware can change',
    });
  }
  for (const region of (group?.reserved ?? []).filter(({ type }) => type === 'direct')) {
    blockers.push({
      rule: 'RMRR',
      device,
      detail:
        `the firmware reserves ${region.start}-${region.end} for a member of group ${found.group} (an RMRR of the DMAR table) ` +
        'and the region is not relaxable: the kernel refuses (EPERM before 6.x, EINVAL at the claim since)',
      remedy:
        'ask the vendor for a firmware option that drops the RMRR; no kernel option of a released kernel overrides it',
    });
  }
  if (found.assignedTo !== undefined) {
    blockers.push({
      rule: 'in use',
      device,
      detail: `${device} is open in ${found.assignedTo}`,
      remedy: `release it from ${found.assignedTo} first`,
    });
  }
  if (found.mdevs.length > 0) {
    blockers.push({
      rule: 'parent of mediated devices',
      device,
      detail: `${device} has mediated devices (${found.mdevs.join(', ')}): its driver must stay`,
      remedy: 'remove them first, or hand out the mediated devices in place of the function',
    });
  }
  if (found.virtualFunctions.length > 0) {
    warnings.push({
      rule: 'virtual functions enabled',
      device,
      detail: `${device} has ${found.virtualFunctions.length} virtual functions enabled; vfio-pci switches them off when it opens the function`,
      remedy: 'hand out a virtual function in place of the physical one',
    });
  }
  if (role !== undefined) {
    (role.certainty === 'certain' && role.role !== 'USB keyboard' ? blockers : warnings).push({
      rule: 'role of the host',
      device,
      detail: `${device} ${role.certainty === 'certain' ? 'is' : 'may be'} the host's ${role.role} (${role.why})`,
      remedy: `name it with --accept-siblings ${device} to lose it on purpose, or say --role ${device}=none`,
    });
  }
  const reset = resetFacts(view, device);
  if (!found.isBridge && reset.methods.length === 0 && !reset.unknown) {
    const outside = reset.busResetSet.filter((name) => !takes.includes(name));
    if (reset.busResetSet.length === 0) {
      warnings.push({
        rule: 'no reset',
        device,
        detail: `${device} has neither function level reset nor power state reset, and sits on a root bus: it keeps its state from one owner to the next`,
        remedy: 'reset the host between owners that do not trust each other',
      });
    } else if (outside.length > 0) {
      warnings.push({
        rule: 'reset set larger than the group',
        device,
        detail: `${device} can only be reset with its bus, which resets ${outside.join(', ')} too`,
        remedy: 'hand those out together, or accept that no reset happens',
      });
    }
  }
  if (found.unknown.length > 0) {
    warnings.push({
      rule: 'not shown by the capture',
      device,
      detail: `the capture does not show: ${found.unknown.join(', ')}`,
      remedy: 'take it again as root: lspci -vvvnnxxxx',
    });
  }
  return { blockers, warnings };
}

/** Members with a driver that does DMA for the host: "group is not viable", with the names. */
export function siblingBlockers(view: PlanView, lockedOut: readonly LockedOut[]): Blocker[] {
  const blockers: Blocker[] = [];
  for (const sibling of lockedOut) {
    if (!sibling.mustUnbind || sibling.accepted) continue;
    const group = view.functions.get(sibling.device)?.group;
    const role =
      sibling.role === null
        ? ''
        : `, the host's ${sibling.role}${sibling.certainty === 'possible' ? ' perhaps' : ''}`;
    blockers.push({
      rule: 'group not viable',
      device: sibling.device,
      detail: `${sibling.device} of group ${group} is bound to ${sibling.driver}${role}: the group can't be claimed (EPERM; before 5.18 EINVAL when the device is opened)`,
      remedy: `unbind it and accept its loss (--accept-siblings ${sibling.device}), or choose a device that is alone in its group`,
    });
  }
  return blockers;
}
