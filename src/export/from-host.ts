/** From a host as it is now to what exporters take. */
import type { DeviceNode, Host } from '../../hw/index.ts';
import { usageError } from '../errors.ts';
import type { AssignedDevice, Assignment } from './assignment.ts';
import type { HostFacts } from './host-setup.ts';

/** Names of the machines that have devices, or the one asked for. @throws ApplicationError (usage). */
export function machinesToExport(host: Host, wanted: string | undefined): string[] {
  const states = host.machineStates();
  if (wanted !== undefined) {
    if (states.some((machine) => machine.name === wanted)) return [wanted];
    throw usageError(
      `there is no machine ${wanted}`,
      `there is: ${states.map((machine) => machine.name).join(', ') || 'none'}`,
    );
  }
  const names = states.filter((machine) => machine.devices.length > 0).map((machine) => machine.name);
  if (names.length > 0) return names;
  throw usageError('no machine of this session has a device', 'assign one first: vtdeck do vm.assign');
}

/** One machine with what it has now. */
export function assignmentOfMachine(
  host: Host,
  name: string,
  options: { virtualIommu?: boolean; iommufd?: boolean } = {},
): Assignment {
  const machine = host.machineState(name);
  const parents = host.mdevParents();
  const mdevs = new Map(host.mdevs().map((mdev) => [mdev.uuid, mdev]));
  const definitions = host.mdevDefinitions();
  const devices: AssignedDevice[] = (machine?.devices ?? []).map(({ device, kind }) => {
    const mdev = mdevs.get(device);
    if (kind === 'mdev' && mdev !== undefined) {
      const defined = definitions.find((one) => one.uuid === device && one.parent === mdev.parent);
      const type = parents
        .find((parent) => parent.device === mdev.parent)
        ?.types.find(({ id }) => id === mdev.type);
      return {
        kind: 'mdev',
        uuid: device,
        parent: mdev.parent,
        type: mdev.type,
        deviceApi: type?.deviceApi ?? 'vfio-pci',
        start: defined?.autostart === true ? 'auto' : 'manual',
        attributes: defined?.attributes ?? [],
      };
    }
    // The driver it came with: what it has now is vfio-pci.
    const driver = host.description.functions.find((found) => found.address === device)?.driver;
    return { kind: 'pci', address: device, managed: true, ...(typeof driver === 'string' ? { driver } : {}) };
  });
  return {
    machine: name,
    memoryBytes: Number(machine?.memoryBytes ?? 0n),
    virtualCpus: 2,
    machineType: 'q35',
    iommufd: options.iommufd === true,
    devices,
    ...(options.virtualIommu === true
      ? { virtualIommu: { interruptRemapping: true, cachingMode: true } }
      : {}),
  };
}

/** Identities and parameters of the host that some exporters need. */
export function hostFacts(host: Host, assignment: Assignment): HostFacts {
  const byIds = new Map<string, string[]>();
  const ids = new Map<string, string>();
  const visit = (nodes: readonly DeviceNode[]): void => {
    for (const node of nodes) {
      const id = `${hex4(node.vendorId)}:${hex4(node.deviceId)}`;
      ids.set(node.address, id);
      byIds.set(id, [...(byIds.get(id) ?? []), node.address]);
      visit(node.children);
    }
  };
  for (const root of host.deviceTree()) visit(root.devices);
  const parents = new Map(host.mdevParents().map((parent) => [parent.device, parent]));
  return {
    identities: new Map(
      [...ids].map(([address, id]) => [address, { ids: id, sameIds: byIds.get(id) ?? [] }]),
    ),
    kernelCommandLine: host.description.kernelCommandLine,
    scalableModeNeeded: assignment.devices.some(
      (device) => device.kind === 'mdev' && parents.get(device.parent)?.isolation === 'pasid',
    ),
  };
}

const hex4 = (value: number): string => value.toString(16).padStart(4, '0');
