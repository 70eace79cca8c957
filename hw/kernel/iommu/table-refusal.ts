/**
 * DMAR tables that Linux can read and gives up as a whole, so that no unit works and no device has a group:
 * parse_dmar_table, alloc_iommu and dmar_dev_scope_init of drivers/iommu/intel/dmar.c.
 */
import {
  type DmarStructure,
  type DmarTable,
  type RemappingUnitStructure,
  remappingUnits,
  ScopeType,
} from '../../acpi/dmar.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { PciTopology } from '../pci/scan.ts';
import { deviceAtScope, fitsScope } from './device-scope.ts';

/** Below a page, no address would be left. */
const LEAST_ADDRESS_WIDTH = 12;
const PAGE_BYTES = 0x1000n;

/** Why Linux drops the whole table, or undefined: it uses it. */
export function tableRefusal(table: DmarTable, topology: PciTopology): string | undefined {
  const why = contentRefusal(table) ?? scopeRefusal(table, topology);
  return why === undefined ? undefined : `Linux gives up the whole DMAR table: ${why}`;
}

function contentRefusal(table: DmarTable): string | undefined {
  if (table.hostAddressWidth < LEAST_ADDRESS_WIDTH) {
    return `a host address width of ${table.hostAddressWidth} bits holds no page`;
  }
  const units = remappingUnits(table);
  if (units.length === 0) return 'it lists no remapping unit';
  if (units.some((unit) => unit.registerBase === 0n)) return 'a unit has its registers at address 0';
  for (const [index, unit] of units.entries()) {
    const other = units.slice(0, index).find((one) => registersOverlap(one, unit));
    if (other !== undefined) {
      return `the registers of two units overlap (0x${other.registerBase.toString(16)}, 0x${unit.registerBase.toString(16)})`;
    }
  }
  const unended = table.structures.find((one) => one.kind === 'ANDD' && one.unterminated === true);
  return unended === undefined ? undefined : 'the name of an ACPI device (ANDD) has no end';
}

function registersOverlap(one: RemappingUnitStructure, other: RemappingUnitStructure): boolean {
  const end = (unit: RemappingUnitStructure): bigint =>
    unit.registerBase + (PAGE_BYTES << BigInt(unit.sizeShift));
  return one.registerBase < end(other) && other.registerBase < end(one);
}

/**
 * A device scope whose type contradicts the device it names fails the whole start. Units, ATSR and SATC stop at the first
 * of their kind that names a device; the last of the table is asked first. An RMRR does not stop the others.
 */
function scopeRefusal(table: DmarTable, topology: PciTopology): string | undefined {
  const units = remappingUnits(table).filter((unit) => !unit.includeAll);
  const ofKind = (kind: DmarStructure['kind']): DmarStructure[] =>
    table.structures.filter((one) => one.kind === kind && !(one.kind === 'ATSR' && one.allPorts));
  return (
    firstMisfit('a unit (DRHD)', units, topology, true) ??
    firstMisfit('an RMRR', ofKind('RMRR'), topology, false) ??
    firstMisfit('an ATSR', ofKind('ATSR'), topology, true) ??
    firstMisfit('a SATC', ofKind('SATC'), topology, true)
  );
}

function firstMisfit(
  what: string,
  structures: readonly DmarStructure[],
  topology: PciTopology,
  stopsAtFirst: boolean,
): string | undefined {
  const settled = new Set<PciDevice>();
  for (const structure of [...structures].reverse()) {
    if (!('scopes' in structure)) continue;
    const named = new Set<PciDevice>();
    for (const scope of structure.scopes) {
      const device = deviceAtScope(scope, structure.segment, topology);
      // Of a structure's scopes that name one device the first counts.
      if (device === undefined || settled.has(device) || named.has(device)) continue;
      named.add(device);
      if (fitsScope(scope, device)) continue;
      const said = scope.type === ScopeType.endpoint ? 'an endpoint' : 'a bridge';
      return `${what} names ${device.name} as ${said} (device scope type ${scope.type}), which it is not`;
    }
    if (stopsAtFirst) for (const device of named) settled.add(device);
  }
  return undefined;
}
