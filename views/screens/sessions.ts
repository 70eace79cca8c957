/** Sessions and demos: what there is, what this one went through. */

import type { Work } from '../../hw/index.ts';
import type { JournalEntry } from '../../src/workspace.ts';
import type { Column } from '../columns/column.ts';
import { styled } from '../format/line.ts';
import { counted } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import type { ShelfEntry } from '../options.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row =
  | { readonly kind: 'entry'; readonly entry: ShelfEntry; readonly current: boolean }
  | { readonly kind: 'heading'; readonly acts: number; readonly folded: boolean }
  | { readonly kind: 'act'; readonly act: JournalEntry; readonly done: boolean };

const JOURNAL = 'journal';

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const { workspace, shelf } = context;
  const entries = shelf === undefined ? [] : yield* shelf.listing();
  const list: Row[] = entries.map((entry) => ({
    kind: 'entry',
    entry,
    current: entry.kind === 'session' && entry.name === workspace.sessionName,
  }));
  const folded = context.folded.has(JOURNAL);
  list.push({ kind: 'heading', acts: workspace.journal.length, folded });
  if (!folded) {
    for (const act of workspace.journal) list.push({ kind: 'act', act, done: true });
    for (const act of workspace.redoable) list.push({ kind: 'act', act, done: false });
  }
  return rowsOf(list);
}

const argumentText = (act: JournalEntry): string =>
  Object.entries(act.args)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(',') : String(value)}`)
    .join(' ');

const columns: readonly Column<Row>[] = [
  {
    id: 'name',
    title: 'Session, act',
    width: 26,
    priority: 0,
    cell: (row) =>
      row.kind === 'entry'
        ? [row.current ? styled('good', '● ') : '  ', row.entry.name]
        : row.kind === 'heading'
          ? [row.folded ? '▸ ' : '▾ ', styled('title', 'Journal of this session')]
          : [
              '  ',
              String(row.act.id).padStart(4),
              ' ',
              row.done ? row.act.action : styled('dim', row.act.action),
            ],
  },
  {
    id: 'kind',
    title: 'Kind',
    width: 8,
    priority: 1,
    cell: (row) =>
      row.kind === 'entry'
        ? row.current
          ? 'open now'
          : row.entry.kind
        : row.kind === 'act'
          ? row.done
            ? 'done'
            : 'undone'
          : '',
  },
  {
    id: 'acts',
    title: 'Acts',
    width: 6,
    align: 'right',
    priority: 2,
    cell: (row) =>
      row.kind === 'entry'
        ? row.entry.acts === undefined
          ? ''
          : String(row.entry.acts)
        : row.kind === 'heading'
          ? String(row.acts)
          : '',
  },
  {
    id: 'host',
    title: 'Host',
    width: 14,
    priority: 3,
    cell: (row) => (row.kind === 'entry' ? row.entry.host : ''),
  },
  {
    id: 'changed',
    title: 'Changed',
    width: 16,
    priority: 5,
    cell: (row) => (row.kind === 'entry' ? row.entry.changed : ''),
  },
  {
    id: 'title',
    title: 'About',
    width: 20,
    grows: true,
    priority: 1,
    cell: (row) => (row.kind === 'entry' ? row.entry.title : row.kind === 'act' ? argumentText(row.act) : ''),
  },
];

function peekEntry(entry: ShelfEntry, current: boolean): string {
  if (entry.kind === 'demo') return `demo: ${entry.title}. It plays on a machine of its own`;
  const facts = [
    current ? 'open now' : entry.kind === 'bundled' ? 'comes with vtdeck' : '',
    entry.acts === undefined ? '' : counted(entry.acts, 'act'),
    entry.host === '' ? '' : `on ${entry.host}`,
    entry.title === entry.name ? '' : entry.title,
  ].filter(Boolean);
  return `${entry.name}: ${facts.join(', ')}`;
}

function* detail(row: Row, context: ScreenContext): Work<Section[]> {
  const { workspace } = context;
  if (row.kind === 'entry') {
    return [
      {
        title: row.entry.name,
        lines: [
          pairLine('Kind', row.entry.kind),
          pairLine('About', row.entry.title),
          pairLine('Host', row.entry.host),
          pairLine('Acts', String(row.entry.acts ?? '')),
          pairLine('Changed', row.entry.changed),
        ],
      },
    ];
  }
  if (row.kind === 'act') {
    return [
      {
        title: `Act ${row.act.id}: ${row.act.action}`,
        lines: Object.entries(row.act.args).map(([name, value]) => pairLine(name, String(value))),
      },
      {
        title: 'Commands',
        lines: workspace.commandLog.find((entry) => entry.id === row.act.id)?.commands ?? [],
      },
    ];
  }
  const digest = yield* workspace.host.digestInSteps();
  return [
    {
      title: workspace.sessionName,
      lines: [
        pairLine('Acts', String(workspace.journal.length)),
        pairLine('To redo', String(workspace.redoable.length)),
        pairLine('Since the save', String(workspace.unsavedActs)),
        pairLine('Profile', `Linux ${workspace.profile}`),
        pairLine('Digest', digest),
      ],
    },
    {
      title: counted(workspace.branches.length, 'branch', 'branches'),
      lines: workspace.branches.map(
        (branch) => `${branch.current ? '● ' : '  '}${branch.name}  ${counted(branch.acts, 'act')}`,
      ),
    },
  ];
}

export const sessions = defineScreen<Row>({
  id: 'sessions',
  title: 'Sessions & demos',
  shortTitle: 'Sess',
  about: 'sessions, bundled ones and demos; the journal of this one, with undo, redo and branches',
  noun: 'row',
  columns: () => columns,
  rows,
  rowId: (row) =>
    row.kind === 'entry'
      ? `${row.entry.kind} ${row.entry.name}`
      : row.kind === 'heading'
        ? JOURNAL
        : `act ${row.act.id}`,
  subject: (row) =>
    row.kind === 'act'
      ? { kind: 'act', name: String(row.act.id) }
      : row.kind === 'heading'
        ? undefined
        : row.entry.kind === 'demo'
          ? { kind: 'demo', name: row.entry.name }
          : { kind: 'session', name: row.entry.name, bundled: row.entry.kind === 'bundled' },
  foldable: (row) => row.kind === 'heading',
  parentId: (row) => (row.kind === 'act' ? JOURNAL : undefined),
  peek: (row) =>
    row.kind === 'entry'
      ? peekEntry(row.entry, row.current)
      : row.kind === 'act'
        ? `${row.act.action} ${argumentText(row.act)}`
        : `${counted(row.acts, 'act')} in the journal`,
  detail,
  empty: () => 'No sessions.',
});
