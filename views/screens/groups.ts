/** IOMMU groups: members, reasons, and whether one could be given away. */
import { type DeviceNode, type GroupState, type Host, mapInSteps, type Work } from '../../hw/index.ts';
import type { Roles } from '../../src/plan/roles.ts';
import { leavesGroupViable } from '../../src/plan/viability.ts';
import type { Column } from '../columns/column.ts';
import { type Line, styled } from '../format/line.ts';
import { counted, hex } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { hostView } from './host-view.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

interface Row {
  readonly group: GroupState;
  readonly members: readonly DeviceNode[];
  /** Members whose driver the host would lose, or that keep the group from being given away. */
  readonly hostDrivers: readonly string[];
}

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const { profile } = context.host;
  const groups = yield* context.host.groupsInSteps();
  const made = yield* mapInSteps(groups, (group): Row => {
    const members = group.devices
      .map((name) => context.host.device(name))
      .filter((node): node is DeviceNode => node !== undefined);
    return {
      group,
      members,
      hostDrivers: members
        .filter((node) => !leavesGroupViable(node, profile))
        .map((node) => `${node.address} (${node.driver})`),
    };
  });
  return rowsOf(made);
}

const columns: readonly Column<Row>[] = [
  { id: 'id', title: 'Group', width: 5, align: 'right', priority: 0, cell: (row) => String(row.group.id) },
  {
    id: 'count',
    title: 'Members',
    width: 8,
    align: 'right',
    priority: 1,
    cell: (row) => String(row.group.devices.length),
  },
  {
    id: 'viable',
    title: 'Viable',
    width: 7,
    priority: 1,
    cell: (row) =>
      row.hostDrivers.length === 0
        ? [styled('good', 'yes')]
        : [styled('warning', `no (${row.hostDrivers.length})`)],
  },
  { id: 'owner', title: 'Owner', width: 12, priority: 2, cell: (row) => row.group.owner },
  { id: 'type', title: 'Domain', width: 9, priority: 4, cell: (row) => row.group.type ?? '-' },
  {
    id: 'devices',
    title: 'Devices',
    width: 26,
    grows: true,
    priority: 0,
    cell: (row) => row.group.devices.join(' '),
  },
  {
    id: 'why',
    title: 'Why together',
    width: 40,
    priority: 9,
    cell: (row) => [...new Set(row.group.reasons.map((reason) => reason.rule))].join(', '),
  },
];

function memberLines(row: Row, host: Host, roles: Roles): Line[] {
  return row.group.devices.map((name) => {
    const node = host.device(name);
    if (node === undefined) return name;
    const known = roles.of(name);
    const kind = node.isBridge ? node.portType : node.className;
    const role =
      known === undefined
        ? kind
        : `${kind}, ${known.certainty === 'possible' ? 'perhaps ' : ''}the host's ${known.role}`;
    return [
      `${node.address}  `,
      (node.driver ?? 'no driver').padEnd(12),
      styled('dim', ` ${role}`),
      leavesGroupViable(node, host.profile)
        ? ''
        : styled('warning', '  keeps the group from being given away'),
    ];
  });
}

/** Who has the group, since which act, what that locks out, what would free it. */
function ownershipLines(id: number, host: Host): Line[] {
  const report = host.ownership(id);
  if (report === undefined) return [];
  const since = report.since ?? report.domain?.since;
  const act = since === undefined || since.number === 0 ? 'boot' : `act ${since.number}: ${since.text}`;
  return [
    pairLine('Use', report.owner === undefined ? report.use : `${report.use}, by ${report.owner}`),
    pairLine('Since', act),
    pairLine(
      'A claim now',
      report.claimWouldGive === '0' ? 'would succeed' : `would fail with ${report.claimWouldGive}`,
    ),
    ...report.pasids.map(({ pasid, domain, since: from }) =>
      pairLine(`PASID ${pasid}`, `${domain}, since act ${from.number}: ${from.text}`),
    ),
    ...report.lockedOut.map(({ device, what, errno }) =>
      pairLine('Locked out', `${device}: ${what} (${errno})`),
    ),
    ...report.freedBy.map((step) => pairLine('To free it', step)),
    ...report.remarks.map((remark): Line => [styled('dim', remark)]),
  ];
}

function* detail(row: Row, context: ScreenContext): Work<Section[]> {
  const { roles } = yield* hostView(context);
  const { group } = row;
  const endpoints = row.members.filter((node) => !node.isBridge);
  return [
    {
      title: `Group ${group.id}`,
      lines: [
        pairLine('Owner', group.owner),
        pairLine('Default domain', group.type ?? 'none'),
        pairLine('Domain now', group.domain ?? 'none'),
        pairLine(
          'Viable',
          row.hostDrivers.length === 0
            ? 'yes: no member has a driver of the host'
            : `no: ${row.hostDrivers.join(', ')}`,
        ),
      ],
    },
    { title: 'Who has it', lines: ownershipLines(group.id, context.host) },
    { title: 'Members', lines: memberLines(row, context.host, roles) },
    {
      title: 'Why they are together',
      lines:
        group.reasons.length === 0
          ? ['nothing ties it to others: it stands alone']
          : group.reasons.map(
              (reason): Line => [
                `${reason.device}${reason.with === undefined ? '' : ` with ${reason.with}`}: `,
                styled('accent', reason.rule),
                `: ${reason.detail}`,
              ],
            ),
    },
    {
      title: 'What an assignment would lock out',
      lines:
        endpoints.length < 2
          ? ['nothing else: the device is alone in its group']
          : endpoints.map(
              (node) =>
                `${node.address}  ${node.name ?? node.className}${node.driver === undefined ? '' : ` (now used by ${node.driver})`}`,
            ),
    },
    {
      title: 'Reserved regions',
      lines: group.reserved.map(
        (region) =>
          `${hex(region.start)} to ${hex(region.end)}  ${region.type}${region.because === undefined ? '' : `, ${region.because}`}`,
      ),
    },
  ];
}

export const groups = defineScreen<Row>({
  id: 'groups',
  title: 'Groups',
  shortTitle: 'Grp',
  about: 'IOMMU groups: members, the reason for each, what an assignment would lock out',
  noun: 'group',
  columns: () => columns,
  rows,
  rowId: (row) => String(row.group.id),
  subject: (row) => ({ kind: 'group', name: `group ${row.group.id}`, id: row.group.id }),
  peek: (row) =>
    row.hostDrivers.length === 0
      ? `group ${row.group.id}: ${counted(row.members.length, 'device')}, can be given away; owner ${row.group.owner}`
      : `group ${row.group.id} can't be given away while ${row.hostDrivers.join(', ')} ${row.hostDrivers.length === 1 ? 'is' : 'are'} in use`,
  detail,
  empty: (context) =>
    context.host.unitStates().length === 0
      ? 'No groups: this host has no IOMMU (no DMAR table), so no device can be isolated.'
      : 'No device of this host is in a group.',
});
