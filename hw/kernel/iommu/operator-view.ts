/**
 * The operator's view of ownership: who has a group, a device or a PASID, since which act, what that locks out, and what
 * would free it. The kernel exports none of this; it is computed from the same fields that decide.
 */
import type { Device } from '../device.ts';
import type { KernelProfile } from '../profile.ts';
import type { Act } from './acts.ts';
import type { Group } from './group.ts';
import { ownerName } from './ownership.ts';

export type GroupUse =
  | 'unowned'
  | 'kernel DMA'
  | "a driver's own domain"
  | 'claimed, blocked'
  | 'claimed, user domain'
  | 'user domain';

/** Something that can't be done while things are as they are. */
export interface LockOut {
  /** The device it hits. */
  readonly device: string;
  readonly what: string;
  /** errno that a try would give. */
  readonly errno: string;
}

export interface OwnershipReport {
  readonly group: number;
  readonly use: GroupUse;
  /** "kernel drivers e1000e, nvme", "vm1", or undefined: nobody. */
  readonly owner: string | undefined;
  readonly since: Act | undefined;
  /** owner_cnt. */
  readonly users: number;
  /** What requests without PASID go through, and since when. */
  readonly domain:
    | { readonly name: string; readonly type: string; readonly since: Act | undefined }
    | undefined;
  readonly pasids: readonly { readonly pasid: number; readonly domain: string; readonly since: Act }[];
  readonly members: readonly MemberReport[];
  readonly lockedOut: readonly LockOut[];
  /** What to do, in order, until the group is free. */
  readonly freedBy: readonly string[];
  /** What a claim by VFIO would come to now: 0 or an errno. */
  readonly claimWouldGive: string;
  /** What else the operator should know. */
  readonly remarks: readonly string[];
}

export interface MemberReport {
  readonly device: string;
  readonly driver: string | undefined;
  /** Counts as kernel use of the group while bound; drivers that manage DMA themselves and ports don't. */
  readonly counts: boolean;
}

/** Everything about one group. @param nameOfOwner How the caller calls an owner; undefined: by its own name. */
export function ownershipOf(
  group: Group,
  profile: KernelProfile,
  nameOfOwner: (owner: object) => string | undefined = () => undefined,
): OwnershipReport {
  const counting = group.devices.filter(countsAsKernelUse);
  const use = useOf(group, profile, counting);
  const owner = group.owner === undefined ? undefined : (nameOfOwner(group.owner) ?? ownerName(group));
  const kernelOwner = counting.length === 0 ? undefined : `kernel drivers ${namesOf(counting)}`;
  return {
    group: group.id,
    use,
    owner: owner ?? (use === 'unowned' ? undefined : kernelOwner),
    since: group.ownedSince,
    users: group.ownerCount,
    domain:
      group.domain === undefined
        ? undefined
        : { name: group.domain.name, type: group.domain.type, since: group.domainSince },
    pasids: [...group.pasidAttachments].map(([pasid, { domain, since }]) => ({
      pasid,
      domain: domain.name,
      since,
    })),
    members: group.devices.map((device) => ({
      device: device.name,
      driver: device.driver?.name,
      counts: countsAsKernelUse(device),
    })),
    lockedOut: lockOuts(group, profile, use),
    freedBy: waysOut(group, use, counting, owner),
    claimWouldGive: claimResult(group, profile, counting),
    remarks: remarksOn(group, profile),
  };
}

/** For a PASID of a group: what it leads to, since when, what frees it. Undefined: nothing attached. */
export function pasidOwnership(
  group: Group,
  pasid: number,
): { readonly domain: string; readonly since: Act; readonly freedBy: string } | undefined {
  const attached = group.pasidAttachments.get(pasid);
  if (attached === undefined) return undefined;
  return {
    domain: attached.domain.name,
    since: attached.since,
    freedBy: `detach ${attached.domain.name} from PASID ${pasid} of group ${group.id}`,
  };
}

function countsAsKernelUse(device: Device): boolean {
  return device.driver !== undefined && !device.driver.managesDma;
}

function namesOf(devices: readonly Device[]): string {
  return [...new Set(devices.map((device) => device.driver?.name))].join(', ');
}

function useOf(group: Group, profile: KernelProfile, counting: readonly Device[]): GroupUse {
  if (group.owner !== undefined) return group.hasPrivateDomain ? 'claimed, user domain' : 'claimed, blocked';
  if (group.hasPrivateDomain) return counting.length > 0 ? "a driver's own domain" : 'user domain';
  const used = profile.dmaOwnership === 'viability' ? counting.length > 0 : group.ownerCount > 0;
  return used ? 'kernel DMA' : 'unowned';
}

function lockOuts(group: Group, profile: KernelProfile, use: GroupUse): LockOut[] {
  const locked: LockOut[] = [];
  const claimed = group.owner !== undefined;
  const bindingRefused = profile.dmaOwnership !== 'viability' && (claimed || group.hasPrivateDomain);
  for (const device of group.devices) {
    if (bindingRefused && device.driver === undefined) {
      locked.push({ device: device.name, what: 'a kernel driver cannot be bound to it', errno: 'EBUSY' });
    }
    if (use === 'kernel DMA' && !countsAsKernelUse(device)) {
      locked.push({ device: device.name, what: 'it cannot be handed out', errno: 'EPERM' });
    }
  }
  if (claimed) {
    for (const device of group.devices) {
      locked.push({ device: device.name, what: 'nobody else can claim the group', errno: 'EPERM' });
    }
  }
  return locked;
}

function waysOut(
  group: Group,
  use: GroupUse,
  counting: readonly Device[],
  owner: string | undefined,
): string[] {
  const steps: string[] = [];
  for (const pasid of group.pasidAttachments.keys()) steps.push(`detach what is attached to PASID ${pasid}`);
  if (group.owner !== undefined) steps.push(`release the group at its owner (${owner})`);
  else if (use === "a driver's own domain" || use === 'user domain') {
    steps.push(`detach ${group.domain?.name} from group ${group.id}`);
  }
  for (const device of counting) steps.push(`unbind ${device.driver?.name} from ${device.name}`);
  return steps;
}

/** What iommu_group_claim_dma_owner would give, or in 5.15 what VFIO's test of the drivers would. */
function claimResult(group: Group, profile: KernelProfile, counting: readonly Device[]): string {
  if (profile.dmaOwnership === 'viability') {
    if (counting.length > 0) return 'EPERM';
    return group.hasPrivateDomain ? 'EBUSY' : '0';
  }
  if (group.ownerCount > 0) return 'EPERM';
  if (group.hasPrivateDomain || group.pasidAttachments.size > 0) return 'EBUSY';
  const { driver } = group;
  if (
    driver?.refusesBlockingDirect === true &&
    group.devices.some((device) => driver.requiresDirect(device))
  ) {
    return 'EINVAL';
  }
  return '0';
}

function remarksOn(group: Group, profile: KernelProfile): string[] {
  const remarks: string[] = [];
  if (profile.dmaOwnership === 'viability' && group.hasPrivateDomain) {
    remarks.push(
      'This kernel has no DMA ownership: a driver that binds into a group in use makes VFIO stop the machine (BUG).',
    );
  }
  const idle = group.devices.filter((device) => device.driver === undefined && group.devices.length > 1);
  if (idle.length > 0 && group.owner !== undefined) {
    remarks.push(
      `${idle.map((device) => device.name).join(', ')}: on the owner's domain as well, without a driver.`,
    );
  }
  if (group.devices.some((device) => device.bus === 'mdev')) {
    remarks.push(
      'This group was made for a mediated device alone: its parent keeps its own group and its driver.',
    );
  }
  return remarks;
}
