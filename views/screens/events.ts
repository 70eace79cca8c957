/** Faults and other events: what the kernel's handler read from the fault registers, explained. */
import type { ReportedEvent } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { fieldLines } from '../format/fields.ts';
import { styled, wrapText } from '../format/line.ts';
import { hex, hexDigits, wordRow } from '../format/values.ts';
import { rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

const columns: readonly Column<ReportedEvent>[] = [
  { id: 'sequence', title: 'No', width: 5, align: 'right', priority: 1, cell: (row) => String(row.sequence) },
  {
    id: 'kind',
    title: 'Kind',
    width: 7,
    priority: 2,
    cell: (row) => (row.kind === 'fault' ? [styled('bad', '! fault')] : 'kernel'),
  },
  { id: 'unit', title: 'Unit', width: 6, priority: 5, cell: (row) => row.fault?.unit ?? '' },
  {
    id: 'device',
    title: 'Device',
    width: 12,
    priority: 1,
    cell: (row) => (row.fault === undefined ? '' : (row.fault.device ?? hexDigits(row.fault.requesterId, 4))),
  },
  {
    id: 'pasid',
    title: 'PASID',
    width: 6,
    align: 'right',
    priority: 4,
    cell: (row) => (row.fault?.pasid === undefined ? '' : String(row.fault.pasid)),
  },
  { id: 'access', title: 'Access', width: 9, priority: 3, cell: (row) => row.fault?.access ?? '' },
  {
    id: 'address',
    title: 'Address',
    width: 14,
    priority: 1,
    cell: (row) => (row.fault === undefined ? '' : hex(row.fault.address)),
  },
  {
    id: 'reason',
    title: 'Code',
    width: 5,
    priority: 2,
    cell: (row) => (row.fault === undefined ? '' : hex(row.fault.reason, 2)),
  },
  {
    id: 'text',
    title: 'What happened',
    width: 20,
    grows: true,
    priority: 0,
    cell: (row) => row.fault?.meaning ?? row.text,
  },
];

/** The entry at which a walk of the same request ends now. */
function refusingEntry(row: ReportedEvent, context: ScreenContext): Section[] {
  const { fault } = row;
  if (fault?.device === undefined || fault.access === 'interrupt') return [];
  const walk = context.host.explainTranslation({
    device: fault.device,
    iova: fault.address,
    access: fault.access === 'write' ? 'write' : 'read',
    ...(fault.pasid === undefined ? {} : { pasid: fault.pasid }),
  });
  const last = walk.steps.at(-1);
  if (walk.ok || last === undefined) {
    return [
      {
        title: 'Which entry',
        lines: ['none: the same request would pass now, the tables have changed since'],
      },
    ];
  }
  return [
    {
      title: `Which entry: ${last.structure} at ${hex(last.address)}`,
      lines: [pairLine('Raw', wordRow(last.words.subarray(0, 4))), ...fieldLines(last.fields)],
    },
  ];
}

function detail(row: ReportedEvent, context: ScreenContext): Section[] {
  const { fault } = row;
  if (fault === undefined) return [{ title: `Event ${row.sequence}`, lines: wrapText(row.text, 76) }];
  return [
    {
      title: `Fault ${row.sequence}`,
      lines: [
        pairLine('Unit', fault.unit),
        pairLine(
          'Request of',
          `${fault.device ?? 'nobody known'} (requester id ${hexDigits(fault.requesterId, 4)})`,
        ),
        pairLine('PASID', fault.pasid === undefined ? 'none' : String(fault.pasid)),
        pairLine('Access', fault.access),
        pairLine('Address', hex(fault.address)),
        pairLine('Reason', `${hex(fault.reason)}: ${fault.meaning}`),
        pairLine('Kernel said', row.text),
      ],
    },
    {
      title: 'What to do',
      lines:
        fault.remedy === undefined
          ? ['t walks the tables for this address and shows the entry that refused.']
          : [
              ...wrapText(fault.remedy, 76),
              't walks the tables for this address and shows the entry that refused.',
            ],
    },
    ...refusingEntry(row, context),
  ];
}

export const events = defineScreen<ReportedEvent>({
  id: 'events',
  title: 'Faults & events',
  shortTitle: 'Fault',
  about:
    'what the kernel read from the fault registers: reason, which entry, what to do; follow, pause, filter',
  noun: 'event',
  follows: true,
  columns: () => columns,
  rows: (context) => {
    const all = context.host.events();
    const { pausedAt } = context;
    return rowsOf(pausedAt === undefined ? all : all.filter((event) => event.sequence <= pausedAt));
  },
  rowId: (row) => String(row.sequence),
  subject: (row) => ({ kind: 'event', name: String(row.sequence), device: row.fault?.device }),
  peek: (row) => row.text,
  detail,
  banner(context) {
    if (context.pausedAt === undefined) return undefined;
    const held = context.host.events().filter((event) => event.sequence > (context.pausedAt ?? 0)).length;
    return [styled('warning', 'paused'), held === 0 ? '' : `, ${held} newer held back`, ': p follows again'];
  },
  empty: () =>
    'No faults. d on an assigned device lets it do DMA; outside the memory of its guest it faults, and the fault is shown here.',
});
