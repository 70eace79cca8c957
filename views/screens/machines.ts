/** Virtual machines and other owners in user space: memory, devices, what is locked. */
import type { Host, MachineState } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { type Line, styled } from '../format/line.ts';
import { counted, hex, size } from '../format/values.ts';
import { rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

const columns: readonly Column<MachineState>[] = [
  { id: 'name', title: 'Name', width: 16, grows: true, priority: 0, cell: (row) => row.name },
  { id: 'kind', title: 'Kind', width: 15, priority: 5, cell: (row) => row.kind },
  {
    id: 'state',
    title: 'State',
    width: 8,
    priority: 1,
    cell: (row) => (row.state === 'running' ? [styled('good', 'running')] : [styled('dim', 'stopped')]),
  },
  {
    id: 'memory',
    title: 'Memory',
    width: 9,
    align: 'right',
    priority: 1,
    cell: (row) => size(row.memoryBytes),
    sortKey: (row) => Number(row.memoryBytes),
  },
  {
    id: 'devices',
    title: 'Devices',
    width: 7,
    align: 'right',
    priority: 2,
    cell: (row) => String(row.devices.length),
  },
  {
    id: 'locked',
    title: 'Locked',
    width: 9,
    align: 'right',
    priority: 3,
    cell: (row) => size(row.lockedBytes),
    sortKey: (row) => Number(row.lockedBytes),
  },
  {
    id: 'mappings',
    title: 'Mappings',
    width: 8,
    align: 'right',
    priority: 4,
    cell: (row) => String(row.mappings.length),
  },
  {
    id: 'dirty',
    title: 'Dirty log',
    width: 9,
    priority: 6,
    cell: (row) => (row.dirtyTracking ? 'on' : 'off'),
  },
  {
    id: 'which',
    title: 'Which devices',
    width: 45,
    priority: 8,
    cell: (row) => row.devices.map((device) => device.device).join(' '),
  },
];

/** How each function can be reset, and what a reset of its bus would hit besides. */
function resetLines(row: MachineState, host: Host): Line[] {
  return row.devices
    .filter(({ kind }) => kind === 'pci')
    .flatMap(({ device }): Line[] => {
      const { methods, busReset } = host.resetSet(device);
      const others = busReset.filter((hit) => hit.device !== device);
      const foreign = others.filter((hit) => hit.assignedTo !== row.name);
      return [
        [device, styled('dim', `  alone: ${methods.length === 0 ? 'no way' : methods.join(', ')}`)],
        busReset.length === 0
          ? styledLine('  bus: sits on a root bus')
          : others.length === 0
            ? styledLine('  bus: hits nothing else')
            : [
                styled('dim', `  bus: hits ${others.map((hit) => hit.device).join(', ')}`),
                foreign.length === 0
                  ? ''
                  : styled('warning', `; refused, ${foreign.length} of them not ${row.name}'s`),
              ],
      ];
    });
}

const styledLine = (text: string): Line => [styled('dim', text)];

function detail(row: MachineState, context: ScreenContext): Section[] {
  const resets = resetLines(row, context.host);
  return [
    {
      title: `${row.kind} ${row.name}`,
      lines: [
        pairLine('State', row.state),
        pairLine('Memory', size(row.memoryBytes)),
        pairLine(
          'Locked for DMA',
          `${size(row.lockedBytes)}${row.lockLimitBytes === undefined ? ', no limit' : ` of ${size(row.lockLimitBytes)} allowed`}`,
        ),
        pairLine('Dirty tracking', row.dirtyTracking ? 'on' : 'off'),
        ...(row.dirtyRounds.length === 0
          ? []
          : [pairLine('Dirty pages', `${row.dirtyRounds.join(', ')} (a number per round)`)]),
      ],
    },
    {
      title: counted(row.devices.length, 'device'),
      lines: row.devices.map(
        (device): Line => [
          device.device,
          styled('dim', `  ${device.kind}, group ${device.group}`),
          device.pasid === undefined ? '' : `, PASID ${device.pasid}`,
        ],
      ),
    },
    ...(resets.length === 0 ? [] : [{ title: 'Resets', lines: resets }]),
    {
      title: 'Memory map (guest physical)',
      lines: row.slots.map(
        (slot) =>
          `${hex(slot.guestAddress, 9)} to ${hex(slot.guestAddress + slot.lengthBytes - 1n, 9)}  ${size(slot.lengthBytes).padStart(9)}  slot ${slot.slot} ${slot.name}`,
      ),
    },
    {
      title: counted(row.mappings.length, 'DMA mapping'),
      lines: row.mappings.map(
        (mapping): Line => [
          `${hex(mapping.iova, 9)} to ${hex(mapping.iova + mapping.lengthBytes - 1n, 9)}  ${size(mapping.lengthBytes).padStart(9)}`,
          styled(
            'dim',
            `  ${mapping.read ? 'r' : '-'}${mapping.write ? 'w' : '-'}  from ${hex(mapping.userAddress)}`,
          ),
        ],
      ),
    },
  ];
}

export const machines = defineScreen<MachineState>({
  id: 'machines',
  title: 'VMs',
  shortTitle: 'VM',
  about: 'virtual machines: memory map, devices, locked memory; start, stop, hot-plug',
  noun: 'machine',
  columns: () => columns,
  rows: (context) => rowsOf(context.host.machineStates()),
  rowId: (row) => row.name,
  subject: (row) => ({ kind: 'machine', name: row.name }),
  peek: (row) =>
    `${row.name} is ${row.state}, ${size(row.memoryBytes)} of memory, ${row.devices.length === 0 ? 'no devices' : row.devices.map((device) => device.device).join(', ')}`,
  detail,
  empty: () => 'No virtual machine yet. n makes one; a on a device or mediated device assigns it.',
});
