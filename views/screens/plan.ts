/** What-if: devices picked for a machine, what they take, what is lost, what stands in the way; before and after. */
import type { DeviceNode, Requirement } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { type Line, styled } from '../format/line.ts';
import { counted } from '../format/values.ts';
import { rowsOf } from '../list/row-source.ts';
import { requirementLines } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

interface Row {
  readonly name: string;
  readonly what: string;
  readonly node: DeviceNode | undefined;
  readonly group: number | undefined;
  readonly owner: string | undefined;
  readonly picked: boolean;
}

function rows(context: ScreenContext): Row[] {
  const { host, picks } = context;
  const list: Row[] = host.mdevs().map((mdev) => ({
    name: mdev.uuid,
    what: `${mdev.type} on ${mdev.parent}`,
    node: undefined,
    group: mdev.group,
    owner: mdev.assignedTo,
    picked: picks.has(mdev.uuid),
  }));
  const visit = (node: DeviceNode): void => {
    if (!node.isBridge) {
      list.push({
        name: node.address,
        what: node.name ?? node.className,
        node,
        group: node.group,
        owner: node.assignedTo,
        picked: picks.has(node.address),
      });
    }
    node.children.forEach(visit);
  };
  for (const root of host.deviceTree()) root.devices.forEach(visit);
  return list;
}

const columns: readonly Column<Row>[] = [
  {
    id: 'pick',
    title: 'Take',
    width: 4,
    priority: 0,
    cell: (row) => (row.picked ? [styled('good', '[x]')] : '[ ]'),
    sortKey: (row) => (row.picked ? 0 : 1),
  },
  { id: 'name', title: 'Device', width: 14, grows: true, priority: 0, cell: (row) => row.name },
  {
    id: 'group',
    title: 'Grp',
    width: 4,
    align: 'right',
    priority: 1,
    cell: (row) => (row.group === undefined ? '-' : String(row.group)),
  },
  {
    id: 'driver',
    title: 'Driver',
    width: 10,
    priority: 2,
    cell: (row) => (row.node === undefined ? 'vfio_mdev' : (row.node.driver ?? '-')),
  },
  { id: 'owner', title: 'Given to', width: 9, priority: 3, cell: (row) => row.owner ?? '' },
  { id: 'what', title: 'What it is', width: 30, grows: true, priority: 5, cell: (row) => row.what },
];

/** What the picks, or without picks the row, come to. */
function detail(row: Row, context: ScreenContext): Section[] {
  const { host, picks } = context;
  const names = picks.size === 0 ? [row.name] : [...picks];
  const chosen = new Set(names);
  const groupIds = [
    ...new Set(
      names.map((name) => host.device(name)?.group ?? host.mdevs().find((mdev) => mdev.uuid === name)?.group),
    ),
  ].filter((id): id is number => id !== undefined);
  const members = groupIds.flatMap((id) =>
    (host.group(id)?.devices ?? []).map((name) => ({ name, node: host.device(name), id })),
  );
  const lost = members.filter(
    (member) => member.node !== undefined && !member.node.isBridge && !chosen.has(member.name),
  );
  const machine = context.planMachine ?? host.machineStates()[0]?.name;
  const blockers: Requirement[] =
    machine === undefined ? [] : names.flatMap((name) => host.assignmentBlockers(machine, name));
  const before = members.map(
    (member): Line =>
      `${member.name}  ${member.node?.driver ?? (member.node === undefined ? 'mdev' : 'no driver')}`,
  );
  const after = members.map((member): Line => {
    if (chosen.has(member.name)) return [member.name, styled('good', `  ${machine ?? 'the machine'}`)];
    if (member.node?.isBridge === true) return `${member.name}  ${member.node.driver ?? 'no driver'}`;
    return [member.name, styled('warning', '  usable by nobody else')];
  });
  return [
    {
      title:
        names.length === 1
          ? `If ${names[0]} went to ${machine ?? 'a virtual machine'}`
          : `If these ${names.length} went to ${machine ?? 'a virtual machine'}`,
      lines: [
        `takes ${counted(groupIds.length, 'group')}: ${groupIds.join(', ') || 'none'}`,
        lost.length === 0
          ? 'locks nothing else out'
          : [
              styled('warning', `locks out ${counted(lost.length, 'device')}: `),
              lost.map((member) => member.name).join(', '),
            ],
      ],
    },
    {
      title: 'What stands in the way',
      lines:
        machine === undefined
          ? ['n makes the virtual machine that it would go to']
          : requirementLines(blockers),
    },
    { title: 'Before                           After', lines: sideBySide(before, after) },
  ];
}

function sideBySide(left: readonly Line[], right: readonly Line[]): Line[] {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, at): Line => {
    const a = left[at] ?? '';
    const b = right[at] ?? '';
    const text =
      typeof a === 'string' ? a : a.map((part) => (typeof part === 'string' ? part : part.text)).join('');
    return [text.padEnd(32).slice(0, 32), ' ', ...(typeof b === 'string' ? [b] : b)];
  });
}

export const plan = defineScreen<Row>({
  id: 'plan',
  title: 'Plan',
  shortTitle: 'Plan',
  about: 'what-if: pick devices with Space, see what they take, what is lost, what blocks, before and after',
  noun: 'device',
  detailAlways: true,
  columns: () => columns,
  rows: (context) => rowsOf(rows(context)),
  rowId: (row) => row.name,
  subject: (row) => ({ kind: row.node === undefined ? 'mdev' : 'device', name: row.name }),
  peek: (row) => row.what,
  detail,
  empty: () => 'No device that could be given to a machine.',
});
