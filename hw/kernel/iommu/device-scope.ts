/** What a device scope names: dmar_match_pci_path and dmar_insert_dev_scope of drivers/iommu/intel/dmar.c. */
import { type DeviceScope, ScopeType } from '../../acpi/dmar.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { PciTopology } from '../pci/scan.ts';

/** Segments beyond 16 bits (behind VMD) are outside the table. */
const LAST_TABLE_SEGMENT = 0xffff;

/**
 * The device at the end of a scope's path, whatever its kind. The path counts from a root bus; a path of one step may also
 * name the device by its bus of the moment (a firmware bug that Linux tolerates). Virtual functions are never named.
 */
export function deviceAtScope(
  scope: DeviceScope,
  segment: number,
  topology: PciTopology,
): PciDevice | undefined {
  if (scope.type !== ScopeType.endpoint && scope.type !== ScopeType.bridge) return undefined;
  if (segment > LAST_TABLE_SEGMENT) return undefined;
  const start = topology.bus(segment, scope.startBus);
  if (start === undefined || scope.path.length === 0) return undefined;
  if (start.parent !== undefined && scope.path.length > 1) return undefined;
  let bus: PciDevice['bus'] | undefined = start;
  let device: PciDevice | undefined;
  for (const hop of scope.path) {
    if (bus === undefined) return undefined;
    const devfn: number = (hop.device << 3) | hop.function;
    device = bus.devices.find((one) => one.devfn === devfn && !one.isVirtualFunction);
    bus = device?.subordinate;
  }
  return device;
}

/** Whether a device is of the kind that its scope says: endpoints have a header of type 0, bridges another or the class. */
export function fitsScope(scope: DeviceScope, device: PciDevice): boolean {
  return scope.type === ScopeType.endpoint
    ? device.headerType === 0
    : device.headerType !== 0 || device.classCode >>> 16 === 6;
}
