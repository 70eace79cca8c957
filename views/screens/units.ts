/** Remapping units: registers, invalidation queue, caches, scope. */
import type { DescriptorState, RegisterState, UnitState } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { fieldLines } from '../format/fields.ts';
import { type Line, styled } from '../format/line.ts';
import { counted, hex, hexDigits, wordRow } from '../format/values.ts';
import { rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row = {
  readonly unit: UnitState;
  readonly id: string;
  readonly parent: string | undefined;
  readonly depth: number;
} & (
  | {
      readonly kind: 'unit' | 'part';
      readonly title: string;
      readonly value: string;
      readonly foldable: boolean;
      readonly folded: boolean;
    }
  | { readonly kind: 'register'; readonly register: RegisterState }
  | { readonly kind: 'descriptor'; readonly descriptor: DescriptorState; readonly place: string }
  | { readonly kind: 'text'; readonly text: string }
);

function rows(context: ScreenContext): Row[] {
  const list: Row[] = [];
  const { folded } = context;
  for (const unit of context.host.unitStates()) {
    const unitFolded = folded.has(unit.name);
    list.push({
      kind: 'unit',
      unit,
      id: unit.name,
      parent: undefined,
      depth: 0,
      title: unit.name,
      value: `${unit.translationEnabled ? 'translating' : 'off'}, ${unit.scalableMode ? 'scalable mode' : 'legacy mode'}`,
      foldable: true,
      folded: unitFolded,
    });
    if (unitFolded) continue;
    const part = (name: string, value: string, below: (parent: string) => Row[]): void => {
      const id = `${unit.name} ${name}`;
      const isFolded = folded.has(id);
      const inner = isFolded ? [] : below(id);
      list.push({
        kind: 'part',
        unit,
        id,
        parent: unit.name,
        depth: 1,
        title: name,
        value,
        foldable: true,
        folded: isFolded,
      });
      list.push(...inner);
    };
    const texts = (lines: readonly string[]) => (parent: string) =>
      lines.map((text, at): Row => ({ kind: 'text', unit, id: `${parent} ${at}`, parent, depth: 2, text }));
    part('registers', counted(unit.registers.length, 'register'), (parent) =>
      unit.registers.map(
        (register): Row => ({
          kind: 'register',
          unit,
          id: `${parent} ${register.name}`,
          parent,
          depth: 2,
          register,
        }),
      ),
    );
    const { queue } = unit;
    if (queue !== undefined) {
      part(
        'invalidation queue',
        `${queue.enabled ? 'on' : 'off'}, head ${queue.head}, tail ${queue.tail}, ${queue.entries} entries`,
        (parent) =>
          queue.descriptors.map(
            (descriptor): Row => ({
              kind: 'descriptor',
              unit,
              id: `${parent} ${descriptor.index}`,
              parent,
              depth: 2,
              descriptor,
              place: [
                descriptor.index === queue.head ? 'head' : '',
                descriptor.index === queue.tail ? 'tail' : '',
              ]
                .filter(Boolean)
                .join(' '),
            }),
          ),
      );
    }
    for (const cache of unit.caches) {
      part(cache.name, counted(cache.entries.length, 'entry', 'entries'), texts(cache.entries));
    }
    part('fault records', counted(unit.faults.length, 'record'), texts(unit.faults));
    part('DMAR structures', counted(unit.scope.length, 'line'), texts(unit.scope));
  }
  return list;
}

const columns: readonly Column<Row>[] = [
  {
    id: 'tree',
    title: 'Unit, register, descriptor',
    width: 34,
    grows: true,
    priority: 0,
    cell: (row) => {
      const indent = '  '.repeat(row.depth);
      switch (row.kind) {
        case 'unit':
        case 'part':
          return [
            indent,
            row.foldable ? (row.folded ? '▸ ' : '▾ ') : '  ',
            styled(row.kind === 'unit' ? 'title' : 'strong', row.title),
          ];
        case 'register':
          return `${indent}  ${row.register.name}`;
        case 'descriptor':
          return `${indent}  ${String(row.descriptor.index).padStart(4)} ${row.descriptor.kind}`;
        case 'text':
          return `${indent}  ${row.text}`;
      }
    },
  },
  {
    id: 'offset',
    title: 'Offset',
    width: 12,
    priority: 2,
    cell: (row) =>
      row.kind === 'register'
        ? hex(row.register.offset, 3)
        : row.kind === 'descriptor'
          ? hex(row.descriptor.address)
          : '',
  },
  {
    id: 'value',
    title: 'Value',
    width: 40,
    priority: 0,
    cell: (row) =>
      row.kind === 'register'
        ? hex(row.register.value, row.register.widthBits / 4)
        : row.kind === 'descriptor'
          ? [row.descriptor.text, row.place === '' ? '' : styled('key', `  <- ${row.place}`)]
          : row.kind === 'text'
            ? ''
            : row.value,
  },
];

function detail(row: Row): Section[] {
  if (row.kind === 'register') {
    const { register } = row;
    return [
      {
        title: `${register.name} of ${row.unit.name}`,
        lines: [
          pairLine('Offset', hex(register.offset, 3)),
          pairLine('Width', `${register.widthBits} bits`),
          pairLine('Value', hex(register.value, register.widthBits / 4)),
        ],
      },
      { title: 'Fields', lines: fieldLines(register.fields) },
    ];
  }
  if (row.kind === 'descriptor') {
    const { descriptor } = row;
    return [
      {
        title: `Descriptor ${descriptor.index}: ${descriptor.kind}`,
        lines: [
          pairLine('At', hex(descriptor.address)),
          pairLine('Says', descriptor.text),
          pairLine('Raw', wordRow(descriptor.words)),
        ],
      },
      { title: 'Fields', lines: fieldLines(descriptor.fields) },
    ];
  }
  const { unit } = row;
  const lines = (texts: readonly string[], none: string): Line[] =>
    texts.length === 0 ? [none] : [...texts];
  return [
    {
      title: unit.name,
      lines: [
        pairLine('Registers at', hex(unit.registerBase)),
        pairLine('Segment', hexDigits(unit.segment, 4)),
        pairLine('Translation', unit.translationEnabled ? 'on' : 'off'),
        pairLine('Mode', unit.scalableMode ? 'scalable (PASID tables)' : 'legacy'),
        pairLine('Interrupts', unit.interruptRemapping ? 'remapped' : 'not remapped'),
      ],
    },
    { title: 'Device scope (DMAR)', lines: lines(unit.scope, 'none') },
    { title: 'Fault records now in the registers', lines: lines(unit.faults, 'none') },
    ...unit.caches.map((cache) => ({ title: cache.name, lines: lines(cache.entries, 'empty') })),
  ];
}

export const units = defineScreen<Row>({
  id: 'units',
  title: 'IOMMU units',
  shortTitle: 'Unit',
  about: 'registers with decoded fields, invalidation queue with head and tail, caches, DMAR structures',
  noun: 'row',
  columns: () => columns,
  rows: (context) => rowsOf(rows(context)),
  rowId: (row) => row.id,
  subject: (row) => ({ kind: 'unit', name: row.unit.name }),
  foldable: (row) => (row.kind === 'unit' || row.kind === 'part') && row.foldable,
  parentId: (row) => row.parent,
  peek(row) {
    if (row.kind === 'register') {
      const set = row.register.fields.filter((field) => field.value !== 0n);
      return set.length === 0
        ? `${row.register.name} is zero`
        : set.map((field) => `${field.name}=${field.text}`).join(' ');
    }
    if (row.kind === 'descriptor') return row.descriptor.text;
    if (row.kind === 'text') return row.text;
    return `${row.unit.name} at ${hex(row.unit.registerBase)}: ${row.title}, ${row.value}`;
  },
  detail,
  empty: () => 'No remapping unit: this host has no DMAR table, so DMA goes straight to memory.',
});
