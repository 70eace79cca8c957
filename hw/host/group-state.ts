/** IOMMU groups as the screens show them, with the reason of each membership. */
import type { Group } from '../kernel/iommu/group.ts';
import { reasonOf } from '../kernel/iommu/grouping-reasons.ts';
import { ownerName } from '../kernel/iommu/ownership.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import type { Machines } from './machines.ts';
import type { GroupReason, GroupState } from './state.ts';

export function groupState(kernel: LinuxKernel, machines: Machines, group: Group): GroupState {
  return {
    id: group.id,
    name: group.name,
    devices: group.devices.map((device) => device.name),
    type: group.defaultDomain?.type,
    reserved: kernel.iommu.reservedRegions(group).map((region) => ({
      start: region.start,
      end: region.end,
      type: region.type,
      because: region.because,
    })),
    reasons: reasons(kernel, group),
    owner: owner(machines, group),
    domain: group.domain?.name,
  };
}

/** One reason per member; the first member of a larger group is told by what ties the next one to it. */
function reasons(kernel: LinuxKernel, group: Group): GroupReason[] {
  const all = group.devices.map((device): GroupReason => {
    if (device.pci !== undefined && kernel.vfio.groupOf(group)?.noIommu === true)
      return {
        device: device.name,
        with: undefined,
        rule: 'no IOMMU',
        detail: 'Unsafe: VFIO made this group because no IOMMU serves the device. It reaches all memory.',
      };
    const decision = device.pci === undefined ? undefined : kernel.decisionOf(device.pci);
    if (device.pci === undefined || decision === undefined)
      return {
        device: device.name,
        with: undefined,
        rule: 'not PCI',
        detail: 'It was given a group of its own.',
      };
    const reason = reasonOf(device.pci, decision, kernel.acs);
    return { ...reason, with: reason.with ?? undefined };
  });
  if (all.length > 1) {
    const [first, second] = all;
    all[0] = { ...second, device: first.device, with: second.device };
  }
  return all;
}

function owner(machines: Machines, group: Group): string {
  const holder = machines.ownerOfGroup(group.id);
  if (holder !== undefined) return holder.name;
  // Claimed by nobody's machine: a process that calls were made for.
  if (group.owner !== undefined) return ownerName(group);
  const kernelUse = group.devices.some((device) => device.driver?.managesDma === false);
  return kernelUse ? 'kernel' : 'nobody';
}
