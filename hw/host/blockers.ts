/** What stands in the way of giving a device to a machine, found before anything is touched. */
import type { Machine } from '../guest/machine.ts';
import type { Device } from '../kernel/device.ts';
import { type ErrnoName, KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { takesWithoutIommu } from '../kernel/vfio/no-iommu.ts';
import type { Requirement } from './state.ts';

export interface Blocker extends Requirement {
  readonly error: KernelError;
}

/** Who has which device: what the rules ask about other machines. */
export interface Owners {
  ownerOf(device: string): Machine | undefined;
  ownerOfGroup(id: number): Machine | undefined;
}

function blocker(code: ErrnoName, rule: string, detail: string, where: string, remedy?: string): Blocker {
  return { requirement: detail, met: false, where, error: new KernelError(code, rule, detail, remedy) };
}

/** Empty: nothing stands in the way that can be known beforehand. */
export function assignmentBlockers(
  kernel: LinuxKernel,
  owners: Owners,
  machine: Machine,
  name: string,
): Blocker[] {
  const device = kernel.pciDevice(name) ?? kernel.mdev.find(name)?.device;
  if (device === undefined)
    return [blocker('ENODEV', 'no such device', `there is no PCI device or mdev ${name}`, 'sysfs')];
  const owner = owners.ownerOf(name);
  if (owner !== undefined)
    return [
      blocker(
        owner === machine ? 'EEXIST' : 'EBUSY',
        'assigned already',
        `${name} belongs to ${owner.name}`,
        'machines',
        `Release it from ${owner.name} first.`,
      ),
    ];
  return device.pci === undefined
    ? []
    : [...functionBlockers(kernel, machine, device), ...groupBlockers(kernel, owners, machine, device)];
}

function functionBlockers(kernel: LinuxKernel, machine: Machine, device: Device): Blocker[] {
  const found: Blocker[] = [];
  if (device.pci?.headerType !== 0)
    found.push(
      blocker(
        'EINVAL',
        'not an endpoint',
        `${device.name} is a bridge: vfio-pci takes endpoints only`,
        'header type in configuration space',
      ),
    );
  // A process that drives devices itself may have one without IOMMU, where that mode is on; QEMU never asks for it.
  const without = machine.definition.kind === 'process' && takesWithoutIommu(kernel.vfio.environment);
  if (kernel.iommu.groupOf(device) === undefined && !without)
    found.push(
      blocker(
        'ENODEV',
        'device without group',
        `${device.name} is in no IOMMU group: no remapping unit translates for it`,
        'DMAR table and kernel command line',
        'Boot with intel_iommu=on.',
      ),
    );
  if (kernel.auxiliary?.featureEnabled(device) === true)
    found.push(
      blocker(
        'EPERM',
        'device is in auxiliary mode',
        `${device.name} is in auxiliary mode: it can be given away in parts (mdevs) only`,
        'mode of the device in the IOMMU driver',
        'Switch auxiliary mode off first.',
      ),
    );
  const children = kernel.mdev.mdevs.filter((mdev) => mdev.parent.device === device);
  if (children.length > 0)
    found.push(
      blocker(
        'EBUSY',
        'parent of mdevs',
        `${device.name} has ${children.length} mdev${children.length === 1 ? '' : 's'}, which would vanish with its driver`,
        'mdev_supported_types of the device',
        `Remove ${children.map((mdev) => mdev.uuid).join(', ')} first.`,
      ),
    );
  if (kernel.intel?.requiresDirect(device) === true)
    found.push(
      blocker(
        'EPERM',
        'reserved memory region',
        `firmware reserves memory for ${device.name} (RMRR) that a user's domain would take away`,
        'RMRR structures of the DMAR table',
        'There is none short of other firmware: contact the vendor of the platform.',
      ),
    );
  return found;
}

/** Other members of the group: a driver that does its own DMA, or another machine, keeps the whole group. */
function groupBlockers(kernel: LinuxKernel, owners: Owners, machine: Machine, device: Device): Blocker[] {
  const group = kernel.iommu.groupOf(device);
  if (group === undefined) return [];
  const found: Blocker[] = [];
  for (const member of group.devices) {
    if (member === device || member.driver === undefined || member.driver.managesDma) continue;
    if (
      kernel.profile.dmaOwnership === 'viability' &&
      member.pci !== undefined &&
      member.pci.headerType !== 0
    )
      continue;
    found.push(
      blocker(
        'EBUSY',
        'group not viable',
        `${member.name} of IOMMU group ${group.id} is bound to ${member.driver.name}, which does DMA of its own`,
        `/sys/kernel/iommu_groups/${group.id}/devices`,
        `Bind ${member.name} to vfio-pci, or unbind it.`,
      ),
    );
  }
  const holder = owners.ownerOfGroup(group.id);
  if (holder !== undefined && holder !== machine)
    found.push(
      blocker(
        'EBUSY',
        'group in use',
        `IOMMU group ${group.id} of ${device.name} belongs to ${holder.name}: devices of one group can't be kept apart`,
        `/dev/vfio/${group.id}`,
        `Release the group's other devices from ${holder.name} first.`,
      ),
    );
  return found;
}
