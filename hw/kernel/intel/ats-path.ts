/** Whether firmware and topology let a device use ATS (dmar_find_matched_atsr_unit of intel/iommu.c). */
import type { UnitLookup } from '../iommu/grouping-units.ts';
import type { PciBus, PciDevice } from '../pci/pci-device.ts';

/**
 * Integrated devices may, and those below a root port that an ATSR of the segment names. A conventional bridge on the
 * way forbids it. Devices of a SATC that demands ATS get it from the hardware itself while the unit is in legacy mode.
 */
export function atsAllowed(lookup: UnitLookup, device: PciDevice, scalable: boolean): boolean {
  const physical = device.physicalFunction ?? device;
  const { segment } = physical.bus;
  for (const structure of lookup.table.structures) {
    if (structure.kind !== 'SATC' || structure.segment !== segment) continue;
    if (lookup.scopesName(structure.scopes, segment, physical)) return !structure.atcRequired || scalable;
  }
  let rootPort: PciDevice | undefined;
  for (let bus: PciBus | undefined = physical.bus; bus !== undefined; bus = bus.parent) {
    const bridge: PciDevice | undefined = bus.bridge;
    if (bridge === undefined) return true;
    if (!bridge.isExpress || bridge.portType === 'pcie-to-pci bridge') return false;
    if (bridge.portType === 'root port') {
      rootPort = bridge;
      break;
    }
  }
  for (const structure of lookup.table.structures) {
    if (structure.kind !== 'ATSR' || structure.segment !== segment) continue;
    if (structure.allPorts) return true;
    if (rootPort !== undefined && lookup.scopesName(structure.scopes, segment, rootPort)) return true;
  }
  return false;
}
