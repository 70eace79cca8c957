/** What differs between two hosts, as rows of (subject, what, here, there): devices, mdevs, assignments, mappings, tables. */
import type { DeviceNode, Host } from '../../hw/index.ts';
import { allDevices } from '../actions/find.ts';

export interface Difference {
  readonly area:
    | 'device'
    | 'group'
    | 'mdev'
    | 'definition'
    | 'machine'
    | 'mapping'
    | 'domain'
    | 'table'
    | 'digest';
  readonly subject: string;
  readonly what: string;
  readonly left: string | null;
  readonly right: string | null;
}

type Facts = Map<string, Map<string, string>>;

/** Differences of the right host from the left one, in a fixed order. */
export function diffHosts(left: Host, right: Host): Difference[] {
  const found: Difference[] = [];
  for (const [area, collect] of AREAS) compare(area, collect(left), collect(right), found);
  if (left.digest() !== right.digest()) {
    found.push({
      area: 'digest',
      subject: 'host',
      what: 'digest',
      left: left.digest(),
      right: right.digest(),
    });
  }
  return found;
}

const AREAS: readonly (readonly [Difference['area'], (host: Host) => Facts])[] = [
  ['device', deviceFacts],
  ['group', groupFacts],
  ['mdev', mdevFacts],
  ['definition', definitionFacts],
  ['machine', machineFacts],
  ['mapping', mappingFacts],
  ['domain', domainFacts],
  ['table', tableFacts],
];

function compare(area: Difference['area'], left: Facts, right: Facts, found: Difference[]): void {
  for (const subject of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    const here = left.get(subject);
    const there = right.get(subject);
    if (here === undefined || there === undefined) {
      const summary = [...(here ?? there ?? [])].map(([what, value]) => `${what} ${value}`).join(', ');
      found.push({
        area,
        subject,
        what: 'there',
        left: here === undefined ? null : summary,
        right: there === undefined ? null : summary,
      });
      continue;
    }
    for (const what of new Set([...here.keys(), ...there.keys()])) {
      const a = here.get(what) ?? null;
      const b = there.get(what) ?? null;
      if (a !== b) found.push({ area, subject, what, left: a, right: b });
    }
  }
}

function facts(values: Record<string, unknown>): Map<string, string> {
  const made = new Map<string, string>();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null) made.set(name, String(value));
  }
  return made;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function deviceFacts(host: Host): Facts {
  const of = (node: DeviceNode): Map<string, string> =>
    facts({
      driver: node.driver ?? 'none',
      group: node.group ?? 'none',
      'auxiliary mode': node.auxiliaryMode,
      'assigned to': node.assignedTo ?? 'nobody',
      'virtual functions': node.virtualFunctions.length,
    });
  return new Map(allDevices(host).map((node) => [node.address, of(node)]));
}

function groupFacts(host: Host): Facts {
  return new Map(
    host
      .groups()
      .map((group) => [
        String(group.id),
        facts({ devices: group.devices.join(' '), type: group.type, owner: group.owner }),
      ]),
  );
}

function mdevFacts(host: Host): Facts {
  return new Map(
    host.mdevs().map((mdev) => [
      mdev.uuid,
      facts({
        parent: mdev.parent,
        type: mdev.type,
        'assigned to': mdev.assignedTo ?? 'nobody',
        PASID: mdev.pasid,
      }),
    ]),
  );
}

function definitionFacts(host: Host): Facts {
  return new Map(
    host.mdevDefinitions().map((definition) => [
      `${definition.uuid} on ${definition.parent}`,
      facts({
        type: definition.type,
        autostart: definition.autostart,
        attributes: definition.attributes.map(([file, value]) => `${file}=${value}`).join('; '),
      }),
    ]),
  );
}

function machineFacts(host: Host): Facts {
  return new Map(
    host.machineStates().map((machine) => [
      machine.name,
      facts({
        state: machine.state,
        memory: machine.memoryBytes,
        devices: machine.devices.map((device) => device.device).join(' ') || 'none',
        'locked bytes': machine.lockedBytes,
        'dirty tracking': machine.dirtyTracking,
      }),
    ]),
  );
}

function mappingFacts(host: Host): Facts {
  const made: Facts = new Map();
  for (const machine of host.machineStates()) {
    for (const mapping of machine.mappings) {
      const access = `${mapping.read ? 'r' : ''}${mapping.write ? 'w' : ''}`;
      made.set(`${machine.name} ${hex(mapping.iova)}`, facts({ length: hex(mapping.lengthBytes), access }));
    }
  }
  return made;
}

function domainFacts(host: Host): Facts {
  return new Map(
    host.domains().map((domain) => [
      domain.name,
      facts({
        type: domain.type,
        level: domain.level,
        PASID: domain.defaultPasid,
        attached:
          domain.attachments.map(({ device, kind, pasid }) => `${device} ${kind} ${pasid}`).join(', ') ||
          'nothing',
      }),
    ]),
  );
}

function tableFacts(host: Host): Facts {
  return new Map(
    host.pasidEntries().map((entry) => [
      `PASID table entry ${entry.device} ${entry.pasid}`,
      facts({
        address: hex(entry.address),
        domain: entry.domain ?? 'none',
        raw: [...entry.words].map(hex).join(' '),
      }),
    ]),
  );
}
