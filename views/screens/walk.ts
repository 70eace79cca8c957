/** An address translated step by step: each entry read, with address, raw bytes and fields. */
import type { WalkState, WalkStepState } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { fieldLines } from '../format/fields.ts';
import { type Line, styled } from '../format/line.ts';
import { hex, wordRow } from '../format/values.ts';
import { rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row =
  | { readonly kind: 'step'; readonly index: number; readonly step: WalkStepState; readonly changed: boolean }
  | { readonly kind: 'end'; readonly walk: WalkState };

/** The walk as it is, or with the chosen bit turned over. */
export function walkOf(context: ScreenContext): WalkState | undefined {
  const target = context.walk;
  if (target === undefined) return undefined;
  const { device, iova, access, pasid, flip } = target;
  return context.host.explainTranslation({
    device,
    iova,
    access,
    ...(pasid === undefined ? {} : { pasid }),
    ...(flip === undefined ? {} : { flips: [flip] }),
  });
}

function rows(context: ScreenContext): Row[] {
  let walk: WalkState | undefined;
  try {
    walk = walkOf(context);
  } catch {
    return []; // the device has gone: `empty` says so
  }
  if (walk === undefined) return [];
  const flip = context.walk?.flip;
  return [
    ...walk.steps.map(
      (step, index): Row => ({
        kind: 'step',
        index,
        step,
        changed:
          flip !== undefined &&
          flip.address >= step.address &&
          flip.address < step.address + BigInt(step.words.length * 4),
      }),
    ),
    { kind: 'end', walk },
  ];
}

function endText(walk: WalkState): Line {
  if (walk.ok) {
    return [
      styled('good', '✓ '),
      walk.physical === undefined ? 'passes' : `physical ${hex(walk.physical)}`,
      walk.page === undefined ? '' : `, ${walk.page} page`,
      walk.cached === 'iotlb' ? ', held by the IOTLB now' : '',
    ];
  }
  if (walk.fault === undefined) return [styled('bad', '✗ '), 'blocked'];
  return [
    styled('bad', '✗ fault '),
    `${hex(walk.fault.reason)}: ${walk.fault.meaning}`,
    walk.fault.recorded ? '' : ' (not recorded)',
  ];
}

const columns: readonly Column<Row>[] = [
  {
    id: 'step',
    title: 'Step',
    width: 4,
    align: 'right',
    priority: 1,
    cell: (row) => (row.kind === 'step' ? String(row.index + 1) : '='),
  },
  {
    id: 'structure',
    title: 'Entry',
    width: 30,
    grows: true,
    priority: 0,
    cell: (row) =>
      row.kind === 'end'
        ? endText(row.walk)
        : [row.step.structure, row.changed ? styled('warning', '  bit turned') : ''],
  },
  {
    id: 'address',
    title: 'Address',
    width: 16,
    priority: 1,
    cell: (row) => (row.kind === 'step' ? hex(row.step.address) : ''),
  },
  {
    id: 'raw',
    title: 'Raw (first 128 bits, low word first)',
    width: 36,
    priority: 5,
    cell: (row) => (row.kind === 'step' ? wordRow(row.step.words.subarray(0, 4)) : ''),
  },
];

/** Two 64-bit words a line, highest first. */
function rawLines(words: Uint32Array): Line[] {
  return Array.from({ length: Math.ceil(words.length / 4) }, (_, at) =>
    pairLine(at === 0 ? 'Raw' : '', wordRow(words.subarray(4 * at, 4 * at + 4)), 6),
  );
}

export const walk = defineScreen<Row>({
  id: 'walk',
  title: 'Walk',
  shortTitle: 'Walk',
  about:
    'one address through root, context, PASID and paging entries, each read from memory; with a bit turned over too',
  noun: 'step',
  detailAlways: true,
  columns: () => columns,
  rows: (context) => rowsOf(rows(context)),
  rowId: (row) => (row.kind === 'end' ? 'end' : String(row.index)),
  subject: (row) => (row.kind === 'step' ? { kind: 'step', name: row.step.structure } : undefined),
  peek: (row) =>
    row.kind === 'end' ? endText(row.walk) : `${row.step.structure} at ${hex(row.step.address)}`,
  detail(row, context): Section[] {
    if (row.kind === 'end') {
      const { walk: result } = row;
      return [
        {
          title: 'Outcome',
          lines: [
            endText(result),
            pairLine('Unit', result.unit ?? 'none in the way'),
            ...(result.fault === undefined
              ? []
              : [
                  pairLine('Reason', `${hex(result.fault.reason)} ${result.fault.meaning}`),
                  pairLine(
                    'Recorded',
                    result.fault.recorded
                      ? 'yes, in a fault record'
                      : 'no: fault processing is disabled in an entry',
                  ),
                ]),
          ],
        },
      ];
    }
    const { step } = row;
    if (context.raw) {
      return [
        {
          title: step.structure,
          lines: [
            pairLine('Address', hex(step.address)),
            ...Array.from({ length: Math.ceil(step.words.length / 2) }, (_, at) =>
              pairLine(`+${hex(at * 8, 2)}`, wordRow(step.words.subarray(2 * at, 2 * at + 2))),
            ),
          ],
        },
      ];
    }
    return [
      {
        title: `${step.structure} at ${hex(step.address)}`,
        lines: [...rawLines(step.words), ...fieldLines(step.fields)],
      },
    ];
  },
  banner(context) {
    const target = context.walk;
    if (target === undefined) return undefined;
    return [
      styled('title', target.device),
      ` ${target.access} at ${hex(target.iova)}`,
      target.pasid === undefined ? '' : `, PASID ${target.pasid}`,
      target.flip === undefined
        ? ''
        : styled(
            'warning',
            `  what if bit ${target.flip.bit} of the entry at ${hex(target.flip.address)} were turned over`,
          ),
    ];
  },
  empty: (context) =>
    context.walk === undefined
      ? 'Nothing to walk yet. t on a device or mediated device (or here) asks for an address.'
      : `${context.walk.device} is no longer there: t asks for another.`,
});
