/** The PCI tree: every function with what it can do, who drives it, and who has it. */
import type { CapabilityState, DeviceNode, Host, MdevState, RootBusNode, Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { fieldLines } from '../format/fields.ts';
import { type Line, styled } from '../format/line.ts';
import { briefName, byteRow, counted, hex, hexDigits, identity } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { configurationSpace } from './configuration-space.ts';
import { requirementLines } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row =
  | { readonly kind: 'bus'; readonly root: RootBusNode; readonly id: string; readonly folded: boolean }
  | {
      readonly kind: 'device';
      readonly node: DeviceNode;
      readonly depth: number;
      readonly parent: string;
      readonly foldable: boolean;
      readonly folded: boolean;
    }
  | { readonly kind: 'mdev'; readonly mdev: MdevState; readonly depth: number };

/** Devices between two pauses. */
const STRIDE = 128;

const busId = (root: RootBusNode): string => `${hexDigits(root.segment, 4)}:${hexDigits(root.bus, 2)}`;

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const tree = yield* context.host.deviceTreeInSteps();
  const byUuid = new Map(context.host.mdevs().map((mdev) => [mdev.uuid, mdev]));
  const list: Row[] = [];
  const visit = (node: DeviceNode, depth: number, parent: string): void => {
    const foldable = node.children.length > 0 || node.mdevs.length > 0;
    const folded = context.folded.has(node.address);
    list.push({ kind: 'device', node, depth, parent, foldable, folded });
    if (folded) return;
    for (const uuid of node.mdevs) {
      const mdev = byUuid.get(uuid);
      if (mdev !== undefined) list.push({ kind: 'mdev', mdev, depth: depth + 1 });
    }
    for (const child of node.children) visit(child, depth + 1, node.address);
  };
  for (const root of tree) {
    const id = busId(root);
    const folded = context.folded.has(id);
    list.push({ kind: 'bus', root, id, folded });
    if (folded) continue;
    for (const [at, node] of root.devices.entries()) {
      visit(node, 1, id);
      if (at % STRIDE === STRIDE - 1) yield { done: list.length, total: undefined };
    }
  }
  return rowsOf(list);
}

function treeCell(row: Row): Line {
  if (row.kind === 'bus') return [row.folded ? '▸ ' : '▾ ', styled('title', `bus ${row.id}`)];
  const indent = '  '.repeat(row.depth);
  if (row.kind === 'mdev') return [indent, '· ', styled('accent', row.mdev.uuid)];
  const glyph = row.foldable ? (row.folded ? '▸ ' : '▾ ') : '  ';
  return `${indent}${glyph}${row.node.address}`;
}

const device =
  (cell: (node: DeviceNode) => Line, mdev: (mdev: MdevState) => Line = () => '') =>
  (row: Row): Line =>
    row.kind === 'device' ? cell(row.node) : row.kind === 'mdev' ? mdev(row.mdev) : '';

const columns: readonly Column<Row>[] = [
  { id: 'tree', title: 'Device', width: 24, grows: 48, priority: 0, cell: treeCell },
  {
    id: 'name',
    title: 'What it is',
    width: 18,
    grows: true,
    priority: 1,
    cell: (row) =>
      row.kind === 'bus'
        ? counted(row.root.devices.length, 'device')
        : device(
            (node) => (node.name === undefined ? node.className : briefName(node.name)),
            (mdev) => mdev.type,
          )(row),
  },
  { id: 'class', title: 'Class', width: 22, priority: 9, cell: device((node) => node.className) },
  {
    id: 'ids',
    title: 'Ids',
    width: 9,
    priority: 8,
    cell: device((node) => identity(node.vendorId, node.deviceId)),
  },
  { id: 'port', title: 'Port', width: 14, priority: 12, cell: device((node) => node.portType) },
  {
    id: 'driver',
    title: 'Driver',
    width: 10,
    priority: 2,
    cell: device(
      (node) => node.driver ?? '-',
      () => 'vfio_mdev',
    ),
  },
  {
    id: 'group',
    title: 'Grp',
    width: 4,
    align: 'right',
    priority: 1,
    cell: device(
      (node) => (node.group === undefined ? '-' : String(node.group)),
      (mdev) => (mdev.group === undefined ? '-' : String(mdev.group)),
    ),
  },
  {
    id: 'numa',
    title: 'NUMA',
    width: 4,
    align: 'right',
    priority: 11,
    cell: device((node) => (node.numaNode === undefined ? '-' : String(node.numaNode))),
  },
  { id: 'unit', title: 'IOMMU', width: 6, priority: 10, cell: device((node) => node.unit ?? '-') },
  {
    id: 'auxiliary',
    title: 'Aux',
    width: 3,
    priority: 3,
    cell: device((node) =>
      node.auxiliaryMode === 'on'
        ? [styled('good', 'on')]
        : node.auxiliaryMode === 'off'
          ? 'off'
          : [styled('dim', '-')],
    ),
  },
  {
    id: 'vfs',
    title: 'VFs',
    width: 7,
    align: 'right',
    priority: 7,
    cell: device((node) =>
      node.totalVirtualFunctions === 0 ? '' : `${node.virtualFunctions.length}/${node.totalVirtualFunctions}`,
    ),
  },
  {
    id: 'mdevs',
    title: 'Mdevs',
    width: 5,
    align: 'right',
    priority: 5,
    cell: device(
      (node) => (node.mdevs.length === 0 ? '' : String(node.mdevs.length)),
      (mdev) => (mdev.pasid === undefined ? '' : `#${mdev.pasid}`),
    ),
  },
  {
    id: 'owner',
    title: 'Given to',
    width: 9,
    priority: 4,
    cell: device(
      (node) => (node.assignedTo === undefined ? '' : [styled('warning', node.assignedTo)]),
      (mdev) => (mdev.assignedTo === undefined ? '' : [styled('warning', mdev.assignedTo)]),
    ),
  },
];

function peek(row: Row): Line {
  if (row.kind === 'bus') return `root bus ${row.id}: ${counted(row.root.devices.length, 'function')} on it`;
  if (row.kind === 'mdev') {
    const { mdev } = row;
    return [
      `${mdev.type} on ${mdev.parent}`,
      mdev.resource === undefined ? '' : `, ${mdev.resource}`,
      mdev.assignedTo === undefined ? ', not assigned' : `, assigned to ${mdev.assignedTo}`,
      mdev.pasid === undefined ? '' : `, PASID ${mdev.pasid}`,
    ];
  }
  const { node } = row;
  const facts = [
    node.className,
    node.portType,
    node.secondaryBus === undefined
      ? ''
      : `buses ${hexDigits(node.secondaryBus, 2)}-${hexDigits(node.subordinateBus ?? node.secondaryBus, 2)}`,
    node.physicalFunction === undefined ? '' : `VF of ${node.physicalFunction}`,
    node.auxiliaryMode === 'unsupported' ? '' : `auxiliary mode ${node.auxiliaryMode}`,
    node.assignedTo === undefined ? '' : `assigned to ${node.assignedTo}`,
  ].filter(Boolean);
  return facts.join(' · ');
}

function detail(row: Row, context: ScreenContext): Section[] {
  if (row.kind === 'bus')
    return [
      {
        title: `Root bus ${row.id}`,
        lines: row.root.devices.map((node) => `${node.address}  ${node.name ?? node.className}`),
      },
    ];
  if (row.kind === 'mdev') return mdevSections(row.mdev, context.host);
  const { node } = row;
  return [
    { title: node.name ?? node.className, lines: identityLines(node) },
    ...auxiliarySection(node, context.host),
    ...groupSection(node.group, node.address, context.host),
    ...context.host.capabilities(node.address).map(capabilitySection),
  ];
}

function identityLines(node: DeviceNode): Line[] {
  const pair = (name: string, value: string | undefined): Line[] =>
    value === undefined || value === '' ? [] : [[styled('dim', name.padEnd(18)), value]];
  return [
    ...pair('Address', node.address),
    ...pair('Vendor:device', `${identity(node.vendorId, node.deviceId)} rev ${hexDigits(node.revision, 2)}`),
    ...pair('Class', `${node.className} (${hexDigits(node.classCode, 6)})`),
    ...pair('Port type', node.portType),
    ...pair(
      'Buses behind',
      node.secondaryBus === undefined
        ? undefined
        : `${hexDigits(node.secondaryBus, 2)} to ${hexDigits(node.subordinateBus ?? node.secondaryBus, 2)}`,
    ),
    ...pair('Driver', node.driver ?? 'none'),
    ...pair('IOMMU unit', node.unit ?? 'none'),
    ...pair('NUMA node', node.numaNode === undefined ? undefined : String(node.numaNode)),
    ...pair('Physical function', node.physicalFunction),
    ...pair(
      'Virtual functions',
      node.totalVirtualFunctions === 0
        ? undefined
        : `${node.virtualFunctions.length} of ${node.totalVirtualFunctions}`,
    ),
    ...pair('Assigned to', node.assignedTo),
  ];
}

function auxiliarySection(node: DeviceNode, host: Host): Section[] {
  if (node.isBridge) return [];
  const requirements = host.auxiliaryModeRequirements(node.address);
  if (requirements.length === 0) return [];
  return [{ title: `Auxiliary mode: ${node.auxiliaryMode}`, lines: requirementLines(requirements) }];
}

function groupSection(id: number | undefined, name: string, host: Host): Section[] {
  const group = id === undefined ? undefined : host.group(id);
  if (group === undefined) return [];
  const others = group.devices.filter((member) => member !== name);
  return [
    {
      title: `IOMMU group ${group.id}`,
      lines: [
        [styled('dim', 'Owner'.padEnd(18)), group.owner],
        [styled('dim', 'Shared with'.padEnd(18)), others.length === 0 ? 'nobody' : others.join(', ')],
        ...group.reasons
          .filter((reason) => reason.device === name)
          .map((reason): Line => [styled('dim', 'Because'.padEnd(18)), `${reason.rule}: ${reason.detail}`]),
      ],
    },
  ];
}

function mdevSections(mdev: MdevState, host: Host): Section[] {
  const pair = (name: string, value: string): Line => [styled('dim', name.padEnd(18)), value];
  return [
    {
      title: `Mediated device ${mdev.uuid}`,
      lines: [
        pair('Parent', mdev.parent),
        pair('Type', mdev.type),
        pair('Served by', mdev.resource ?? '-'),
        pair(
          'PASID',
          mdev.pasid === undefined ? 'none until it is attached' : `${mdev.pasid} (${hex(mdev.pasid)})`,
        ),
        pair('Assigned to', mdev.assignedTo ?? 'nobody'),
      ],
    },
    ...groupSection(mdev.group, mdev.uuid, host),
  ];
}

function capabilitySection(capability: CapabilityState): Section {
  const width = capability.extended ? 4 : 2;
  return {
    title: `[${hexDigits(capability.offset, 3)}] ${capability.name} (${capability.extended ? 'extended ' : ''}${hex(capability.id, width)}${capability.version === undefined ? '' : `, version ${capability.version}`})`,
    lines:
      capability.fields.length > 0
        ? fieldLines(capability.fields)
        : [byteRow(capability.bytes.subarray(0, 32))],
  };
}

export const topology = defineScreen<Row>({
  id: 'topology',
  title: 'Topology',
  shortTitle: 'Topo',
  about: 'the PCI tree: capabilities, drivers, groups, auxiliary mode, virtual functions, mediated devices',
  noun: 'row',
  columns: () => columns,
  rows,
  rowId: (row) => (row.kind === 'bus' ? row.id : row.kind === 'mdev' ? row.mdev.uuid : row.node.address),
  subject: (row) =>
    row.kind === 'device'
      ? { kind: 'device', name: row.node.address }
      : row.kind === 'mdev'
        ? { kind: 'mdev', name: row.mdev.uuid }
        : undefined,
  foldable: (row) => row.kind === 'bus' || (row.kind === 'device' && row.foldable),
  parentId: (row) => (row.kind === 'bus' ? undefined : row.kind === 'mdev' ? row.mdev.parent : row.parent),
  peek,
  detail,
  hex: (row, context) => (row.kind === 'device' ? configurationSpace(row.node, context.host) : undefined),
  empty: () => 'This host has no PCI functions. Bring another one in with: vtdeck host import',
});
