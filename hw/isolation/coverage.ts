/** Which devices the IOMMUs of a described host cover, and what kind of default domain they get. */
import type { DmarTable } from '../acpi/dmar.ts';
import { readDmar } from '../acpi/dmar-reader.ts';
import { sameNamePath } from '../acpi/name-path.ts';
import type { HostDescription } from '../host-description.ts';
import { graphicsQuirks, isIntegratedGraphics } from '../kernel/iommu/graphics-quirks.ts';
import {
  amdDefaultType,
  groupDefaultType,
  keepsAbsentEntries,
  systemDefaultType,
} from '../kernel/iommu/grouping-default-type.ts';
import type { Coverage } from '../kernel/iommu/grouping-formation.ts';
import { type IommuOptions, iommuOptions } from '../kernel/iommu/grouping-options.ts';
import { AMD_RESERVED, deviceReservedRegions } from '../kernel/iommu/grouping-reserved.ts';
import { UnitLookup, type UnitRegisters } from '../kernel/iommu/grouping-units.ts';
import { GROUPING_CONTROLS } from '../kernel/pci/acs.ts';
import { hasDwordAcs, isAmdIommu, isIntelRootPort } from '../kernel/pci/acs-quirks.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import type { PciTopology } from '../kernel/pci/scan.ts';
import { bytesOfHex } from '../pci/from-description.ts';

export interface CoverageResult {
  readonly coverage: Coverage;
  readonly lookup: UnitLookup | undefined;
  readonly options: IommuOptions;
  /** True when an AMD IOMMU is in the machine. */
  readonly amd: boolean;
  /** What was taken for granted because the source does not say. */
  readonly assumptions: readonly string[];
  readonly warnings: readonly string[];
}

/** Decides who covers what. @throws DmarError when the table can't be read. */
export function coverageOf(description: HostDescription, topology: PciTopology): CoverageResult {
  const unshown = new Set(
    description.functions
      .filter(
        (one) =>
          one.unknown?.includes('device registers') === true ||
          one.unknown?.includes('capabilities') === true,
      )
      .map((one) => one.address),
  );
  const { options, assumptions: graphics } = graphicsQuirks(
    topology.devices,
    iommuOptions(description.kernelCommandLine),
    (device) => unshown.has(device.name),
  );
  const taken = [...graphics];
  const amdIommus = topology.devices.filter(isAmdIommu);
  const amd = amdIommus.length > 0;
  const none = (why: string): CoverageResult => ({
    coverage: nothingCovered(why),
    lookup: undefined,
    options,
    amd,
    assumptions: [],
    warnings: [],
  });
  if (description.iommu?.state === 'off') return none(description.iommu.because);
  if (amd && description.dmar === undefined) {
    if (!options.amdEnabled) return none('the kernel command line switches the AMD IOMMU off');
  } else if (!options.intelEnabled) {
    return none('the kernel command line switches the IOMMU off (intel_iommu=off or iommu=off)');
  }
  const table = description.dmar === undefined ? undefined : readTable(description.dmar);
  if (description.iommu?.state === 'unknown' && description.kernelCommandLine === undefined) {
    const evidence = acsEvidence(description, topology);
    if (typeof evidence === 'string') return none(evidence);
    // Where firmware opts in, Linux asks for ACS also with the IOMMU off (dmar_required).
    if (evidence === undefined || table?.dmaControlOptIn === true)
      taken.push('The source does not tell whether the IOMMU was on: taken as on.');
  }
  if (table !== undefined) return fromTable(table, description, topology, options, amd, taken);
  if (!amd && description.iommu?.state !== 'unknown' && description.iommu?.state !== 'assumed') {
    return none('the machine has no DMAR table, so no IOMMU');
  }
  if (topology.devices.some((device) => device.vendorId === 0x8086 && device.deviceId === 0x1237)) {
    return none('the 440FX chipset (8086:1237) has no IOMMU');
  }
  const assumptions = amd
    ? [
        'The IVRS table is not in the source: all functions but the IOMMU and the host bridge beside it are taken as covered.',
      ]
    : ['No DMAR table is in the source: one remapping unit over all devices is assumed.'];
  return {
    coverage: amd ? amdCovered(options, amdIommus) : everythingCovered(options),
    lookup: undefined,
    options,
    amd,
    assumptions: [...assumptions, ...taken],
    warnings: [],
  };
}

function readTable(hex: string): DmarTable {
  return readDmar(bytesOfHex(hex) ?? new Uint8Array());
}

function fromTable(
  table: DmarTable,
  description: HostDescription,
  topology: PciTopology,
  options: IommuOptions,
  amd: boolean,
  assumptions: readonly string[],
): CoverageResult {
  const known = new Map<bigint, UnitRegisters>();
  for (const unit of description.units ?? []) {
    if (unit.cap === undefined || unit.ecap === undefined) continue;
    known.set(numberOf(unit.registerBase), { cap: numberOf(unit.cap), ecap: numberOf(unit.ecap) });
  }
  const lookup = new UnitLookup(table, topology, {
    registers: (base) => known.get(base),
    graphicsOff: options.graphicsOff,
    scalableMode: options.scalableMode,
    passThrough: options.passThrough,
  });
  const active = lookup.units.filter((unit) => unit.ignored === undefined);
  const system = systemDefaultType(
    options,
    active.flatMap((unit) => unit.registers ?? []),
  );
  const order = new Map(lookup.units.map((unit, index) => [unit, { order: index }]));

  return {
    coverage: {
      unitOf: (device) => {
        const unit = lookup.unitOf(device);
        return unit === undefined ? undefined : order.get(unit);
      },
      whyNone: (device) => lookup.whyNone(device),
      reservedRegions: (device) => deviceReservedRegions(device, lookup.reservedMemory(device)),
      defaultType: (members) =>
        groupDefaultType(
          members.map((device) => lookup.unitOf(device)?.registers),
          system,
        ),
      unitCount: lookup.units.length,
    },
    lookup,
    options,
    amd,
    assumptions: [...assumptions, ...unlistedNamespaceDevices(lookup, description)],
    warnings: lookup.refused === undefined ? table.warnings : [...table.warnings, lookup.refused],
  };
}

/** ACPI devices that the table names and the source does not list: they have groups of their own, after all others. */
function unlistedNamespaceDevices(lookup: UnitLookup, description: HostDescription): string[] {
  const known = description.otherDevices?.flatMap((one) => one.acpiPath ?? []) ?? [];
  const names = lookup.units
    .flatMap((unit) => lookup.namespaceDevices(unit))
    .filter((name) => !known.some((path) => sameNamePath(path, name)));
  if (names.length === 0) return [];
  return [
    `The DMAR names ACPI devices that the source does not list (${names.join(', ')}): those that exist have groups of their own.`,
  ];
}

function numberOf(text: string): bigint {
  return BigInt(text.startsWith('0x') ? text : `0x${text}`);
}

function nothingCovered(why: string): Coverage {
  return {
    unitOf: () => undefined,
    whyNone: () => why,
    reservedRegions: () => [],
    defaultType: () => 'DMA-FQ',
    unitCount: 0,
  };
}

const ONE_UNIT = { order: 0 } as const;

/** Without a table: everything, but for an AMD IOMMU and its host bridge, and graphics that Linux leaves alone. */
function everythingCovered(options: IommuOptions): Coverage {
  const system = systemDefaultType(options, []);
  const outside = (device: PciDevice): string | undefined => {
    const why = outsideEveryIommu(device);
    if (why === undefined && options.graphicsOff && isIntegratedGraphics(device)) {
      return 'Linux leaves the remapping unit of the integrated graphics off here';
    }
    return why;
  };
  return {
    unitOf: (device) => (outside(device) === undefined ? ONE_UNIT : undefined),
    whyNone: (device) => outside(device) ?? '',
    reservedRegions: (device) => deviceReservedRegions(device, []),
    defaultType: () => system,
    unitCount: 1,
  };
}

/** The same under an AMD IOMMU, whose driver decides otherwise on types and reserved regions. */
function amdCovered(options: IommuOptions, iommus: readonly PciDevice[]): Coverage {
  const strict = options.strict || iommus.some(keepsAbsentEntries);
  const system = systemDefaultType({ ...options, strict }, []);
  return {
    ...everythingCovered(options),
    reservedRegions: () => AMD_RESERVED,
    defaultType: (members) => amdDefaultType(members, system),
  };
}

/** Why no IOMMU covers a device whatever the machine is, or undefined. */
export function outsideEveryIommu(device: PciDevice): string | undefined {
  if (isAmdIommu(device)) return 'it is the IOMMU itself';
  // Not so on the older chipsets of vendor 1002, whose entries start at 00:00.0.
  if (device.vendorId === 0x1022 && device.classCode >>> 8 === 0x0600 && sharesSlotWithAmdIommu(device)) {
    return 'IVRS entries start behind the IOMMU function: the host bridge beside it has none';
  }
  return undefined;
}

function sharesSlotWithAmdIommu(device: PciDevice): boolean {
  return device.bus.devices.some(
    (other) => other !== device && isAmdIommu(other) && other.devfn >>> 3 === device.devfn >>> 3,
  );
}

/** Why a capture must have been made with the IOMMU off, or undefined. */
export function acsNeverRequested(description: HostDescription, topology: PciTopology): string | undefined {
  const evidence = acsEvidence(description, topology);
  return typeof evidence === 'string' ? evidence : undefined;
}

/**
 * Linux switches ACS on for every device that has it as soon as an IOMMU driver asks, which is before devices are found. A
 * capture in which no control bit is set although there are some to set was made with the IOMMU off: told in words. True:
 * some are set. Undefined: nothing tells.
 */
function acsEvidence(description: HostDescription, topology: PciTopology): string | true | undefined {
  const unknown = new Map(description.functions.map((one) => [one.address, one.unknown ?? []]));
  let example: PciDevice | undefined;
  for (const device of topology.devices) {
    const acs = device.extendedCapability(0x0d);
    if (acs === undefined || hasDwordAcs(device)) continue;
    const hidden = unknown.get(device.name) ?? [];
    // It may be one with dword registers, of which lspci shows the wrong place.
    if (hidden.includes('acs') || (isIntelRootPort(device) && hidden.includes('device id'))) continue;
    if ((device.read(acs + 4, 2) & GROUPING_CONTROLS) === 0) continue;
    if ((device.read(acs + 6, 2) & GROUPING_CONTROLS) !== 0) return true;
    example ??= device;
  }
  if (example === undefined) return undefined;
  return (
    `the IOMMU was off when this was captured: no ACS control bit is set anywhere although ${example.name} and others have ` +
    'them, and Linux sets them whenever the IOMMU is on'
  );
}
