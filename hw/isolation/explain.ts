/** Everything that decides on one device's group: its requester ids, the way up, the functions beside it. */
import type { HostDescription } from '../host-description.ts';
import { type AcsVerdict, explainAcs, GROUPING_CONTROLS } from '../kernel/pci/acs.ts';
import { forEachDmaAlias } from '../kernel/pci/dma-alias.ts';
import type { PciBus, PciDevice } from '../kernel/pci/pci-device.ts';
import { phantomFunctions } from '../kernel/pci/phantom-functions.ts';
import { applyAcs } from './acs-at-boot.ts';
import { coverageOf } from './coverage.ts';
import type { GroupReport, GroupsReport, UngroupedReport, UnknownReport } from './groups.ts';
import { scanMachine } from './machine.ts';

export interface IsolationStep {
  readonly device: string;
  readonly isolated: boolean;
  readonly detail: string;
}

export interface DeviceExplanation {
  readonly device: string;
  readonly group: GroupReport | null;
  readonly ungrouped: UngroupedReport | null;
  readonly unknown: UnknownReport | null;
  /** What its group says and what of it is enforced now. */
  readonly enforcement: string;
  /** Requester ids its DMA may carry, and which device answers for each. */
  readonly requesterIds: readonly { readonly id: string; readonly of: string; readonly kind: string }[];
  /** Requester ids it may use besides when phantom functions are on; null without support. */
  readonly phantom: { readonly enabled: boolean; readonly ids: readonly string[] } | null;
  /** Bridges from the device up to the root. */
  readonly path: readonly IsolationStep[];
  /** The functions of its slot, itself first. */
  readonly slot: readonly IsolationStep[];
}

/** Explains a device, or undefined when the host has none of that address. */
export function explainDevice(
  description: HostDescription,
  report: GroupsReport,
  address: string,
): DeviceExplanation | undefined {
  const machine = scanMachine(description);
  const { topology, described } = machine;
  const { amd, coverage } = coverageOf(description, topology);
  const acsEnumerated = applyAcs(description, machine, coverage.unitCount > 0);
  for (const one of [...topology.devices]) topology.addVirtualFunctions(one);
  const device = topology.find(address);
  if (device === undefined) return undefined;
  const context = {
    amdIommu: amd,
    acsEnumerated,
    unreadable: (one: PciDevice): boolean =>
      described.get(one.name)?.unknown?.includes('device registers') ?? false,
  };
  const step = (one: PciDevice): IsolationStep => {
    const verdict: AcsVerdict = explainAcs(one, GROUPING_CONTROLS, context);
    return { device: one.name, isolated: verdict.isolated, detail: verdict.detail };
  };
  const requesterIds: { id: string; of: string; kind: string }[] = [];
  forEachDmaAlias(device, (by, id, kind) => {
    requesterIds.push({ id: requesterText(id), of: by.name, kind });
    return false;
  });
  const phantom = phantomFunctions(device);
  const path: IsolationStep[] = [];
  for (let bus: PciBus | undefined = device.bus; bus !== undefined; bus = bus.parent) {
    if (bus.bridge !== undefined) path.push(step(bus.bridge));
  }
  const mates = device.bus.devices.filter(
    (other) => other !== device && other.devfn >>> 3 === device.devfn >>> 3 && !device.isVirtualFunction,
  );
  const group = report.groups.find((one) => one.devices.includes(device.name)) ?? null;
  return {
    device: device.name,
    group,
    enforcement: enforcementText(group),
    ungrouped: report.ungrouped.find((one) => one.device === device.name) ?? null,
    unknown: report.unknown.find((one) => one.device === device.name) ?? null,
    requesterIds,
    phantom:
      phantom.bits === 0 ? null : { enabled: phantom.enabled, ids: phantom.requesterIds.map(requesterText) },
    path,
    slot: [device, ...mates].map(step),
  };
}

/** "Describe or enforce": a group only tells what can't be parted; its domain is what holds DMA back. */
function enforcementText(group: GroupReport | null): string {
  if (group === null) return 'No group: its DMA is not translated, and it cannot be assigned.';
  const who = group.devices.length === 1 ? 'It' : `All ${group.devices.length} members`;
  const today =
    group.type === 'identity'
      ? 'its default domain is identity, so nothing is enforced: DMA reaches all of memory'
      : `its default domain (${group.type}) confines kernel DMA to what drivers map`;
  return `The group describes: these devices cannot be told apart or kept apart. Enforced now: ${today}. ${who} must leave kernel drivers before user space may attach a domain of its own.`;
}

function requesterText(requesterId: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${hex(requesterId >>> 8)}:${hex((requesterId >>> 3) & 31)}.${requesterId & 7}`;
}
