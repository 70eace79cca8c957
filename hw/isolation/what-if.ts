/** What would change if: another setting, another table, an override. The difference in groups, and what an override opens. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { commandLineWords } from '../kernel/iommu/grouping-options.ts';
import { explainAcs, GROUPING_CONTROLS } from '../kernel/pci/acs.ts';
import type { PciBus, PciDevice } from '../kernel/pci/pci-device.ts';
import { Acs } from '../pci/capabilities/acs.ts';
import { walkCapabilities } from '../pci/capabilities/walk.ts';
import { ConfigurationSpace } from '../pci/configuration-space.ts';
import { bytesOfHex } from '../pci/from-description.ts';
import { type GroupsReport, groupsOf } from './groups.ts';
import { scanMachine } from './machine.ts';

export interface WhatIf {
  /** Ports and functions taken as isolating although they are not (an ACS override). */
  readonly overrideAcs?: readonly string[];
  /** Words of a kernel command line that come on top: `pci=disable_acs_redir=…`, `iommu=pt`, `intel_iommu=off`. */
  readonly commandLine?: string;
  readonly iommu?: 'on' | 'off';
  /** ACS control registers as firmware would leave them, by device. */
  readonly firmwareAcs?: readonly { readonly device: string; readonly control: number }[];
  /** Another DMAR table in hex, or null for none. */
  readonly dmar?: string | null;
}

export interface MovedDevice {
  readonly device: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** A way by which DMA of one group reaches a device of another without passing the IOMMU. */
export interface OpenPath {
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** The device at which requests turn round. */
  readonly through: string;
  readonly detail: string;
}

export interface WhatIfReport {
  readonly before: GroupsReport;
  readonly after: GroupsReport;
  /** Devices whose company changes. */
  readonly moved: readonly MovedDevice[];
  /** Devices whose group keeps its members but is of another type. */
  readonly retyped: readonly { readonly device: string; readonly before: string; readonly after: string }[];
  readonly opened: readonly OpenPath[];
}

/** Computes both sides. @throws DmarError for a table that can't be read. */
export function whatIf(description: HostDescription, question: WhatIf): WhatIfReport {
  const before = groupsOf(description);
  const changed = changedDescription(description, question);
  const after = groupsOf(changed, { isolating: question.overrideAcs });
  const membersBefore = membership(before);
  const membersAfter = membership(after);
  const moved: MovedDevice[] = [];
  const retyped: { device: string; before: string; after: string }[] = [];
  for (const device of new Set([...membersBefore.keys(), ...membersAfter.keys()])) {
    const old = membersBefore.get(device);
    const now = membersAfter.get(device);
    if (!same(old?.devices ?? [], now?.devices ?? [])) {
      moved.push({ device, before: old?.devices ?? [], after: now?.devices ?? [] });
    } else if (old !== undefined && now !== undefined && old.type !== now.type) {
      retyped.push({ device, before: old.type, after: now.type });
    }
  }
  return { before, after, moved, retyped, opened: openedPaths(changed, question, before, membersAfter) };
}

function membership(report: GroupsReport): Map<string, GroupsReport['groups'][number]> {
  return new Map(report.groups.flatMap((group) => group.devices.map((device) => [device, group] as const)));
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}

/** The description that the question describes. */
function changedDescription(description: HostDescription, question: WhatIf): HostDescription {
  const changed: HostDescription = { ...description };
  if (question.dmar !== undefined) {
    if (question.dmar === null) delete changed.dmar;
    else changed.dmar = question.dmar;
    // Registers belong to the units of the old table.
    delete changed.units;
  }
  if (question.firmwareAcs !== undefined) {
    changed.functions = description.functions.map((one) => withFirmwareAcs(one, question.firmwareAcs ?? []));
  }
  const words = commandLineWords(description.kernelCommandLine ?? '');
  if (question.commandLine !== undefined) words.push(...commandLineWords(question.commandLine));
  if (question.iommu === 'off') changed.iommu = { state: 'off', because: 'supposed off' };
  else if (question.iommu === 'on') {
    changed.iommu = { state: 'assumed', because: 'supposed on' };
    changed.kernelCommandLine = [...words, 'intel_iommu=on'].filter((word) => word !== 'iommu=off').join(' ');
    return changed;
  } else if (question.commandLine !== undefined && changed.iommu !== undefined) {
    changed.iommu = { state: 'assumed', because: 'supposed to boot again with other options' };
    if (description.dmar === undefined && description.iommu?.state === 'on') {
      changed.iommu = { state: 'off', because: 'the machine has no DMAR table, so no IOMMU' };
    }
  }
  if (words.length > 0) changed.kernelCommandLine = words.join(' ');
  return changed;
}

/** The function with another ACS control register; one without the capability stays as it is. */
function withFirmwareAcs(
  one: FunctionDescription,
  settings: NonNullable<WhatIf['firmwareAcs']>,
): FunctionDescription {
  const setting = settings.find((candidate) => candidate.device === one.address);
  const bytes = setting === undefined ? undefined : bytesOfHex(one.config ?? '');
  if (setting === undefined || bytes === undefined) return one;
  const space = new ConfigurationSpace(bytes, one.configSize ?? bytes.length);
  const acs = walkCapabilities((offset, size) => space.read(offset, size), space.size).found.find(
    (found) => found.list === 'extended' && found.id === Acs.id,
  );
  if (acs === undefined) return one;
  space.set(acs.offset + 6, 2, setting.control & space.read(acs.offset + 4, 2) & 0x7f);
  const config = Array.from(space.snapshot(), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { ...one, config, configSize: space.size as 64 | 256 | 4096 };
}

/** What an override parts on paper although the hardware lets requests turn round. */
function openedPaths(
  description: HostDescription,
  question: WhatIf,
  before: GroupsReport,
  after: ReadonlyMap<string, GroupsReport['groups'][number]>,
): OpenPath[] {
  const overridden = new Set(question.overrideAcs);
  if (overridden.size === 0) return [];
  const { topology } = scanMachine(description);
  const paths: OpenPath[] = [];
  for (const group of before.groups) {
    const parts = [...new Set(group.devices.map((device) => after.get(device)))].filter(
      (part) => part !== undefined,
    );
    for (let first = 0; first < parts.length; first += 1) {
      for (let second = first + 1; second < parts.length; second += 1) {
        const one = parts[first].devices;
        const other = parts[second].devices;
        const through = turningPoint([...one, ...other], topology.find.bind(topology), overridden);
        if (through === undefined) continue;
        const verdict = explainAcs(through, GROUPING_CONTROLS, { amdIommu: false });
        paths.push({ from: one, to: other, through: through.name, detail: verdict.detail });
      }
    }
  }
  return paths;
}

/** The overridden device that both parts have above them, or beside them in one slot. */
function turningPoint(
  members: readonly string[],
  find: (name: string) => PciDevice | undefined,
  overridden: ReadonlySet<string>,
): PciDevice | undefined {
  for (const name of members) {
    let bus: PciBus | undefined;
    const device = find(name);
    if (device === undefined) continue;
    if (overridden.has(device.name)) return device;
    for (bus = device.bus; bus !== undefined; bus = bus.parent) {
      if (bus.bridge !== undefined && overridden.has(bus.bridge.name)) return bus.bridge;
    }
  }
  return undefined;
}
