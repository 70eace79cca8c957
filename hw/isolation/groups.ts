/**
 * What Linux would say about the isolation of a described host: its groups with a reason for every member, what has no
 * group, and what the description does not let one tell.
 */
import type { HostDescription } from '../host-description.ts';
import { GroupFormation } from '../kernel/iommu/grouping-formation.ts';
import type { GroupingReason } from '../kernel/iommu/grouping-reasons.ts';
import type { AcsContext } from '../kernel/pci/acs.ts';
import { hasHiddenProxyIds } from '../kernel/pci/dma-alias-quirks.ts';
import { applyAcs } from './acs-at-boot.ts';
import { coverageOf } from './coverage.ts';
import { formWithHistory } from './history.ts';
import { type MachineProblem, type ScannedMachine, scanMachine } from './machine.ts';
import { OtherDevices } from './other-devices.ts';
import {
  asIfIsolated,
  dependencies,
  hasOrphansOfVmd,
  hiddenBridges,
  isOpen,
  unknownDevices,
  unplaced,
} from './unknown.ts';

/** A range of I/O virtual addresses, hex with 0x, end included. */
export interface ReservedReport {
  readonly start: string;
  readonly end: string;
  readonly type: string;
}

export interface GroupReport {
  readonly id: number;
  readonly devices: readonly string[];
  /** `DMA`, `DMA-FQ` or `identity`. */
  readonly type: string;
  readonly reserved: readonly ReservedReport[];
  readonly reasons: readonly GroupingReason[];
}

export interface UngroupedReport {
  readonly device: string;
  readonly why: string;
}

export interface UnknownReport {
  readonly device: string;
  readonly why: string;
  /** Devices whose missing registers decide. */
  readonly dependsOn: readonly string[];
  /** Members of its group if all that is not shown isolates: an assumption. */
  readonly ifIsolated: readonly string[];
  /** Members of its group if nothing that is not shown isolates. */
  readonly ifOpen: readonly string[];
}

export interface GroupsReport {
  readonly groups: readonly GroupReport[];
  readonly ungrouped: readonly UngroupedReport[];
  readonly unknown: readonly UnknownReport[];
  /** What is taken for granted because the source does not say. */
  readonly assumptions: readonly string[];
  readonly problems: readonly MachineProblem[];
}

/** What a question supposes beyond the description. */
export interface Suppositions {
  /** Devices taken as isolating whatever their registers say (an ACS override). */
  readonly isolating?: readonly string[];
}

/** Groups of a host. @throws DmarError when its DMAR table can't be read. */
export function groupsOf(description: HostDescription, suppositions: Suppositions = {}): GroupsReport {
  const unknown = unknownDevices(description);
  const shown = unknown.size === 0 ? description : asIfIsolated(description, unknown);
  const optimistic = form(shown, unknown, true, suppositions);
  const pessimistic = unknown.size === 0 ? optimistic : form(description, unknown, false, suppositions);
  const hidden = hiddenBridges(description);
  const orphans = hasOrphansOfVmd(optimistic.machine.topology);
  const groups: GroupReport[] = [];
  const uncertain: UnknownReport[] = [];
  for (const group of optimistic.formation.groups) {
    const others = optimistic.others.get(group.id) ?? [];
    const members = group.members.map((device) => device.name);
    const differing =
      pessimistic === optimistic
        ? []
        : members.filter((name) => !sameMembers(pessimistic.membersOf(name), members));
    const misplaced = unplaced(
      members,
      optimistic.machine.topology,
      hidden,
      optimistic.machine.lostBuses,
      orphans,
    );
    if (misplaced !== undefined) {
      for (const device of members) {
        uncertain.push({ device, why: misplaced, dependsOn: [], ifIsolated: members, ifOpen: [] });
      }
      continue;
    }
    if (differing.length > 0) {
      uncertain.push(...openReports(members, pessimistic, optimistic.machine, unknown));
      continue;
    }
    groups.push({
      id: group.id,
      devices: [...members, ...others.map((one) => one.name)],
      type: optimistic.formation.typeOf(group),
      reserved: optimistic.formation.reservedOf(group).map((region) => ({
        start: hexOf(region.start),
        end: hexOf(region.end),
        type: region.type === 'software-msi' ? 'msi' : region.type,
      })),
      reasons: [...optimistic.formation.reasonsOf(group), ...others.map((one) => one.reason)],
    });
  }
  const ungrouped: UngroupedReport[] = [];
  for (const device of optimistic.formation.ungrouped) {
    const misplaced = optimistic.scoped
      ? unplaced([device.name], optimistic.machine.topology, hidden, optimistic.machine.lostBuses, orphans)
      : undefined;
    if (misplaced === undefined) {
      ungrouped.push({ device: device.name, why: optimistic.formation.whyUngrouped(device) });
    } else {
      uncertain.push({ device: device.name, why: misplaced, dependsOn: [], ifIsolated: [], ifOpen: [] });
    }
  }
  return {
    groups,
    ungrouped,
    unknown: [...uncertain, ...unreadable(description, optimistic.machine)],
    assumptions: [...optimistic.assumptions, ...hiddenProxies(optimistic.machine)],
    problems: [...optimistic.machine.problems, ...optimistic.warnings],
  };
}

interface Formed {
  readonly machine: ScannedMachine;
  readonly formation: GroupFormation;
  readonly others: ReadonlyMap<number, readonly { readonly name: string; readonly reason: GroupingReason }[]>;
  readonly assumptions: readonly string[];
  readonly warnings: readonly MachineProblem[];
  /** Device scopes decide on coverage, so a device's place matters. */
  readonly scoped: boolean;
  membersOf(name: string): readonly string[];
}

function form(
  description: HostDescription,
  unknown: ReadonlyMap<string, readonly string[]>,
  isolated: boolean,
  suppositions: Suppositions,
): Formed {
  const machine = scanMachine(description);
  const result = coverageOf(description, machine.topology);
  const acsEnumerated = applyAcs(description, machine, result.coverage.unitCount > 0);
  const isolating = new Set(suppositions.isolating);
  const context: AcsContext = {
    amdIommu: result.amd,
    acsEnumerated,
    assume:
      unknown.size === 0 && isolating.size === 0
        ? undefined
        : (device) => {
            if (isolating.has(device.name)) return true;
            return isOpen(device, unknown.get(device.name)) ? isolated : undefined;
          },
    unreadable: (device) =>
      machine.described.get(device.name)?.unknown?.includes('device registers') ?? false,
  };
  const formation = new GroupFormation(result.coverage, context);
  const others = new OtherDevices(description, formation, result.lookup, machine.topology);
  formWithHistory(machine, description, formation, (order) => others.joinUnit(order));
  others.joinParents();
  return {
    machine,
    formation,
    others: others.members,
    assumptions: result.assumptions,
    scoped: result.lookup !== undefined,
    warnings: result.warnings.map((problem) => ({ device: 'DMAR', problem })),
    membersOf: (name) => {
      const device = machine.topology.find(name);
      const group = device === undefined ? undefined : formation.groupOf(device);
      return group?.members.map((one) => one.name) ?? [];
    },
  };
}

function sameMembers(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  const names = new Set(one);
  return other.every((name) => names.has(name));
}

/** Reports for the members of a group that hidden registers may part or join. */
function openReports(
  members: readonly string[],
  pessimistic: Formed,
  machine: ScannedMachine,
  unknown: ReadonlyMap<string, readonly string[]>,
): UnknownReport[] {
  // Members that would share a group share the answer as well.
  const answers = new Map<string, Omit<UnknownReport, 'device'>>();
  return members.map((device) => {
    const ifOpen = pessimistic.membersOf(device);
    const known = answers.get(ifOpen[0]);
    if (known !== undefined) return { device, ...known };
    const dependsOn = dependencies([...members, ...ifOpen], machine.topology, unknown);
    const what = [...new Set(dependsOn.flatMap((one) => unknown.get(one) ?? []))].filter(
      (part) => part !== 'device registers',
    );
    const more = dependsOn.length > 6 ? ` and ${dependsOn.length - 6} more` : '';
    const answer = {
      why: `The source does not show ${what.join(', ')} of ${dependsOn.slice(0, 6).join(', ')}${more}.`,
      dependsOn,
      ifIsolated: members,
      ifOpen,
    };
    answers.set(ifOpen[0], answer);
    return { device, ...answer };
  });
}

/** Bridges between hosts whose requester ids only their memory tells, where others sit on their bus. */
function hiddenProxies(machine: ScannedMachine): string[] {
  return machine.topology.devices
    .filter((device) => device.bus.devices.length > 1 && hasHiddenProxyIds(device))
    .map(
      (device) =>
        `${device.name}: the proxy ids of this non-transparent bridge are not in the source; taken as none that a device beside it has.`,
    );
}

/** Functions of the description that the scan could not reach. */
function unreadable(description: HostDescription, machine: ScannedMachine): UnknownReport[] {
  const former = new Set(description.formerFunctions?.map((one) => one.address));
  return description.functions
    .filter((one) => !former.has(one.address) && machine.topology.find(one.address) === undefined)
    .map((one) => ({
      device: one.address,
      why:
        machine.problems.find((problem) => problem.device === one.address)?.problem ??
        'no bridge leads to its bus, so its place is not known',
      dependsOn: [],
      ifIsolated: [],
      ifOpen: [],
    }));
}

function hexOf(value: bigint): string {
  return `0x${value.toString(16)}`;
}
