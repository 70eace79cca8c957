/** Reading the device tree of a host, as actions need it. */
import type { DeviceNode, Host } from '../../hw/index.ts';

/** Every function of the host, parents before children. */
export function allDevices(host: Host): DeviceNode[] {
  const found: DeviceNode[] = [];
  const visit = (nodes: readonly DeviceNode[]): void => {
    for (const node of nodes) {
      found.push(node);
      visit(node.children);
    }
  };
  for (const root of host.deviceTree()) visit(root.devices);
  return found;
}

/** Why a device can't be meant: it isn't there. Undefined when it is. */
export function missingDevice(host: Host, address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  return host.device(address) === undefined ? `there is no device ${address} on this host` : undefined;
}

export function missingMachine(host: Host, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  return host.machineState(name) === undefined ? `there is no virtual machine ${name}` : undefined;
}

export function missingMdev(host: Host, uuid: string | undefined): string | undefined {
  if (uuid === undefined) return undefined;
  return host.mdevs().some((mdev) => mdev.uuid === uuid) ? undefined : `there is no mediated device ${uuid}`;
}

/** An mdev's UUID or a function's address that is nowhere. */
export function missingDeviceOrMdev(host: Host, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  return name.length === 36 ? missingMdev(host, name) : missingDevice(host, name);
}

/** Why a definition can't be meant: there is none of that UUID (under that parent). */
export function missingDefinition(
  host: Host,
  uuid: string | undefined,
  parent: string | undefined,
): string | undefined {
  if (uuid === undefined) return undefined;
  const found = host
    .mdevDefinitions()
    .some((one) => one.uuid === uuid && (parent === undefined || one.parent === parent));
  return found ? undefined : `${uuid} is not defined${parent === undefined ? '' : ` under ${parent}`}`;
}

/** UUIDs that are defined, each once. */
export function definedUuids(host: Host): string[] {
  return [...new Set(host.mdevDefinitions().map((definition) => definition.uuid))];
}

export function machineNames(host: Host): string[] {
  return host.machineStates().map((machine) => machine.name);
}

/** What can be assigned: endpoints, and mdevs. */
export function assignableNames(host: Host): string[] {
  const functions = allDevices(host)
    .filter((device) => !device.isBridge)
    .map((device) => device.address);
  return [...host.mdevs().map((mdev) => mdev.uuid), ...functions];
}
