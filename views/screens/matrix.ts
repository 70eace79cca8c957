/** Isolation: which device can reach whose memory, found by walking as hardware does. */
import type { ReachCell, Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { type Line, styled } from '../format/line.ts';
import { counted } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext } from './screen.ts';

interface Row {
  readonly device: string;
  readonly pasid: number | undefined;
  readonly cells: ReadonlyMap<string, ReachCell>;
}

function machineNames(context: ScreenContext): string[] {
  return context.host.machineStates().map((machine) => machine.name);
}

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const byDevice = new Map<
    string,
    { device: string; pasid: number | undefined; cells: Map<string, ReachCell> }
  >();
  for (const cell of yield* context.host.isolationMatrixInSteps()) {
    const id = `${cell.device} ${cell.pasid ?? ''}`;
    let row = byDevice.get(id);
    if (row === undefined) {
      row = { device: cell.device, pasid: cell.pasid, cells: new Map() };
      byDevice.set(id, row);
    }
    row.cells.set(cell.machine, cell);
  }
  return rowsOf([...byDevice.values()]);
}

function reach(cell: ReachCell | undefined): Line {
  if (cell === undefined || (cell.readablePages === 0 && cell.writablePages === 0))
    return [styled('dim', '·')];
  if (cell.writablePages > 0) return [styled('warning', `rw ${cell.writablePages}`)];
  return [styled('accent', `r ${cell.readablePages}`)];
}

export const matrix = defineScreen<Row>({
  id: 'matrix',
  title: 'Isolation',
  shortTitle: 'Iso',
  about:
    'every device against the memory of every machine: how many pages it can read (r) and write (rw) now',
  noun: 'device',
  columns: (context): readonly Column<Row>[] => [
    { id: 'device', title: 'Device', width: 36, priority: 0, cell: (row) => row.device },
    {
      id: 'pasid',
      title: 'PASID',
      width: 6,
      align: 'right',
      priority: 1,
      cell: (row) => (row.pasid === undefined ? '' : String(row.pasid)),
    },
    ...machineNames(context).map(
      (name, at): Column<Row> => ({
        id: `vm ${name}`,
        title: name,
        width: Math.max(10, Math.min(16, name.length)),
        priority: 2 + at,
        cell: (row) => reach(row.cells.get(name)),
      }),
    ),
  ],
  rows,
  rowId: (row) => `${row.device} ${row.pasid ?? ''}`,
  subject: (row) => ({ kind: row.device.length === 36 ? 'mdev' : 'device', name: row.device }),
  peek(row) {
    const reached = [...row.cells.values()].filter(
      (cell) => cell.readablePages > 0 || cell.writablePages > 0,
    );
    if (reached.length === 0) return `${row.device} reaches no machine's memory`;
    return `${row.device} reaches ${reached.map((cell) => `${cell.machine} (${counted(cell.writablePages, 'page')} to write)`).join(', ')}`;
  },
  detail: (row) => [
    {
      title: row.device,
      lines: [...row.cells.values()].map((cell) =>
        pairLine(
          cell.machine,
          `reads ${counted(cell.readablePages, 'page')}, writes ${counted(cell.writablePages, 'page')}`,
        ),
      ),
    },
  ],
  empty: () => 'No machine has memory yet, or no device can do DMA. n makes a virtual machine.',
});
