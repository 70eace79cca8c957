/**
 * The DMAR table: how firmware tells the remapping units of a machine and what lies under each. VT-d 8. These are the
 * nouns; dmar-reader.ts reads bytes into them and dmar-writer.ts writes them back, byte for byte.
 */

/** What a device scope names. VT-d 8.3.1. */
export const ScopeType = { endpoint: 1, bridge: 2, ioApic: 3, hpet: 4, namespaceDevice: 5 } as const;

/** One step of the path from the start bus down: all but the last are bridges. */
export interface ScopeHop {
  readonly device: number;
  readonly function: number;
}

/** A device scope: a path of (device, function) pairs from a bus. */
export interface DeviceScope {
  /** One of ScopeType; other values are kept as found. */
  readonly type: number;
  readonly flags: number;
  /** IO-APIC id, HPET block number or ACPI device number of types 3 to 5. */
  readonly enumerationId: number;
  readonly startBus: number;
  readonly path: readonly ScopeHop[];
}

/** DMA remapping hardware unit definition. VT-d 8.3. */
export interface RemappingUnitStructure {
  readonly kind: 'DRHD';
  /** INCLUDE_PCI_ALL: everything in the segment that no other unit lists. */
  readonly includeAll: boolean;
  /** Register space in pages, as a power of two (low four bits of the size byte). */
  readonly sizeShift: number;
  readonly segment: number;
  readonly registerBase: bigint;
  readonly scopes: readonly DeviceScope[];
}

/** Reserved memory region reporting: memory that the listed devices keep using. VT-d 8.4. */
export interface ReservedMemoryStructure {
  readonly kind: 'RMRR';
  readonly segment: number;
  readonly base: bigint;
  /** Address of the last byte. */
  readonly limit: bigint;
  readonly scopes: readonly DeviceScope[];
}

/** Root ports that pass on ATS requests. VT-d 8.5. */
export interface RootPortAtsStructure {
  readonly kind: 'ATSR';
  readonly allPorts: boolean;
  readonly segment: number;
  readonly scopes: readonly DeviceScope[];
}

/** Proximity domain of a unit. VT-d 8.6. */
export interface UnitAffinityStructure {
  readonly kind: 'RHSA';
  readonly registerBase: bigint;
  readonly proximityDomain: number;
}

/** A device of the ACPI name space that does DMA. VT-d 8.7. */
export interface NamespaceDeviceStructure {
  readonly kind: 'ANDD';
  readonly deviceNumber: number;
  /** ACPI path, without its final NUL. */
  readonly name: string;
  /** There is no final NUL within the structure. */
  readonly unterminated?: boolean;
}

/** Integrated devices with a translation cache of their own. VT-d 8.8. */
export interface IntegratedAtcStructure {
  readonly kind: 'SATC';
  readonly atcRequired: boolean;
  readonly segment: number;
  readonly scopes: readonly DeviceScope[];
}

/** Integrated device properties. VT-d 8.9. */
export interface IntegratedDeviceStructure {
  readonly kind: 'SIDP';
  readonly segment: number;
  readonly scopes: readonly DeviceScope[];
}

/** A structure of a type that is not defined. */
export interface UnknownStructure {
  readonly kind: 'unknown';
  readonly type: number;
}

type StructureBody =
  | RemappingUnitStructure
  | ReservedMemoryStructure
  | RootPortAtsStructure
  | UnitAffinityStructure
  | NamespaceDeviceStructure
  | IntegratedAtcStructure
  | IntegratedDeviceStructure
  | UnknownStructure;

/** A structure; `bytes` is what was read, so that reserved fields and unknown types survive. Absent: made here. */
export type DmarStructure = StructureBody & { readonly bytes?: Uint8Array };

export interface DmarTable {
  readonly revision: number;
  readonly oemId: string;
  readonly oemTableId: string;
  readonly oemRevision: number;
  readonly creatorId: string;
  readonly creatorRevision: number;
  /** Bits of a physical address (the byte in the table holds one less). */
  readonly hostAddressWidth: number;
  readonly interruptRemapping: boolean;
  readonly x2apicOptOut: boolean;
  readonly dmaControlOptIn: boolean;
  /** In the order of the table. */
  readonly structures: readonly DmarStructure[];
  /** What is odd but doesn't stop a reader. */
  readonly warnings: readonly string[];
  /** Header as read, so that reserved bits survive. */
  readonly headerBytes?: Uint8Array;
  /** What follows a structure of length zero, which ends the walk. */
  readonly trailingBytes?: Uint8Array;
}

/** Number of each structure type. */
export const STRUCTURE_TYPES = { DRHD: 0, RMRR: 1, ATSR: 2, RHSA: 3, ANDD: 4, SATC: 5, SIDP: 6 } as const;

/** 36 bytes of ACPI header, width, flags, 10 reserved. */
export const DMAR_HEADER_BYTES = 48;

/** A table that can't be read; `offset` in bytes from its start. */
export class DmarError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.name = 'DmarError';
    this.offset = offset;
  }
}

/**
 * The units of a table, in its order. An entry that repeats segment and register base of another is no unit of its own, and
 * Linux does not look at its scopes (dmar_find_dmaru of drivers/iommu/intel/dmar.c).
 */
export function remappingUnits(table: DmarTable): RemappingUnitStructure[] {
  const units: RemappingUnitStructure[] = [];
  for (const one of table.structures) {
    if (one.kind !== 'DRHD') continue;
    if (units.some((unit) => unit.segment === one.segment && unit.registerBase === one.registerBase))
      continue;
    units.push(one);
  }
  return units;
}
