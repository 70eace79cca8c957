/** The directory of a PCI device. drivers/pci/pci-sysfs.c. */
import type { Device } from '../device.ts';
import { writeDriverOverride } from '../drivers/pci-driver.ts';
import { resetFunction, resetMethods } from '../drivers/pci-reset.ts';
import { KernelError } from '../errno.ts';
import type { LinuxKernel } from '../kernel.ts';
import { parseUnsigned } from '../mdev/mdev-core.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import { parentEntries } from './mdev-tree.ts';
import {
  directory,
  link,
  present,
  readOnly,
  type SysfsDirectory,
  type SysfsFile,
  type SysfsNode,
} from './node.ts';
import { pciPath } from './paths.ts';

const SRIOV = 0x10;

const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** Files that hold a number of configuration space. */
function identity(pci: PciDevice): Record<string, SysfsNode> {
  return {
    class: readOnly(() => hex(pci.classCode, 6)),
    device: readOnly(() => hex(pci.deviceId, 4)),
    vendor: readOnly(() => hex(pci.vendorId, 4)),
    subsystem_device: readOnly(() => hex(pci.subsystemId, 4)),
    subsystem_vendor: readOnly(() => hex(pci.subsystemVendorId, 4)),
    revision: readOnly(() => hex(pci.revision, 2)),
    ari_enabled: readOnly(() => String(ariForwarding(pci) ? 1 : 0)),
  };
}

function ariForwarding(pci: PciDevice): boolean {
  const { bridge } = pci.bus;
  const express = bridge?.capability(0x10);
  return bridge !== undefined && express !== undefined && (bridge.read(express + 0x28, 2) & 0x20) !== 0;
}

function overrideFile(device: Device): SysfsFile {
  return {
    kind: 'file',
    read: () => `${device.driverOverride ?? '(null)'}\n`,
    write(text) {
      writeDriverOverride(device, text);
      return undefined;
    },
  };
}

/** A write of a number other than 0 removes the device and all behind it. */
function removeFile(kernel: LinuxKernel, pci: PciDevice): SysfsFile {
  const below = (each: PciDevice): PciDevice[] => [each, ...(each.subordinate?.devices.flatMap(below) ?? [])];
  return {
    kind: 'file',
    write(text) {
      const value = parseUnsigned(text);
      if (value === undefined)
        throw new KernelError('EINVAL', 'remove value', `"${text.trim()}" is no number`);
      return value === 0n ? undefined : kernel.removePci(pci.name);
    },
    blockedBy() {
      for (const each of below(pci)) {
        const device = kernel.deviceOf(each);
        const holder = device === undefined ? undefined : kernel.vfio.holderOf(device);
        if (holder !== undefined) return holder.name;
      }
      return undefined;
    },
  };
}

/** `reset` exists where the function can be reset by itself. */
function resetFile(pci: PciDevice): SysfsFile {
  return {
    kind: 'file',
    write(text) {
      if (parseUnsigned(text) !== 1n) throw new KernelError('EINVAL', 'reset value', 'reset takes 1');
      resetFunction(pci);
      return undefined;
    },
  };
}

/** How many virtual functions a device shall have: done by whoever assembled the machine. */
export type SetVirtualFunctions = (pci: PciDevice, count: number) => void;

function countFile(own: number, pci: PciDevice, set: SetVirtualFunctions | undefined): SysfsFile {
  const read = (): string => `${own}\n`;
  if (set === undefined) return { kind: 'file', read };
  return {
    kind: 'file',
    read,
    write(text) {
      const count = parseUnsigned(text);
      if (count === undefined || count > 0xffffn)
        throw new KernelError('EINVAL', 'sriov_numvfs value', `"${text.trim()}" is no number of 16 bits`);
      set(pci, Number(count));
      return undefined;
    },
  };
}

function virtualFunctionEntries(
  kernel: LinuxKernel,
  pci: PciDevice,
  set: SetVirtualFunctions | undefined,
): Record<string, SysfsNode> {
  const entries: Record<string, SysfsNode> = {};
  if (pci.physicalFunction !== undefined) entries.physfn = link(pciPath(pci.physicalFunction));
  const capability = pci.extendedCapability(SRIOV);
  if (capability === undefined) return entries;
  const own = kernel.topology.devices.filter((other) => other.physicalFunction === pci);
  entries.sriov_totalvfs = readOnly(() => String(pci.read(capability + 0x0e, 2)));
  entries.sriov_numvfs = countFile(own.length, pci, set);
  for (const [index, each] of own.entries()) entries[`virtfn${index}`] = link(pciPath(each));
  return entries;
}

export function pciDirectory(
  kernel: LinuxKernel,
  pci: PciDevice,
  set: SetVirtualFunctions | undefined,
): SysfsDirectory {
  return directory(() => {
    const device = kernel.deviceOf(pci);
    if (device === undefined) return {};
    const group = kernel.iommu.groupOf(device);
    const methods = resetMethods(pci);
    const behind = (pci.subordinate?.devices ?? []).map(
      (each) => [each.name, pciDirectory(kernel, each, set)] as const,
    );
    return {
      ...identity(pci),
      ...present({
        driver: device.driver === undefined ? undefined : link(`/sys/bus/pci/drivers/${device.driver.name}`),
        driver_override: overrideFile(device),
        iommu_group: group === undefined ? undefined : link(`/sys/kernel/iommu_groups/${group.id}`),
        // pci_dev_hp_attrs_are_visible: virtual functions have none.
        remove: pci.isVirtualFunction ? undefined : removeFile(kernel, pci),
        reset: methods.length === 0 ? undefined : resetFile(pci),
        reset_method: methods.length === 0 ? undefined : readOnly(() => methods.join(' ')),
        subsystem: link('/sys/bus/pci'),
      }),
      ...virtualFunctionEntries(kernel, pci, set),
      ...parentEntries(kernel, device),
      ...Object.fromEntries(behind),
    };
  });
}
