/** Mediated devices: parents, their types with instances left, what is made and what is only defined. */
import type { MdevDefinitionState, MdevParentState, MdevState, MdevTypeState, Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { type Line, styled } from '../format/line.ts';
import { counted, hex } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { pairLine, requirementLines } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row =
  | { readonly kind: 'parent'; readonly parent: MdevParentState; readonly folded: boolean }
  | {
      readonly kind: 'type';
      readonly parent: MdevParentState;
      readonly type: MdevTypeState;
      readonly folded: boolean;
    }
  | { readonly kind: 'mdev'; readonly mdev: MdevState }
  | { readonly kind: 'definition'; readonly definition: MdevDefinitionState };

/** Parents between two pauses. */
const STRIDE = 64;

const typeId = (parent: MdevParentState, type: MdevTypeState): string => `${parent.device} ${type.id}`;

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const { host, folded } = context;
  const byUuid = new Map(host.mdevs().map((mdev) => [mdev.uuid, mdev]));
  const definitions = host.mdevDefinitions().filter((definition) => !definition.active);
  const list: Row[] = [];
  for (const [at, parent] of host.mdevParents().entries()) {
    if (at % STRIDE === STRIDE - 1) yield { done: list.length, total: undefined };
    const parentFolded = folded.has(parent.device);
    list.push({ kind: 'parent', parent, folded: parentFolded });
    if (parentFolded) continue;
    for (const type of parent.types) {
      const typeFolded = folded.has(typeId(parent, type));
      list.push({ kind: 'type', parent, type, folded: typeFolded });
      if (typeFolded) continue;
      for (const uuid of type.devices) {
        const mdev = byUuid.get(uuid);
        if (mdev !== undefined) list.push({ kind: 'mdev', mdev });
      }
      for (const definition of definitions) {
        if (definition.parent === parent.device && definition.type === type.id)
          list.push({ kind: 'definition', definition });
      }
    }
  }
  return rowsOf(list);
}

function treeCell(row: Row): Line {
  if (row.kind === 'parent') return [row.folded ? '▸ ' : '▾ ', styled('title', row.parent.device)];
  if (row.kind === 'type')
    return `  ${row.type.devices.length === 0 ? '  ' : row.folded ? '▸ ' : '▾ '}${row.type.id}`;
  if (row.kind === 'mdev') return ['      ', styled('accent', row.mdev.uuid)];
  return `      ${row.definition.uuid}`;
}

const columns: readonly Column<Row>[] = [
  { id: 'tree', title: 'Parent, type, device', width: 43, grows: true, priority: 0, cell: treeCell },
  {
    id: 'state',
    title: 'State',
    width: 9,
    priority: 1,
    cell: (row) =>
      row.kind === 'mdev'
        ? row.mdev.assignedTo === undefined
          ? 'free'
          : [styled('good', 'in use')]
        : row.kind === 'definition'
          ? [styled('dim', 'defined')]
          : row.kind === 'parent'
            ? `aux ${row.parent.auxiliaryMode === 'unsupported' ? '-' : row.parent.auxiliaryMode}`
            : '',
  },
  {
    id: 'left',
    title: 'Left',
    width: 5,
    align: 'right',
    priority: 1,
    cell: (row) =>
      row.kind !== 'type'
        ? ''
        : row.type.availableInstances === 0
          ? [styled('warning', '0')]
          : String(row.type.availableInstances),
  },
  {
    id: 'pasid',
    title: 'PASID',
    width: 6,
    align: 'right',
    priority: 2,
    cell: (row) => (row.kind === 'mdev' && row.mdev.pasid !== undefined ? String(row.mdev.pasid) : ''),
  },
  {
    id: 'owner',
    title: 'Given to',
    width: 10,
    priority: 1,
    cell: (row) => (row.kind === 'mdev' ? (row.mdev.assignedTo ?? '') : ''),
  },
  {
    id: 'what',
    title: 'What it is',
    width: 40,
    priority: 6,
    cell: (row) =>
      row.kind === 'parent'
        ? `driver ${row.parent.driver}, isolation by ${row.parent.isolation}`
        : row.kind === 'type'
          ? row.type.description.replace(/\s+/g, ' ')
          : row.kind === 'mdev'
            ? (row.mdev.resource ?? '')
            : row.definition.autostart
              ? 'starts with its parent'
              : 'started by hand',
  },
];

const ISOLATION: Readonly<Record<MdevParentState['isolation'], string>> = {
  pasid: 'each mdev has its own PASID: the IOMMU keeps them apart',
  requester: "through the parent's requester id: one owner at a time",
  software: 'the parent driver pins pages and checks addresses itself',
};

function detail(row: Row, context: ScreenContext): Section[] {
  if (row.kind === 'parent') {
    const { parent } = row;
    return [
      {
        title: `Parent ${parent.device}`,
        lines: [
          pairLine('Driver', parent.driver),
          pairLine('Isolation', ISOLATION[parent.isolation]),
          pairLine('Auxiliary mode', parent.auxiliaryMode),
          pairLine('Types', String(parent.types.length)),
        ],
      },
      ...(context.host.device(parent.device) === undefined
        ? []
        : [
            {
              title: 'What auxiliary mode takes',
              lines: requirementLines(context.host.auxiliaryModeRequirements(parent.device)),
            },
          ]),
    ];
  }
  if (row.kind === 'type') {
    const { type } = row;
    return [
      {
        title: `Type ${type.id}`,
        lines: [
          pairLine('Name', type.name),
          pairLine('Device API', type.deviceApi),
          pairLine('Instances left', String(type.availableInstances)),
          pairLine('Made', String(type.devices.length)),
          ...type.description.split('\n').map((line, at) => pairLine(at === 0 ? 'Description' : '', line)),
        ],
      },
    ];
  }
  if (row.kind === 'definition') {
    const { definition } = row;
    return [
      {
        title: `Definition ${definition.uuid}`,
        lines: [
          pairLine('Parent', definition.parent),
          pairLine('Type', definition.type),
          pairLine('Starts', definition.autostart ? 'whenever its parent appears' : 'by hand'),
          ...definition.attributes.map(([file, value], at) =>
            pairLine(at === 0 ? 'Then writes' : '', `${value} to ${file}`),
          ),
        ],
      },
    ];
  }
  const { mdev } = row;
  return [
    {
      title: `Mediated device ${mdev.uuid}`,
      lines: [
        pairLine('Parent', mdev.parent),
        pairLine('Type', mdev.type),
        pairLine('Served by', mdev.resource ?? '-'),
        pairLine('IOMMU group', mdev.group === undefined ? 'none' : String(mdev.group)),
        pairLine(
          'PASID',
          mdev.pasid === undefined ? 'none until it is attached' : `${mdev.pasid} (${hex(mdev.pasid)})`,
        ),
        pairLine('Assigned to', mdev.assignedTo ?? 'nobody'),
      ],
    },
  ];
}

export const mdevs = defineScreen<Row>({
  id: 'mdevs',
  title: 'Mdevs',
  shortTitle: 'Mdev',
  about: 'parents, types with instances left, mediated devices made and defined, their PASIDs and owners',
  noun: 'row',
  columns: () => columns,
  rows,
  rowId: (row) =>
    row.kind === 'parent'
      ? row.parent.device
      : row.kind === 'type'
        ? typeId(row.parent, row.type)
        : row.kind === 'mdev'
          ? row.mdev.uuid
          : `defined ${row.definition.uuid}`,
  subject: (row) =>
    row.kind === 'parent'
      ? { kind: 'device', name: row.parent.device }
      : row.kind === 'type'
        ? { kind: 'mdev type', name: row.type.id, parent: row.parent.device, type: row.type.id }
        : row.kind === 'mdev'
          ? { kind: 'mdev', name: row.mdev.uuid }
          : { kind: 'definition', name: row.definition.uuid },
  foldable: (row) => row.kind === 'parent' || (row.kind === 'type' && row.type.devices.length > 0),
  parentId: (row) =>
    row.kind === 'type'
      ? row.parent.device
      : row.kind === 'mdev'
        ? `${row.mdev.parent} ${row.mdev.type}`
        : row.kind === 'definition'
          ? `${row.definition.parent} ${row.definition.type}`
          : undefined,
  peek(row) {
    if (row.kind === 'parent')
      return `${row.parent.device} offers ${counted(row.parent.types.length, 'type')}: ${ISOLATION[row.parent.isolation]}`;
    if (row.kind === 'type')
      return `${row.type.name}: ${counted(row.type.availableInstances, 'instance')} left, ${row.type.devices.length} made`;
    if (row.kind === 'definition') return 'defined, not made: it outlives a boot';
    return `${row.mdev.resource ?? row.mdev.type}${row.mdev.assignedTo === undefined ? ', not assigned' : `, assigned to ${row.mdev.assignedTo}`}`;
  },
  detail,
  empty: () =>
    'No device of this host offers mediated devices. A parent appears when a driver that makes them is bound (x on a capable device switches auxiliary mode on).',
});
