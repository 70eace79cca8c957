/**
 * What handing out devices takes, locks out, needs, and what stands in the way: everything an operator must know
 * before touching the real host.
 */

import type { Host } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import type { AssignedDevice, Assignment } from '../export/assignment.ts';
import { bindCommands, unbindCommands } from '../export/host-setup.ts';
import { lockedMemoryBytes } from '../export/locked-memory.ts';
import { type Blocker, deviceBlockers, groupBlockers } from './blockers.ts';
import { type Role, Roles, type StatedRoles } from './roles.ts';
import { capabilityField, type PlanFunction, type PlanView, planView } from './view.ts';

/** Drivers that manage DMA ownership themselves: a member bound to one does not count as in use (dma-ownership). */
export const EXEMPT_DRIVERS: ReadonlySet<string> = new Set([
  'vfio-pci',
  'pci-stub',
  'pcieport',
  'mlx5_vfio_pci',
  'hisi_acc_vfio_pci',
  'pds_vfio_pci',
  'virtio_vfio_pci',
  'nvgrace_gpu_vfio_pci',
  'qat_vfio_pci',
  'xe_vfio_pci',
  'ism_vfio_pci',
]);

export interface PlanRequest {
  /** PCI addresses and UUIDs. */
  readonly assign: readonly string[];
  readonly machine: string;
  readonly memoryBytes: number;
  readonly virtualIommu: boolean;
  /** Siblings whose loss is accepted. */
  readonly acceptSiblings: readonly string[];
  readonly roles: StatedRoles;
}

export interface LockedOut {
  readonly device: string;
  readonly driver: string | null;
  readonly role: string | null;
  readonly certainty: Role['certainty'] | null;
  readonly why: string;
  /** Its driver must be unbound before the group can be claimed. */
  readonly mustUnbind: boolean;
  readonly accepted: boolean;
}

export interface Needs {
  readonly lockedMemoryBytes: number;
  /** Huge pages that would back the guest, for the two sizes. */
  readonly hugePages: { readonly '2M': number; readonly '1G': number };
  /** Holes that the guest's memory must leave: reserved regions of the groups taken. */
  readonly reserved: readonly {
    readonly start: string;
    readonly end: string;
    readonly type: string;
    readonly because: string | null;
  }[];
  /** Widest I/O virtual address the units above offer, in bits; null: no unit. */
  readonly iovaBits: number | null;
  /** NUMA node that suits the devices; null: they are on several, or unknown. */
  readonly numaNode: number | null;
}

export interface Plan {
  readonly ok: boolean;
  /** Group of the first device; -1: it has none. */
  readonly group: number;
  readonly groups: readonly number[];
  /** Every function that goes with the assignment: all members of the groups. */
  readonly takes: readonly string[];
  readonly lockedOut: readonly LockedOut[];
  /** Siblings that stay with the host: ports whose driver does no DMA of its own. */
  readonly stays: readonly string[];
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Blocker[];
  readonly needs: Needs;
  readonly advice: readonly string[];
  readonly commands: readonly string[];
  readonly undo: readonly string[];
}

/** @throws ApplicationError (usage) when a device is not on the host. */
export function makePlan(host: Host, request: PlanRequest): Plan {
  const view = planView(host);
  const roles = new Roles(view, request.roles);
  const mdevs = new Map(host.mdevs().map((mdev) => [mdev.uuid, mdev]));
  const functions: PlanFunction[] = [];
  const assignedMdevs: string[] = [];
  for (const name of request.assign) {
    const found = view.functions.get(name);
    if (found !== undefined) functions.push(found);
    else if (mdevs.has(name)) assignedMdevs.push(name);
    else
      throw usageError(
        `${name} is not on ${host.description.name}`,
        'vtdeck topology shows what is there; addresses are written as 0000:6a:01.0',
      );
  }
  for (const name of request.acceptSiblings) {
    if (!view.functions.has(name))
      throw usageError(
        `${name} (accepted) is not on ${host.description.name}`,
        'vtdeck topology shows what is there',
      );
  }

  const chosen = new Set(functions.map((found) => found.node.address));
  const groups = [...new Set(functions.map((found) => found.node.group).filter((id) => id !== undefined))];
  const members = groups.flatMap((id) => view.groups.get(id)?.devices ?? []);
  const takes = [...new Set([...chosen, ...members])].sort();
  const accepted = new Set(request.acceptSiblings);
  const siblings = takes.filter((name) => !chosen.has(name));
  const stays = siblings.filter((name) => keepsItsDriver(view.functions.get(name)));
  const lockedOut = siblings
    .filter((name) => !stays.includes(name))
    .map((name) => lockOut(view, roles, name, accepted.has(name)));

  const blockers: Blocker[] = [];
  const warnings: Blocker[] = [];
  for (const found of functions) {
    const own = accepted.has(found.node.address) ? undefined : roles.of(found.node.address);
    const judged = deviceBlockers(view, found, own, takes);
    blockers.push(...judged.blockers);
    warnings.push(...judged.warnings);
  }
  blockers.push(...groupBlockers(view, lockedOut));
  for (const uuid of assignedMdevs) {
    const owner = mdevs.get(uuid)?.assignedTo;
    if (owner !== undefined) {
      blockers.push({
        rule: 'in use',
        device: uuid,
        detail: `${uuid} is open in ${owner}`,
        remedy: `release it from ${owner} first`,
      });
    }
  }

  const assignment = assignmentOf(view, request, functions, assignedMdevs);
  return {
    ok: blockers.length === 0,
    group: groups[0] ?? -1,
    groups,
    takes,
    lockedOut,
    stays,
    blockers,
    warnings,
    needs: needsOf(view, assignment, functions, groups),
    advice: adviceOf(functions),
    commands: functions.flatMap((found) => bindCommands(found.node.address, found.node.driver)),
    undo: functions.flatMap((found) => unbindCommands(found.node.address, found.node.driver)),
  };
}

/** True for ports that go on working while the group is claimed, and bridges that nobody drives. */
function keepsItsDriver(found: PlanFunction | undefined): boolean {
  if (found === undefined) return false;
  return found.node.isBridge && (found.node.driver === undefined || EXEMPT_DRIVERS.has(found.node.driver));
}

function lockOut(view: PlanView, roles: Roles, name: string, accepted: boolean): LockedOut {
  const found = view.functions.get(name);
  const driver = found?.node.driver ?? null;
  const role = roles.of(name);
  const mustUnbind = driver !== null && !EXEMPT_DRIVERS.has(driver);
  return {
    device: name,
    driver,
    role: role?.role ?? null,
    certainty: role?.certainty ?? null,
    why: mustUnbind
      ? `shares group ${found?.node.group}: ${driver} must let it go first, and nothing on the host can use it while the group is given away`
      : `shares group ${found?.node.group}: no driver of the host can bind it while the group is given away`,
    mustUnbind,
    accepted,
  };
}

/** The assignment as exporters take it. */
export function assignmentOf(
  view: PlanView,
  request: PlanRequest,
  functions: readonly PlanFunction[],
  mdevs: readonly string[],
): Assignment {
  const known = new Map(view.host.mdevs().map((mdev) => [mdev.uuid, mdev]));
  const parents = view.host.mdevParents();
  const definitions = view.host.mdevDefinitions();
  const devices: AssignedDevice[] = functions.map((found) => ({
    kind: 'pci',
    address: found.node.address,
    managed: true,
    ...(found.node.driver === undefined ? {} : { driver: found.node.driver }),
  }));
  for (const uuid of mdevs) {
    const mdev = known.get(uuid);
    if (mdev === undefined) continue;
    const type = parents
      .find(({ device }) => device === mdev.parent)
      ?.types.find(({ id }) => id === mdev.type);
    const autostart = definitions.find((definition) => definition.uuid === uuid)?.autostart === true;
    devices.push({
      kind: 'mdev',
      uuid,
      parent: mdev.parent,
      type: mdev.type,
      deviceApi: type?.deviceApi ?? 'vfio-pci',
      start: autostart ? 'auto' : 'manual',
      attributes: [],
    });
  }
  return {
    machine: request.machine,
    memoryBytes: request.memoryBytes,
    virtualCpus: 2,
    machineType: 'q35',
    iommufd: false,
    devices,
    ...(request.virtualIommu ? { virtualIommu: { interruptRemapping: true, cachingMode: true } } : {}),
  };
}

function needsOf(
  view: PlanView,
  assignment: Assignment,
  functions: readonly PlanFunction[],
  groups: readonly number[],
): Needs {
  const units = new Set(functions.map((found) => found.node.unit).filter((name) => name !== undefined));
  const widths = view.host
    .unitStates()
    .filter((unit) => units.has(unit.name))
    .map((unit) => addressWidth(unit.registers.find(({ name }) => name === 'CAP')?.value ?? 0n));
  const nodes = new Set(
    functions.map((found) => found.node.numaNode).filter((node) => node !== undefined && node >= 0),
  );
  return {
    lockedMemoryBytes: lockedMemoryBytes(assignment),
    hugePages: {
      '2M': Math.ceil(assignment.memoryBytes / 2 ** 21),
      '1G': Math.ceil(assignment.memoryBytes / 2 ** 30),
    },
    reserved: groups.flatMap((id) =>
      (view.groups.get(id)?.reserved ?? []).map((region) => ({
        start: `0x${region.start.toString(16)}`,
        end: `0x${region.end.toString(16)}`,
        type: region.type === 'software-msi' ? 'msi' : region.type,
        because: region.because ?? null,
      })),
    ),
    iovaBits: widths.length === 0 ? null : Math.min(...widths),
    numaNode: nodes.size === 1 ? ([...nodes][0] ?? null) : null,
  };
}

/** CAP.MGAW and CAP.SAGAW: the widest domain the unit can hold. VT-d 11.4.2. */
function addressWidth(capability: bigint): number {
  const guest = Number((capability >> 16n) & 0x3fn) + 1;
  const tables = Number((capability >> 8n) & 0x1fn);
  const widest = (tables & 8) !== 0 ? 57 : (tables & 4) !== 0 ? 48 : 39;
  return Math.min(guest, widest);
}

function adviceOf(functions: readonly PlanFunction[]): string[] {
  const byNode = new Map<number, string[]>();
  for (const found of functions) {
    const node = found.node.numaNode;
    if (node !== undefined && node >= 0) byNode.set(node, [...(byNode.get(node) ?? []), found.node.address]);
  }
  const advice: string[] = [];
  if (byNode.size === 1) {
    const [node] = byNode.keys();
    advice.push(`place the guest's processors and memory on NUMA node ${node}, where its devices are`);
  } else if (byNode.size > 1) {
    const places = [...byNode].map(([node, names]) => `${names.join(', ')} on node ${node}`).join('; ');
    advice.push(
      `the devices are on different NUMA nodes (${places}): every DMA of one of them crosses the socket link`,
    );
  }
  for (const found of functions) {
    const total = capabilityField(found, 'sriov', 'totalVirtualFunctions') ?? 0n;
    if (total > 0n && found.node.virtualFunctions.length === 0) {
      advice.push(
        `${found.node.address} offers ${total} virtual functions: giving one away would leave the rest to the host`,
      );
    }
  }
  return advice;
}
