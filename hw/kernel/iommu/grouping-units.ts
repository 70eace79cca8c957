/**
 * Which remapping unit a device belongs to, from the DMAR table: dmar_insert_dev_scope of drivers/iommu/intel/dmar.c and
 * device_lookup_iommu of intel/iommu.c.
 */
import {
  type DeviceScope,
  type DmarTable,
  type RemappingUnitStructure,
  type ReservedMemoryStructure,
  remappingUnits,
  ScopeType,
} from '../../acpi/dmar.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { PciTopology } from '../pci/scan.ts';
import { deviceAtScope, fitsScope } from './device-scope.ts';
import { demandedType, translatedBits, unusableWidths } from './grouping-default-type.ts';
import { tableRefusal } from './table-refusal.ts';

/** What a unit's registers say, as far as grouping asks; absent: not known, taken as capable. */
export interface UnitRegisters {
  readonly cap: bigint;
  readonly ecap: bigint;
}

export interface UnitCoverage {
  readonly structure: RemappingUnitStructure;
  /** `dmar0`, in the order of the table, as sysfs names it. */
  readonly name: string;
  readonly registers: UnitRegisters | undefined;
  /** Why Linux leaves it alone (drhd->ignored) or drops it, or undefined. */
  readonly ignored: string | undefined;
  /** Devices that its scopes name, resolved. */
  readonly scopeDevices: readonly PciDevice[];
}

/** A unit that is still being judged. */
type OpenCoverage = { -readonly [Key in keyof UnitCoverage]: UnitCoverage[Key] };

interface ReservedScope {
  readonly structure: ReservedMemoryStructure;
  readonly devices: readonly PciDevice[];
}

const PAGE_MASK = 0xfffn;

export interface LookupOptions {
  readonly registers?: (registerBase: bigint) => UnitRegisters | undefined;
  /** intel_iommu=igfx_off, or a chipset whose graphics unit Linux leaves off. */
  readonly graphicsOff?: boolean;
  /** False: intel_iommu=sm_off. */
  readonly scalableMode?: boolean;
  /** Default domains translate nothing. */
  readonly passThrough?: boolean;
}

export class UnitLookup {
  /** As Linux keeps and probes them: units without INCLUDE_PCI_ALL in reverse table order, then the catch-alls. */
  readonly units: readonly UnitCoverage[];
  /** Why Linux gives the table up as a whole: it then has no units. */
  readonly refused: string | undefined;
  readonly table: DmarTable;
  private readonly topology: PciTopology;
  /** The lists behind each unit's scopeDevices. */
  private readonly scopeDevices = new Map<UnitCoverage, PciDevice[]>();
  private reserved: readonly ReservedScope[] | undefined;

  constructor(table: DmarTable, topology: PciTopology, options: LookupOptions = {}) {
    this.table = table;
    this.topology = topology;
    this.refused = tableRefusal(table, topology);
    const structures = this.refused === undefined ? remappingUnits(table) : [];
    const inTable = structures.map((structure, index) => this.coverage(structure, index, options));
    const units = [
      ...inTable.filter((unit) => !unit.structure.includeAll).reverse(),
      ...inTable.filter((unit) => unit.structure.includeAll),
    ];
    this.units = units;
    for (const unit of units) unit.ignored ??= this.unmappableMemory(unit, options);
  }

  /**
   * Reserved memory that a translating domain can't map one to one fails the registration of the whole unit
   * (iommu_create_device_direct_mappings, iommu_device_register).
   */
  private unmappableMemory(unit: UnitCoverage, options: LookupOptions): string | undefined {
    const { registers } = unit;
    if (registers === undefined) return undefined;
    if (options.passThrough === true && demandedType(registers) === undefined) return undefined;
    const bits = translatedBits(registers, options.scalableMode ?? true);
    const beyond = this.table.structures.some((one) => one.kind === 'RMRR' && reachesBeyond(one, bits));
    if (!beyond) return undefined;
    const device = this.topology.devices.find(
      (one) =>
        this.unitOf(one) === unit && this.reservedMemory(one).some((memory) => reachesBeyond(memory, bits)),
    );
    return device === undefined
      ? undefined
      : `reserved memory of ${device.name} lies beyond the ${bits} bits that it translates, and Linux drops it for that`;
  }

  private coverage(structure: RemappingUnitStructure, index: number, options: LookupOptions): OpenCoverage {
    const name = `dmar${index}`;
    const scopeDevices: PciDevice[] = [];
    for (const scope of structure.scopes) {
      const device = this.resolve(scope, structure.segment);
      if (device !== undefined) scopeDevices.push(device);
    }
    const registers = options.registers?.(structure.registerBase);
    const namespaceScopes = structure.scopes.some((scope) => scope.type === ScopeType.namespaceDevice);
    let ignored: string | undefined;
    const unusable =
      registers === undefined ? undefined : unusableWidths(registers, options.scalableMode ?? true);
    if (unusable !== undefined) ignored = unusable;
    else if (!structure.includeAll && scopeDevices.length === 0 && !namespaceScopes) {
      ignored = 'none of the devices that its scopes name exists';
    } else if (
      options.graphicsOff === true &&
      !structure.includeAll &&
      scopeDevices.length > 0 &&
      scopeDevices.every((device) => device.classCode >>> 16 === 3)
    ) {
      ignored = 'it serves graphics only, and Linux leaves it off here';
    }
    const coverage = { structure, name, registers, ignored, scopeDevices };
    this.scopeDevices.set(coverage, scopeDevices);
    return coverage;
  }

  /**
   * Functions came or went: scopes name what is there now (dmar_pci_bus_notifier). Which units are left alone was settled
   * at boot.
   */
  refresh(): void {
    for (const unit of this.units) {
      const found = unit.structure.scopes.flatMap(
        (scope) => this.resolve(scope, unit.structure.segment) ?? [],
      );
      this.scopeDevices.get(unit)?.splice(0, Number.POSITIVE_INFINITY, ...found);
    }
    this.reserved = undefined;
  }

  /** The unit of a device, or undefined: none covers it, so it gets no group. */
  unitOf(device: PciDevice): UnitCoverage | undefined {
    const unit = this.namingUnit(device);
    return unit?.ignored === undefined ? unit : undefined;
  }

  /** device_lookup_iommu: the first that names the device decides, also when Linux leaves that unit alone. */
  private namingUnit(device: PciDevice): UnitCoverage | undefined {
    const real = device.realDmaDevice;
    const physical = real.physicalFunction ?? real;
    return this.units.find(
      (unit) =>
        unit.structure.segment === physical.bus.segment &&
        (covers(unit.scopeDevices, physical) || unit.structure.includeAll),
    );
  }

  /** In words, why no unit covers a device. */
  whyNone(device: PciDevice): string {
    if (this.refused !== undefined) return this.refused;
    const unit = this.namingUnit(device);
    if (unit !== undefined) return `${unit.name} would cover it, but ${unit.ignored}`;
    const { segment } = (device.realDmaDevice.physicalFunction ?? device.realDmaDevice).bus;
    const name = segment.toString(16).padStart(4, '0');
    if (!this.units.some((one) => one.structure.segment === segment)) {
      return `the DMAR table has no unit for segment ${name}`;
    }
    return `no device scope of the DMAR table names it or a bridge above it, and no unit of segment ${name} includes all`;
  }

  /** The reserved memory structures that apply to a device. */
  reservedMemory(device: PciDevice): ReservedMemoryStructure[] {
    this.reserved ??= this.table.structures.flatMap((structure) =>
      structure.kind === 'RMRR'
        ? [
            {
              structure,
              devices: structure.scopes.flatMap((scope) => this.resolve(scope, structure.segment) ?? []),
            },
          ]
        : [],
    );
    return this.reserved.filter((one) => covers(one.devices, device)).map((one) => one.structure);
  }

  /** True when one of the scopes names this very device. */
  scopesName(scopes: readonly DeviceScope[], segment: number, device: PciDevice): boolean {
    return scopes.some((scope) => this.resolve(scope, segment) === device);
  }

  /** Names of the ACPI devices that a unit's scopes name. */
  namespaceDevices(unit: UnitCoverage): string[] {
    return unit.structure.scopes
      .filter((scope) => scope.type === ScopeType.namespaceDevice)
      .flatMap((scope) =>
        this.table.structures.flatMap((structure) =>
          structure.kind === 'ANDD' && structure.deviceNumber === scope.enumerationId ? [structure.name] : [],
        ),
      );
  }

  /** The device that a scope names, where it is of the kind that the scope says. */
  private resolve(scope: DeviceScope, segment: number): PciDevice | undefined {
    const device = deviceAtScope(scope, segment, this.topology);
    return device !== undefined && fitsScope(scope, device) ? device : undefined;
  }
}

/** Whether whole pages of it have addresses of more bits. */
function reachesBeyond({ base, limit }: ReservedMemoryStructure, bits: number): boolean {
  const first = (base + PAGE_MASK) & ~PAGE_MASK;
  const end = (limit + 1n + PAGE_MASK) & ~PAGE_MASK;
  return first < end && end > 1n << BigInt(bits);
}

/**
 * A scope device itself, or a device on a bus behind it (is_downstream_to_pci_bridge). Linux compares bus numbers only: the
 * RMRR of a bridge also reserves for buses of the same numbers in other segments.
 */
function covers(scopeDevices: readonly PciDevice[], device: PciDevice): boolean {
  for (const named of scopeDevices) {
    if (named === device) return true;
    const behind = named.subordinate;
    if (
      behind !== undefined &&
      device.bus.number >= behind.number &&
      device.bus.number <= behind.lastNumber
    ) {
      return true;
    }
  }
  return false;
}
