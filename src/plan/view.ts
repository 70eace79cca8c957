/**
 * What a plan looks at: functions, groups and mediated devices of a host, flat. Made from a description alone (any
 * capture, of any vendor's machine), or from the host of a session as it is now.
 */
import {
  type CapabilityState,
  type DecodedField,
  type DeviceNode,
  groupsOf,
  type Host,
  type HostDescription,
  type TopologyNode,
  topologyOf,
} from '../../hw/index.ts';

/** Capabilities that decide something here, by list and id. */
export const Capability = {
  power: { extended: false, id: 0x01 },
  express: { extended: false, id: 0x10 },
  advancedFeatures: { extended: false, id: 0x13 },
  sriov: { extended: true, id: 0x10 },
} as const;

export interface PlanFunction {
  readonly address: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly classCode: number;
  readonly className: string;
  readonly isBridge: boolean;
  readonly portType: string;
  /** null: none; undefined: the source does not say. */
  readonly driver: string | null | undefined;
  readonly group: number | undefined;
  readonly numaNode: number | undefined;
  readonly physicalFunction: string | undefined;
  readonly virtualFunctions: readonly string[];
  /** The bridge above, or undefined on a root bus. */
  readonly parent: string | undefined;
  /** What the source does not show of it. */
  readonly unknown: readonly string[];
  readonly assignedTo: string | undefined;
  readonly mdevs: readonly string[];
  /** A field of a capability, or undefined when either is absent. */
  field(capability: { extended: boolean; id: number }, name: string): bigint | undefined;
}

export interface PlanRegion {
  readonly start: string;
  readonly end: string;
  readonly type: string;
}

export interface PlanGroup {
  readonly id: number;
  readonly devices: readonly string[];
  readonly reserved: readonly PlanRegion[];
  /** Why each member is in it: the rule and the register bit that decided. */
  readonly reasons: readonly { readonly device: string; readonly detail: string }[];
}

export interface PlanMdev {
  readonly uuid: string;
  readonly parent: string;
  readonly type: string;
  readonly deviceApi: string;
  readonly autostart: boolean;
  readonly assignedTo: string | undefined;
}

export interface PlanView {
  readonly name: string;
  readonly functions: ReadonlyMap<string, PlanFunction>;
  readonly groups: ReadonlyMap<number, PlanGroup>;
  /** Functions without a group, and why. */
  readonly ungrouped: ReadonlyMap<string, string>;
  /** Functions whose group the source does not let one tell, and what is missing. */
  readonly uncertain: ReadonlyMap<string, string>;
  readonly mdevs: ReadonlyMap<string, PlanMdev>;
  /** Width of I/O addresses behind the unit of a function, in bits; undefined: not known. */
  iovaBits(address: string): number | undefined;
}

/** From a description alone. @throws DmarError when its DMAR table can't be read. */
export function viewOfDescription(description: HostDescription): PlanView {
  const report = groupsOf(description);
  const groupOf = new Map(
    report.groups.flatMap((group) => group.devices.map((device) => [device, group.id] as const)),
  );
  const functions = new Map<string, PlanFunction>();
  const virtual = new Map<string, string[]>();
  const visit = (nodes: readonly TopologyNode[], parent: string | undefined): void => {
    for (const node of nodes) {
      if (node.physicalFunction !== undefined) pushTo(virtual, node.physicalFunction, node.address);
      functions.set(node.address, functionOfNode(node, parent, groupOf.get(node.address), virtual));
      visit(node.children, node.address);
    }
  };
  for (const root of topologyOf(description).roots) visit(root.devices, undefined);
  return {
    name: description.name,
    functions,
    groups: new Map(report.groups.map((group) => [group.id, group])),
    ungrouped: new Map(report.ungrouped.map(({ device, why }) => [device, why])),
    uncertain: new Map(report.unknown.map(({ device, why }) => [device, why])),
    mdevs: new Map(),
    iovaBits: () => undefined,
  };
}

function functionOfNode(
  node: TopologyNode,
  parent: string | undefined,
  group: number | undefined,
  virtual: Map<string, string[]>,
): PlanFunction {
  return {
    address: node.address,
    vendorId: node.vendorId,
    deviceId: node.deviceId,
    classCode: node.decoded.classCode,
    className: node.className ?? 'device',
    isBridge: node.decoded.headerLayout !== 'endpoint',
    portType: node.portType,
    driver: node.driver,
    group,
    numaNode: node.numaNode,
    physicalFunction: node.physicalFunction,
    get virtualFunctions() {
      return virtual.get(node.address) ?? [];
    },
    parent,
    unknown: node.unknown,
    assignedTo: undefined,
    mdevs: [],
    field: ({ extended, id }, name) =>
      fieldIn(
        node.decoded.capabilities.find((found) => found.id === id && (found.list === 'extended') === extended)
          ?.fields,
        name,
      ),
  };
}

/** From the host of a session as it is now. */
export function viewOfHost(host: Host): PlanView {
  const described = new Map(host.description.functions.map((found) => [found.address, found]));
  const functions = new Map<string, PlanFunction>();
  const visit = (nodes: readonly DeviceNode[], parent: string | undefined): void => {
    for (const node of nodes) {
      let capabilities: CapabilityState[] | undefined;
      functions.set(node.address, {
        ...node,
        isBridge: node.headerType !== 0,
        driver: node.driver ?? null,
        parent,
        unknown: described.get(node.address)?.unknown ?? [],
        field: ({ extended, id }, name) => {
          capabilities ??= host.capabilities(node.address);
          return fieldIn(
            capabilities.find((found) => found.id === id && found.extended === extended)?.fields,
            name,
          );
        },
      });
      visit(node.children, node.address);
    }
  };
  for (const root of host.deviceTree()) visit(root.devices, undefined);
  const parents = host.mdevParents();
  const definitions = new Map(host.mdevDefinitions().map((definition) => [definition.uuid, definition]));
  const units = new Map(host.unitStates().map((unit) => [unit.name, unit]));
  const withoutUnit =
    units.size === 0 ? 'there is no remapping unit in use' : 'no remapping unit of the DMAR table covers it';
  return {
    name: host.description.name,
    functions,
    groups: new Map(
      host.groups().map((group) => [group.id, { ...group, reserved: group.reserved.map(regionText) }]),
    ),
    ungrouped: new Map(
      [...functions.values()]
        .filter(({ group }) => group === undefined)
        .map(({ address }) => [address, withoutUnit]),
    ),
    uncertain: new Map(),
    mdevs: new Map(
      host.mdevs().map((mdev) => [
        mdev.uuid,
        {
          uuid: mdev.uuid,
          parent: mdev.parent,
          type: mdev.type,
          deviceApi:
            parents.find(({ device }) => device === mdev.parent)?.types.find(({ id }) => id === mdev.type)
              ?.deviceApi ?? 'vfio-pci',
          autostart: definitions.get(mdev.uuid)?.autostart === true,
          assignedTo: mdev.assignedTo,
        },
      ]),
    ),
    iovaBits: (address) => {
      const unit = units.get(host.device(address)?.unit ?? '');
      return unit === undefined
        ? undefined
        : addressWidth(unit.registers.find(({ name }) => name === 'CAP')?.fields);
    },
  };
}

function regionText(region: { start: bigint; end: bigint; type: string }): PlanRegion {
  const type = region.type === 'software-msi' ? 'msi' : region.type;
  return { start: `0x${region.start.toString(16)}`, end: `0x${region.end.toString(16)}`, type };
}

/** CAP.MGAW and CAP.SAGAW: the widest domain the unit can hold. VT-d 11.4.2. */
function addressWidth(capability: readonly DecodedField[] | undefined): number {
  const guest = Number(fieldIn(capability, 'maximumGuestAddressWidth') ?? 0n) + 1;
  const tables = Number(fieldIn(capability, 'addressWidths') ?? 0n);
  const widest = (tables & 8) !== 0 ? 57 : (tables & 4) !== 0 ? 48 : 39;
  return Math.min(guest, widest);
}

function fieldIn(fields: readonly DecodedField[] | undefined, name: string): bigint | undefined {
  return fields?.find((field) => field.name === name)?.value;
}

function pushTo(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}
