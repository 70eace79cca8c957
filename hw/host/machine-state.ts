/** Machines and mediated devices as the screens show them. */
import type { Machine } from '../guest/machine.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { type Mdev, type MdevParent, typeId } from '../kernel/mdev/mdev-driver.ts';
import { parsePciAddress } from '../pci/address.ts';
import { auxiliaryModeState } from './auxiliary-mode.ts';
import type { Machines } from './machines.ts';
import type { AssignedDeviceState, MachineState, MdevParentState, MdevState } from './state.ts';

const PAGE_BYTES = 4096n;

export function machineState(kernel: LinuxKernel, machine: Machine): MachineState {
  const { definition, process } = machine;
  return {
    name: machine.name,
    kind: definition.kind,
    state: machine.isRunning ? 'running' : 'stopped',
    memoryBytes: machine.memoryBytes,
    slots: machine.memorySlots.map((slot) => ({
      slot: slot.slot,
      name: slot.name,
      guestAddress: slot.guestAddress,
      lengthBytes: slot.lengthBytes,
      userAddress: BigInt(slot.userAddress ?? 0),
    })),
    devices: machine.devices.map((device) => assignedDevice(kernel, machine, device)),
    mappings: machine.user?.mappings ?? [],
    lockedBytes: BigInt((process?.memory.lockedPages ?? 0) + (process?.memory.pinnedPages ?? 0)) * PAGE_BYTES,
    lockLimitBytes: definition.lockLimitBytes,
    interface: definition.iommufd ? 'iommufd' : 'container',
    virtualIommu: definition.virtualIommu,
    dirtyTracking: machine.user?.dirtyTracking ?? false,
    dirtyRounds: machine.user?.dirtyTracking === true ? machine.dirtyRounds : [],
  };
}

function assignedDevice(kernel: LinuxKernel, machine: Machine, name: string): AssignedDeviceState {
  const mdev = kernel.mdev.find(name);
  const device = mdev?.device ?? kernel.pciDevice(name);
  return {
    device: name,
    // An mdev that a boot took is still what the machine is to have.
    kind: parsePciAddress(name) === undefined ? 'mdev' : 'pci',
    group: (device === undefined ? undefined : kernel.iommu.groupOf(device)?.id) ?? -1,
    pasid: mdev === undefined ? undefined : mdev.parent.driver.hardwarePath?.(mdev)?.pasid,
    nested: machine.isNested(name),
  };
}

export function mdevParentState(kernel: LinuxKernel, parent: MdevParent): MdevParentState {
  const { device, driver } = parent;
  return {
    device: device.name,
    driver: device.driver?.name ?? driver.name,
    auxiliaryMode: auxiliaryModeState(kernel, device),
    isolation: isolation(kernel, parent),
    types: driver.types.map((type) => ({
      id: typeId(parent, type),
      name: type.prettyName ?? type.sysfsName,
      description: driver.description?.(type) ?? '',
      deviceApi: driver.deviceApi,
      availableInstances: kernel.mdev.available(parent, type),
      devices: kernel.mdev.mdevs
        .filter((mdev) => mdev.parent === parent && mdev.type === type)
        .map((mdev) => mdev.uuid),
    })),
  };
}

function isolation(kernel: LinuxKernel, parent: MdevParent): MdevParentState['isolation'] {
  if (parent.driver.isolatingDevice === undefined || !kernel.profile.mdevIommuDevice) return 'software';
  return kernel.auxiliary?.featureEnabled(parent.device) === true ? 'pasid' : 'requester';
}

export function mdevState(kernel: LinuxKernel, machines: Machines, mdev: Mdev): MdevState {
  return {
    uuid: mdev.uuid,
    parent: mdev.parent.device.name,
    type: typeId(mdev.parent, mdev.type),
    group: kernel.iommu.groupOf(mdev.device)?.id,
    assignedTo: machines.ownerOf(mdev.uuid)?.name,
    pasid: mdev.parent.driver.hardwarePath?.(mdev)?.pasid,
    resource: mdev.parent.driver.resource?.(mdev),
  };
}
