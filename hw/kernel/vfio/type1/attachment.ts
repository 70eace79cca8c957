/**
 * Groups joining and leaving a type1 container: a domain is found or made, checked against what is mapped, filled with
 * the mappings, and given up when its last group leaves. Whatever fails leaves the container as it was.
 * vfio_iommu_type1.c: vfio_iommu_type1_attach_group, vfio_iommu_type1_detach_group.
 */
import type { Frame, Page } from '../../../memory/types.ts';
import type { Device } from '../../device.ts';
import { KernelError } from '../../errno.ts';
import { type IommuDomain, IommuProt } from '../../iommu/types.ts';
import { markAllDirty } from './dirty.ts';
import {
  apertureConflicts,
  blockedRanges,
  LAST_PAGE,
  mayHold,
  type PageRange,
  withinAperture,
  without,
} from './iova-ranges.ts';
import { NONE } from './mapping-table.ts';
import { replay, unmapAllKeepExternal } from './pinning.ts';
import type { AttachedGroup, ContainerDomain, ContainerGroup, Type1State } from './state.ts';
import { removeMapping } from './unmap.ts';

const CPU_PAGE = 4096n;

/** The device whose unit decides on the kind of domain: the isolating one, or the first of the group. */
function representative(group: ContainerGroup): Device {
  const device = group.isolatingDevice ?? group.iommuGroup.devices[0];
  if (device === undefined)
    throw new KernelError(
      'ENODEV',
      'group without devices',
      `group ${group.iommuGroup.id} has no device left`,
    );
  return device;
}

function attach(state: Type1State, domain: IommuDomain, group: ContainerGroup): void {
  const { core, auxiliary } = state.environment;
  const isolating = group.isolatingDevice;
  if (isolating === undefined) core.attachGroup(domain, group.iommuGroup);
  else if (auxiliary?.featureEnabled(isolating)) auxiliary.attach(domain, isolating);
  else core.attachDevice(domain, isolating);
}

function detach(state: Type1State, domain: IommuDomain, group: ContainerGroup): void {
  const { core, auxiliary } = state.environment;
  const isolating = group.isolatingDevice;
  if (isolating === undefined) core.detachGroup(domain, group.iommuGroup);
  else if (auxiliary?.featureEnabled(isolating)) auxiliary.detach(domain, isolating);
  else core.detachDevice(domain, isolating);
}

/** The reserved regions that bind a group. An mdev's own group has none, whatever binds the device that isolates it. */
function blockedBy(state: Type1State, group: ContainerGroup): PageRange[] {
  return blockedRanges(state.environment.core, group.iommuGroup);
}

/** pgsize_bitmap: what all domains have, pages below the CPU's replaced by the CPU's. */
function updatePageSizes(state: Type1State): void {
  let sizes = state.environment.profile.vfioInitialPageSizes;
  for (const { domain } of state.domains) sizes &= domain.pageSizes;
  const small = sizes & (CPU_PAGE - 1n);
  state.pageSizes = small === 0n ? sizes : (sizes & ~(CPU_PAGE - 1n)) | CPU_PAGE;
}

/** Tests that only see the fresh domain: aperture, reserved regions, interrupts. Returns the new list of ranges. */
function checkedRanges(state: Type1State, domain: IommuDomain, group: ContainerGroup): PageRange[] {
  const { core, parameters } = state.environment;
  const id = group.iommuGroup.id;
  if (apertureConflicts(state.ranges, state.mappings, domain.aperture))
    throw new KernelError(
      'EINVAL',
      'aperture conflict',
      `a mapping lies beyond what the unit of group ${id} translates`,
    );
  const blocked = blockedBy(state, group);
  for (const region of blocked) {
    if (state.mappings.find(region.first, region.last + 1) !== NONE)
      throw new KernelError(
        'EINVAL',
        'reserved region conflict',
        `a mapping lies in a reserved region of group ${id}`,
      );
  }
  const ranges = without(withinAperture(state.ranges, domain.aperture), blocked);
  if (ranges.length === 0)
    throw new KernelError(
      'EINVAL',
      'no usable address',
      `group ${id} leaves no address that all groups can use`,
    );
  const interruptGroup =
    group.isolatingDevice === undefined ? group.iommuGroup : core.groupOf(group.isolatingDevice);
  if (
    !parameters.allowUnsafeInterrupts &&
    (interruptGroup === undefined || !core.hasIsolatedMsi(interruptGroup))
  ) {
    state.environment.log(
      'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
    );
    throw new KernelError(
      'EPERM',
      'interrupts not isolated',
      `interrupts of group ${id} are not remapped: a device could raise any interrupt of the host`,
      'switch interrupt remapping on, or set allow_unsafe_interrupts of vfio_iommu_type1',
    );
  }
  return ranges;
}

/** A new domain while a group joins, and whether the group is on it. */
interface Trial {
  readonly domain: IommuDomain;
  attached: boolean;
}

/**
 * Tries to move the group to a domain that the container has already. True when it did.
 * @throws KernelError: the group could not even go back to the new domain.
 */
function joinExisting(state: Type1State, trial: Trial, member: AttachedGroup): boolean {
  const fresh = trial.domain;
  for (const existing of state.domains) {
    if (existing.domain.enforcesCoherency !== fresh.enforcesCoherency) continue;
    detach(state, fresh, member.group);
    trial.attached = false;
    try {
      attach(state, existing.domain, member.group);
    } catch {
      attach(state, fresh, member.group);
      trial.attached = true;
      continue;
    }
    existing.groups.push(member);
    return true;
  }
  return false;
}

/**
 * A group joins. @throws KernelError: EBUSY addresses suspended, EINVAL twice or conflict, EPERM interrupts, what the
 * IOMMU driver says, what pinning of the existing mappings says. The container and the group are unchanged then.
 */
export function attachGroup(state: Type1State, group: ContainerGroup): void {
  const { core, profile } = state.environment;
  if (profile.reworkedVaddrUpdate && state.suspendedMappings > 0)
    throw new KernelError('EBUSY', 'addresses suspended', 'user addresses are suspended (UNMAP_FLAG_VADDR)');
  if (findGroup(state, group) !== undefined)
    throw new KernelError(
      'EINVAL',
      'group twice',
      `group ${group.iommuGroup.id} is in the container already`,
    );
  const member: AttachedGroup = { group, pinnedPageDirtyScope: false };
  if (group.type === 'emulated') {
    member.pinnedPageDirtyScope = true;
    state.emulated.push(member);
    // 5.15 starts with every size; the first group without IOMMU brings the CPU's pages in.
    updatePageSizes(state);
    return;
  }
  const fresh = core.allocateDomain(representative(group), state.nesting ? { nesting: true } : {});
  try {
    if (state.nesting && !profile.type1NestingAttach)
      throw new KernelError('EINVAL', 'no nesting', 'the IOMMU driver offers no nesting');
    attach(state, fresh, group);
  } catch (error) {
    fresh.free();
    throw error;
  }
  const trial: Trial = { domain: fresh, attached: true };
  let joined = false;
  try {
    const ranges = checkedRanges(state, fresh, group);
    if (profile.type1EnforcesCoherency) fresh.enforceCacheCoherency();
    joined = joinExisting(state, trial, member);
    if (joined) {
      fresh.free();
    } else {
      if (profile.type1TestsSuperpages) testSuperpages(fresh);
      replay(state, fresh);
      // Newest first, as all walks over domains go.
      state.domains.unshift({ domain: fresh, groups: [member] });
      updatePageSizes(state);
    }
    state.ranges = ranges;
    state.nonPinnedGroups += 1;
  } catch (error) {
    if (!joined) {
      if (trial.attached) detach(state, fresh, group);
      fresh.free();
    }
    throw error;
  }
}

/** vfio_test_domain_fgsp: maps two pages in one call and unmaps one of them. Only its traces in the tables matter. */
function testSuperpages(domain: IommuDomain): void {
  domain.map(0 as Page, 0 as Frame, 2, IommuProt.read | IommuProt.write | IommuProt.cache);
  domain.unmap(0 as Page, 1);
  domain.unmap(1 as Page, 1);
}

export function findGroup(state: Type1State, group: ContainerGroup): AttachedGroup | undefined {
  return (
    state.emulated.find((member) => member.group.iommuGroup === group.iommuGroup) ??
    state.domains
      .flatMap((domain) => domain.groups)
      .find((member) => member.group.iommuGroup === group.iommuGroup)
  );
}

function unmapEverything(state: Type1State): void {
  for (let slot = state.mappings.first(); slot !== NONE; slot = state.mappings.first())
    removeMapping(state, slot);
}

/** The list of ranges after a domain went: wider apertures, and the reserved regions of who is left. */
function refreshRanges(state: Type1State): void {
  const lowest = state.ranges[0];
  const highest = state.ranges.at(-1);
  if (lowest === undefined || highest === undefined) return;
  const blocked = state.domains.flatMap(({ groups }) =>
    groups.flatMap((member) => blockedBy(state, member.group)),
  );
  state.ranges = without([{ first: lowest.first, last: highest.last }], blocked);
}

function widenRanges(state: Type1State): void {
  if (state.ranges.length === 0) return;
  let first = 0;
  let last = LAST_PAGE;
  for (const { domain } of state.domains) {
    first = Math.max(first, domain.aperture.first);
    last = Math.min(last, domain.aperture.last);
  }
  const ranges = [...state.ranges];
  ranges[0] = { first, last: ranges[0].last };
  ranges[ranges.length - 1] = { first: ranges[ranges.length - 1].first, last };
  state.ranges = ranges;
}

function dropDomain(state: Type1State, leaving: ContainerDomain): void {
  if (state.domains.length === 1) {
    if (state.emulated.length === 0) unmapEverything(state);
    else unmapAllKeepExternal(state);
  }
  state.domains.splice(state.domains.indexOf(leaving), 1);
  leaving.domain.free();
  widenRanges(state);
  updatePageSizes(state);
}

/** A group leaves; with the last one all mappings go. Nothing can refuse it. */
export function detachGroup(state: Type1State, group: ContainerGroup): void {
  const emulated = state.emulated.findIndex((member) => member.group.iommuGroup === group.iommuGroup);
  if (emulated >= 0) {
    state.emulated.splice(emulated, 1);
    if (state.emulated.length === 0 && state.domains.length === 0) unmapEverything(state);
    return;
  }
  const domain = state.domains.find(({ groups }) =>
    groups.some((member) => member.group.iommuGroup === group.iommuGroup),
  );
  if (domain === undefined) return;
  const index = domain.groups.findIndex((member) => member.group.iommuGroup === group.iommuGroup);
  const [member] = domain.groups.splice(index, 1);
  detach(state, domain.domain, member.group);
  if (domain.groups.length === 0) dropDomain(state, domain);
  refreshRanges(state);
  if (!member.pinnedPageDirtyScope) {
    state.nonPinnedGroups -= 1;
    if (state.dirtyTracking) markAllDirty(state);
  }
}

/** True when a mapping may lie at pages [first, last] for every group of the container. */
export function addressAllowed(state: Type1State, first: number, last: number): boolean {
  return mayHold(state.ranges, first, last);
}
