/** What-if: devices picked for a machine, what they take, what is lost, what stands in the way; before and after. */
import type { DeviceNode, Work } from '../../hw/index.ts';
import { makePlan, type Plan } from '../../src/plan/plan.ts';
import type { Column } from '../columns/column.ts';
import { type Line, plainOf, styled } from '../format/line.ts';
import { briefName, counted, size } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { hostView } from './host-view.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

/** Devices between two pauses. */
const STRIDE = 128;

interface Row {
  readonly name: string;
  readonly what: string;
  readonly node: DeviceNode | undefined;
  readonly group: number | undefined;
  readonly owner: string | undefined;
  readonly picked: boolean;
}

function* rows(context: ScreenContext): Work<RowSource<Row>> {
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
        what: node.name === undefined ? node.className : briefName(node.name),
        node,
        group: node.group,
        owner: node.assignedTo,
        picked: picks.has(node.address),
      });
    }
    node.children.forEach(visit);
  };
  for (const root of yield* host.deviceTreeInSteps()) {
    for (const [at, node] of root.devices.entries()) {
      visit(node);
      if (at % STRIDE === STRIDE - 1) yield { done: list.length, total: undefined };
    }
  }
  return rowsOf(list);
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
  { id: 'name', title: 'Device', width: 13, grows: 36, priority: 0, cell: (row) => row.name },
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
  { id: 'what', title: 'What it is', width: 16, grows: true, priority: 1, cell: (row) => row.what },
];

const PROPOSED_MEMORY = 512n << 20n;

/** What the picks, or without picks the row, come to. */
function* detail(row: Row, context: ScreenContext): Work<Section[]> {
  const { host, picks } = context;
  const names = picks.size === 0 ? [row.name] : [...picks];
  const machine = host.machineStates()[0];
  const { view } = yield* hostView(context);
  yield { done: 0, total: undefined };
  const plan = makePlan(view, {
    assign: names,
    machine: machine?.name ?? 'vm1',
    memoryBytes: Number(machine?.memoryBytes ?? PROPOSED_MEMORY),
    virtualIommu: false,
    acceptSiblings: [],
    roles: new Map(),
  });
  const what = names.length === 1 ? names[0] : `these ${names.length}`;
  return [
    {
      title: `If ${what} went to ${machine?.name ?? 'a virtual machine'}: ${plan.ok ? 'nothing is in the way' : counted(plan.blockers.length, 'thing is', 'things are')}${plan.ok ? '' : ' in the way'}`,
      lines: [
        pairLine('Groups taken', plan.groups.join(', ') || 'none'),
        pairLine('Locked memory', size(BigInt(plan.needs.lockedMemoryBytes))),
        pairLine('Locked out', plan.lockedOut.map((lost) => lost.device).join(', ') || 'nothing else'),
      ],
    },
    { title: 'What stands in the way', lines: blockerLines(plan) },
    { title: `${'Before'.padEnd(33)}After`, lines: sideBySide(names, plan, context) },
    {
      title: 'What is lost',
      lines: plan.lockedOut.map((lost): Line => [styled('warning', '! '), `${lost.device}: ${lost.why}`]),
    },
    { title: 'Commands on the host', lines: plan.commands },
    { title: 'Advice', lines: plan.advice },
  ].filter((section, at) => at < 3 || section.lines.length > 0);
}

function blockerLines(plan: Plan): Line[] {
  const lines: Line[] = [];
  for (const blocker of plan.blockers)
    lines.push(
      [styled('bad', '✗ '), `${blocker.rule}: ${blocker.detail}`],
      [styled('dim', `  ${blocker.remedy}`)],
    );
  for (const warning of plan.warnings)
    lines.push([styled('warning', '! '), `${warning.rule}: ${warning.detail}`]);
  return lines.length === 0 ? [[styled('good', '✓ '), 'nothing']] : lines;
}

/** Every member of the groups taken, with who can use it now and who could then. */
function sideBySide(names: readonly string[], plan: Plan, context: ScreenContext): Line[] {
  const { host } = context;
  const lost = new Set(plan.lockedOut.map((entry) => entry.device));
  const members = [...new Set([...names, ...plan.takes])];
  return members.map((name): Line => {
    const node = host.device(name);
    const mdev = node === undefined ? host.mdevs().find((candidate) => candidate.uuid === name) : undefined;
    const owner = node?.assignedTo ?? mdev?.assignedTo;
    const user =
      owner !== undefined ? `with ${owner}` : node === undefined ? 'free mdev' : (node.driver ?? 'no driver');
    const before = `${node === undefined ? `${name.slice(0, 8)}…` : name}  ${user}`;
    const after: Line = names.includes(name)
      ? [styled('good', 'the guest has it')]
      : lost.has(name)
        ? [styled('warning', 'usable by nobody')]
        : 'as before';
    return [
      before.padEnd(32).slice(0, 32),
      ' ',
      plainOf(after) === '' ? '' : '→ ',
      ...(typeof after === 'string' ? [after] : after),
    ];
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
  rows,
  rowId: (row) => row.name,
  subject: (row) => ({ kind: row.node === undefined ? 'mdev' : 'device', name: row.name }),
  peek: (row) => `${row.what}${row.owner === undefined ? '' : `, now with ${row.owner}`}`,
  detail,
  empty: () => 'No device that could be given to a machine.',
});
