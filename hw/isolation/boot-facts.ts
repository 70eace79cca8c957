/**
 * What a description means for a machine that is booted from it: the table that firmware would hand over, what the scan
 * can't see for itself, and whether registers are as firmware left them or as a running Linux did.
 */
import type { DeviceScope } from '../acpi/dmar.ts';
import { ScopeType } from '../acpi/dmar.ts';
import { writeDmar } from '../acpi/dmar-writer.ts';
import type { HostDescription } from '../host-description.ts';
import { isAmdIommu } from '../kernel/pci/acs-quirks.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import type { PciAddress } from '../pci/address.ts';
import { acsNeverRequested, outsideEveryIommu } from './coverage.ts';
import { scanMachine } from './machine.ts';

export interface BootFacts {
  /** The description, with a table for the IOMMU that it only assumes. */
  readonly description: HostDescription;
  /** Functions that are known to be there although a scan may not reach them. */
  readonly listed: readonly PciAddress[];
  /** Functions whose device-specific registers the source does not show. */
  readonly unreadable: ReadonlySet<string>;
  /** ACS is still to be switched on, as enumeration does. */
  readonly asFirmwareLeft: boolean;
}

/** Where an assumed unit has its registers. */
const ASSUMED_UNIT = 0xfed90000n;

/** Reads a description for booting. */
export function bootFacts(description: HostDescription): BootFacts {
  const { topology, hierarchy } = scanMachine(description);
  const listed: PciAddress[] = [];
  for (const one of hierarchy.functions) {
    if (one.physicalFunction !== undefined) continue;
    listed.push({ segment: one.segment, bus: one.bus, device: one.devfn >>> 3, function: one.devfn & 7 });
  }
  const unreadable = new Set(
    description.functions
      .filter((one) => one.unknown?.includes('device registers') === true)
      .map((one) => one.address),
  );
  const state = description.iommu?.state;
  const wasOff = state === 'unknown' && acsNeverRequested(description, topology) !== undefined;
  // On an AMD machine no DMAR is missed: what tells of its IOMMU is not in the source.
  const untold = state === 'unknown' || state === 'assumed' || topology.devices.some(isAmdIommu);
  const assumed = description.dmar === undefined && state !== 'off' && untold;
  return {
    description: assumed ? { ...description, dmar: assumedTable(topology.devices) } : description,
    listed,
    unreadable,
    asFirmwareLeft: state === undefined || state === 'assumed' || wasOff,
  };
}

/** One unit a segment, over everything on its root buses but what no IOMMU covers. */
function assumedTable(devices: readonly PciDevice[]): string {
  const scopes = new Map<number, DeviceScope[]>();
  for (const device of devices) {
    if (device.bus.parent !== undefined || device.bus.segment > 0xffff || device.isVirtualFunction) continue;
    if (outsideEveryIommu(device) !== undefined) continue;
    const list = scopes.get(device.bus.segment) ?? [];
    list.push({
      type: device.headerType === 0 ? ScopeType.endpoint : ScopeType.bridge,
      flags: 0,
      enumerationId: 0,
      startBus: device.bus.number,
      path: [{ device: device.devfn >>> 3, function: device.devfn & 7 }],
    });
    scopes.set(device.bus.segment, list);
  }
  const bytes = writeDmar({
    revision: 1,
    oemId: 'VTDECK',
    oemTableId: 'ASSUMED',
    oemRevision: 1,
    creatorId: 'VTDK',
    creatorRevision: 1,
    hostAddressWidth: 46,
    interruptRemapping: true,
    x2apicOptOut: false,
    dmaControlOptIn: false,
    structures: [...scopes].map(([segment, list], index) => ({
      kind: 'DRHD' as const,
      includeAll: false,
      sizeShift: 0,
      segment,
      registerBase: ASSUMED_UNIT + BigInt(index) * 0x1000n,
      scopes: list,
    })),
    warnings: [],
  });
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
