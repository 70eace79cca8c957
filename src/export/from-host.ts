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
  const names = states.map(({ name }) => name).filter((name) => devicesOf(host, name).length > 0);
  if (names.length > 0) return names;
  throw usageError('no machine of this session has a device', 'assign one first: vtdeck do vm.assign');
}

/** UUIDs that a machine is to have and that are neither there nor defined: mediated devices which a boot took. */
export function goneDevices(host: Host, machine: string): string[] {
  const found = new Set(devicesOf(host, machine).map((one) => (one.kind === 'pci' ? one.address : one.uuid)));
  return (host.machineState(machine)?.devices ?? [])
    .map(({ device }) => device)
    .filter((device) => !found.has(device));
}

/** The devices of a machine as exporters take them. */
function devicesOf(host: Host, machine: string): AssignedDevice[] {
  const mdevs = host.mdevs();
  const definitions = host.mdevDefinitions();
  return (host.machineState(machine)?.devices ?? []).flatMap(({ device, kind }): AssignedDevice[] => {
    if (kind === 'pci') {
      // The driver it came with: what it has now is vfio-pci.
      const driver = host.description.functions.find((found) => found.address === device)?.driver;
      return [{ kind, address: device, managed: true, ...(typeof driver === 'string' ? { driver } : {}) }];
    }
    const there = mdevs.find(({ uuid }) => uuid === device);
    const defined = definitions.find(
      ({ uuid, parent }) => uuid === device && (there === undefined || parent === there.parent),
    );
    const known = there ?? defined;
    if (known === undefined) return [];
    const type = host
      .mdevParents()
      .find((parent) => parent.device === known.parent)
      ?.types.find(({ id }) => id === known.type);
    return [
      {
        kind,
        uuid: device,
        parent: known.parent,
        type: known.type,
        deviceApi: type?.deviceApi ?? 'vfio-pci',
        start: defined?.autostart === true ? 'auto' : 'manual',
        attributes: defined?.attributes ?? [],
      },
    ];
  });
}

/** One machine with what it has now. */
export function assignmentOfMachine(
  host: Host,
  name: string,
  options: { virtualIommu?: boolean; iommufd?: boolean } = {},
): Assignment {
  return {
    machine: name,
    memoryBytes: Number(host.machineState(name)?.memoryBytes ?? 0n),
    virtualCpus: 2,
    machineType: 'q35',
    iommufd: options.iommufd === true,
    devices: devicesOf(host, name),
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
