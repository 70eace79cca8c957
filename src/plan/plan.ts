/**
 * What handing out devices takes, locks out, needs, and what stands in the way: everything an operator must know
 * before touching the real host.
 */
import { usageError } from '../errors.ts';
import type { AssignedDevice, Assignment } from '../export/assignment.ts';
import { bindCommands, unbindCommands } from '../export/host-setup.ts';
import { shellWrite } from '../export/shell.ts';
import { type Blocker, deviceBlockers, siblingBlockers } from './blockers.ts';
import { adviceOf, type Needs, needsOf } from './needs.ts';
import { type Role, Roles, type StatedRoles } from './roles.ts';
import type { PlanFunction, PlanMdev, PlanView } from './view.ts';

export interface PlanRequest {
  /** PCI addresses and UUIDs. */
  readonly assign: readonly string[];
  readonly machine: string;
  readonly memoryBytes: number;
  readonly virtualIommu: boolean;
  /** Devices whose loss is accepted: siblings, or an assigned device that has a role. */
  readonly acceptSiblings: readonly string[];
  readonly roles: StatedRoles;
}

export interface LockedOut {
  readonly device: string;
  readonly driver: string | null;
  readonly role: string | null;
  readonly certainty: Role['certainty'] | null;
  readonly why: string;
  /** What put it into the group: no ACS at a port, a bridge that replaces requester ids, … */
  readonly grouping: string | null;
  /** Its driver must be unbound before the group can be claimed. */
  readonly mustUnbind: boolean;
  readonly accepted: boolean;
}

/** What the DMA of a taken function can touch once the group is given away. */
export interface Reach {
  readonly device: string;
  /** By way of the IOMMU: nothing but what the guest maps. */
  readonly memory: string;
  /** Functions it can reach without passing the IOMMU: the rest of its group. */
  readonly peers: readonly string[];
}

export interface Plan {
  readonly ok: boolean;
  /** Group of the first device; -1: it has none. */
  readonly group: number;
  readonly groups: readonly number[];
  /** Every function that goes with the assignment: all members of the groups. */
  readonly takes: readonly string[];
  readonly lockedOut: readonly LockedOut[];
  /** Members that stay with the host: ports whose driver does no DMA of its own. */
  readonly stays: readonly string[];
  readonly blockers: readonly Blocker[];
  readonly warnings: readonly Blocker[];
  readonly reach: readonly Reach[];
  readonly needs: Needs;
  readonly advice: readonly string[];
  readonly commands: readonly string[];
  readonly undo: readonly string[];
}

/**
 * Drivers that manage DMA ownership themselves (driver_managed_dma): a member bound to one does not count as in use.
 */
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

/** @throws ApplicationError (usage) when a device is not on the host. */
export function makePlan(view: PlanView, request: PlanRequest): Plan {
  const { functions, mdevs } = chosenDevices(view, request);
  const roles = new Roles(view, request.roles);
  const chosen = new Set(functions.map(({ address }) => address));
  const groups = [...new Set(functions.map(({ group }) => group).filter((id) => id !== undefined))];
  const members = groups.flatMap((id) => view.groups.get(id)?.devices ?? []);
  const takes = [...new Set([...chosen, ...members])].sort();
  const accepted = new Set(request.acceptSiblings);
  const siblings = takes.filter((name) => !chosen.has(name));
  const stays = siblings.filter((name) => keepsItsDriver(view.functions.get(name)));
  const lockedOut = siblings
    .filter((name) => !stays.includes(name))
    .map((name) => lockOut(view, name, roles.of(name), accepted.has(name)));
  const given = lockedOut.filter(({ mustUnbind, accepted: agreed }) => mustUnbind && agreed);
  const judged = functions.map((found) =>
    deviceBlockers(view, found, accepted.has(found.address) ? undefined : roles.of(found.address), takes),
  );
  const blockers = [
    ...judged.flatMap((one) => one.blockers),
    ...siblingBlockers(view, lockedOut),
    ...mdevs.flatMap(mdevBlockers),
  ];
  return {
    ok: blockers.length === 0,
    group: groups[0] ?? -1,
    groups,
    takes,
    lockedOut,
    stays,
    blockers,
    warnings: judged.flatMap((one) => one.warnings),
    reach: reachOf(view, functions, mdevs, request.machine),
    needs: needsOf(view, assignmentOf(request, functions, mdevs), functions, groups),
    advice: adviceOf(functions),
    commands: [
      ...given.map(({ device }) => shellWrite(device, `/sys/bus/pci/devices/${device}/driver/unbind`)),
      ...functions.flatMap(({ address, driver }) => bindCommands(address, driver ?? undefined)),
    ],
    undo: [
      ...functions.flatMap(({ address, driver }) => unbindCommands(address, driver ?? undefined)),
      ...given.map(({ device, driver }) => shellWrite(device, `/sys/bus/pci/drivers/${driver}/bind`)),
    ],
  };
}

function reachOf(
  view: PlanView,
  functions: readonly PlanFunction[],
  mdevs: readonly PlanMdev[],
  machine: string,
): Reach[] {
  const memory = `memory that ${machine} has mapped for DMA`;
  return [
    ...functions.map(({ address, group }) => ({
      device: address,
      memory: group === undefined ? 'all memory: no unit translates it' : memory,
      peers: (view.groups.get(group ?? -1)?.devices ?? []).filter((name) => name !== address),
    })),
    // A slice tags its own PASID; its parent stays with the host and answers for it.
    ...mdevs.map(({ uuid }) => ({ device: uuid, memory, peers: [] })),
  ];
}

function chosenDevices(
  view: PlanView,
  request: PlanRequest,
): { functions: PlanFunction[]; mdevs: PlanMdev[] } {
  const functions: PlanFunction[] = [];
  const mdevs: PlanMdev[] = [];
  const missing = (name: string): never => {
    throw usageError(
      `${name} is not on ${view.name}`,
      'vtdeck topology shows what is there; addresses are written as 0000:6a:01.0',
    );
  };
  for (const name of new Set(request.assign)) {
    const found = view.functions.get(name);
    const mdev = view.mdevs.get(name);
    if (found !== undefined) functions.push(found);
    else if (mdev !== undefined) mdevs.push(mdev);
    else missing(name);
  }
  for (const name of request.acceptSiblings) if (!view.functions.has(name)) missing(name);
  return { functions, mdevs };
}

/** True for ports that go on working while the group is claimed, and bridges that nobody drives. */
function keepsItsDriver(found: PlanFunction | undefined): boolean {
  if (found?.isBridge !== true) return false;
  return typeof found.driver !== 'string' || EXEMPT_DRIVERS.has(found.driver);
}

function lockOut(view: PlanView, device: string, role: Role | undefined, accepted: boolean): LockedOut {
  const found = view.functions.get(device);
  const reasons = view.groups.get(found?.group ?? -1)?.reasons ?? [];
  const driver = found?.driver ?? null;
  const mustUnbind = driver !== null && !EXEMPT_DRIVERS.has(driver);
  const why = mustUnbind
    ? `${driver} must let it go first, and nothing on the host can use it while the group is given away`
    : 'no driver of the host can bind it while the group is given away';
  return {
    device,
    driver,
    role: role?.role ?? null,
    certainty: role?.certainty ?? null,
    why: `shares group ${found?.group}: ${why}`,
    grouping: reasons.find((reason) => reason.device === device)?.detail ?? null,
    mustUnbind,
    accepted,
  };
}

/** A mediated device takes no group of the host: its parent keeps its driver. It can only be in use already. */
function mdevBlockers(mdev: PlanMdev): Blocker[] {
  if (mdev.assignedTo === undefined) return [];
  return [
    {
      rule: 'in use',
      device: mdev.uuid,
      detail: `${mdev.uuid} is open in ${mdev.assignedTo}`,
      remedy: `release it from ${mdev.assignedTo} first`,
    },
  ];
}

/** The assignment as exporters take it. */
function assignmentOf(
  request: PlanRequest,
  functions: readonly PlanFunction[],
  mdevs: readonly PlanMdev[],
): Assignment {
  const devices: AssignedDevice[] = [
    ...functions.map(({ address, driver }) => ({
      kind: 'pci' as const,
      address,
      managed: true,
      driver: driver ?? undefined,
    })),
    ...mdevs.map((mdev) => ({
      kind: 'mdev' as const,
      uuid: mdev.uuid,
      parent: mdev.parent,
      type: mdev.type,
      deviceApi: mdev.deviceApi,
      start: mdev.autostart ? ('auto' as const) : ('manual' as const),
      attributes: [],
    })),
  ];
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
