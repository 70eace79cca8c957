/** IOMMU domains and PASIDs: who is attached to what and how, and what the tables in memory say. */
import type { DomainAttachmentState, DomainState, PasidEntryState, Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { fieldLines } from '../format/fields.ts';
import { type Line, styled } from '../format/line.ts';
import { counted, hex, hexDigits, size, wordRow } from '../format/values.ts';
import { type RowSource, rowsOf } from '../list/row-source.ts';
import { pairLine } from './parts.ts';
import { defineScreen, type ScreenContext, type Section } from './screen.ts';

type Row =
  | { readonly kind: 'domain'; readonly domain: DomainState; readonly folded: boolean }
  | { readonly kind: 'attachment'; readonly domain: DomainState; readonly attachment: DomainAttachmentState }
  | { readonly kind: 'heading'; readonly count: number; readonly folded: boolean }
  | { readonly kind: 'entry'; readonly entry: PasidEntryState };

const HEADING = 'PASID entries';

/** Domains between two pauses. */
const STRIDE = 256;

function* rows(context: ScreenContext): Work<RowSource<Row>> {
  const { host, folded } = context;
  const list: Row[] = [];
  // What somebody in user space made comes first: the kernel has one for every group.
  const all = [...host.domains()].sort(
    (a, b) => Number(a.owner === undefined) - Number(b.owner === undefined),
  );
  for (const [at, domain] of all.entries()) {
    if (at % STRIDE === STRIDE - 1) yield { done: at, total: all.length };
    const isFolded = folded.has(domain.name);
    list.push({ kind: 'domain', domain, folded: isFolded });
    if (!isFolded)
      for (const attachment of domain.attachments) list.push({ kind: 'attachment', domain, attachment });
  }
  const entries = host.pasidEntries();
  if (entries.length > 0) {
    const isFolded = folded.has(HEADING);
    list.push({ kind: 'heading', count: entries.length, folded: isFolded });
    if (!isFolded) for (const entry of entries) list.push({ kind: 'entry', entry });
  }
  return rowsOf(list);
}

const HOW: Readonly<Record<DomainAttachmentState['kind'], string>> = {
  requester: 'normal',
  auxiliary: 'auxiliary',
  pasid: 'PASID',
};

const columns: readonly Column<Row>[] = [
  {
    id: 'tree',
    title: 'Domain, attachment',
    width: 26,
    grows: true,
    priority: 0,
    cell: (row) => {
      if (row.kind === 'domain')
        return [
          row.domain.attachments.length === 0 ? '  ' : row.folded ? '▸ ' : '▾ ',
          styled('title', row.domain.name),
        ];
      if (row.kind === 'attachment') return `    ${row.attachment.device}`;
      if (row.kind === 'heading') return [row.folded ? '▸ ' : '▾ ', styled('title', `${HEADING} in memory`)];
      return `    ${row.entry.device}`;
    },
  },
  {
    id: 'how',
    title: 'How',
    width: 10,
    priority: 1,
    cell: (row) =>
      row.kind === 'domain'
        ? row.domain.type
        : row.kind === 'attachment'
          ? HOW[row.attachment.kind]
          : row.kind === 'heading'
            ? String(row.count)
            : 'entry',
  },
  {
    id: 'pasid',
    title: 'PASID',
    width: 7,
    align: 'right',
    priority: 1,
    cell: (row) =>
      row.kind === 'domain'
        ? row.domain.defaultPasid === undefined
          ? ''
          : String(row.domain.defaultPasid)
        : row.kind === 'attachment'
          ? String(row.attachment.pasid)
          : row.kind === 'entry'
            ? String(row.entry.pasid)
            : '',
  },
  {
    id: 'level',
    title: 'Level',
    width: 6,
    priority: 3,
    cell: (row) => (row.kind === 'domain' ? row.domain.level : ''),
  },
  {
    id: 'root',
    title: 'Table / entry at',
    width: 16,
    priority: 4,
    cell: (row) =>
      row.kind === 'domain' && row.domain.tableRoot !== undefined
        ? hex(row.domain.tableRoot)
        : row.kind === 'entry'
          ? hex(row.entry.address)
          : '',
  },
  {
    id: 'users',
    title: 'Refs',
    width: 4,
    align: 'right',
    priority: 2,
    cell: (row) =>
      row.kind === 'domain'
        ? String(row.domain.units.reduce((sum, unit) => sum + unit.references, 0))
        : row.kind === 'attachment'
          ? String(row.attachment.users)
          : '',
  },
  {
    id: 'owner',
    title: 'Owner',
    width: 12,
    priority: 2,
    cell: (row) =>
      row.kind === 'domain'
        ? (row.domain.owner ?? 'kernel')
        : row.kind === 'entry'
          ? (row.entry.domain ?? [styled('bad', 'left over')])
          : '',
  },
];

function detail(row: Row, context: ScreenContext): Section[] {
  if (row.kind === 'heading')
    return [
      {
        title: HEADING,
        lines: [
          'Every present entry, read from memory through root entry, context entry and PASID directory.',
        ],
      },
    ];
  if (row.kind === 'entry') {
    const { entry } = row;
    return [
      {
        title: `PASID ${entry.pasid} of ${entry.device}`,
        lines: [
          pairLine('Requester id', hexDigits(entry.requesterId, 4)),
          pairLine('Entry at', hex(entry.address)),
          pairLine('Domain', entry.domain ?? 'none: a leftover that hardware would still follow'),
          pairLine('Raw', wordRow(entry.words)),
        ],
      },
      { title: 'Fields', lines: fieldLines(entry.fields) },
    ];
  }
  const { domain } = row;
  const mappings =
    domain.owner === undefined ? [] : (context.host.machineState(domain.owner)?.mappings ?? []);
  return [
    {
      title: domain.name,
      lines: [
        pairLine('Type', domain.type),
        pairLine('Owner', domain.owner ?? 'kernel'),
        pairLine('Translation', domain.level === 'none' ? 'no tables' : `${domain.level}-level tables`),
        pairLine('Top table at', domain.tableRoot === undefined ? '-' : hex(domain.tableRoot)),
        pairLine('Auxiliary PASID', domain.defaultPasid === undefined ? 'none' : String(domain.defaultPasid)),
      ],
    },
    {
      title: 'On the units',
      lines: domain.units.map(
        (unit) => `${unit.unit}: domain id ${unit.domainId}, ${counted(unit.references, 'reference')}`,
      ),
    },
    {
      title: counted(domain.attachments.length, 'attachment'),
      lines: domain.attachments.map(
        (attachment): Line => [
          attachment.device,
          styled('dim', `  ${HOW[attachment.kind]}`),
          `, PASID ${attachment.pasid}, ${counted(attachment.users, 'user')}`,
        ],
      ),
    },
    {
      title: `${counted(mappings.length, 'mapping')}${domain.owner === undefined ? '' : ` of ${domain.owner}`}`,
      lines: mappings.map(
        (mapping) =>
          `${hex(mapping.iova, 9)} to ${hex(mapping.iova + mapping.lengthBytes - 1n, 9)}  ${size(mapping.lengthBytes).padStart(9)}  ${mapping.read ? 'r' : '-'}${mapping.write ? 'w' : '-'}`,
      ),
    },
  ];
}

export const domains = defineScreen<Row>({
  id: 'domains',
  title: 'Domains & PASIDs',
  shortTitle: 'Dom',
  about:
    'who is attached to which domain and how, reference counts, mappings, PASID entries read from memory',
  noun: 'row',
  columns: () => columns,
  rows,
  rowId: (row) =>
    row.kind === 'domain'
      ? row.domain.name
      : row.kind === 'attachment'
        ? `${row.domain.name} ${row.attachment.device} ${row.attachment.kind} ${row.attachment.pasid}`
        : row.kind === 'heading'
          ? HEADING
          : `${row.entry.device} ${row.entry.requesterId} ${row.entry.pasid}`,
  subject: (row) =>
    row.kind === 'domain'
      ? { kind: 'domain', name: row.domain.name }
      : row.kind === 'attachment'
        ? { kind: 'device', name: row.attachment.device }
        : row.kind === 'entry'
          ? { kind: 'device', name: row.entry.device }
          : undefined,
  foldable: (row) => row.kind === 'heading' || (row.kind === 'domain' && row.domain.attachments.length > 0),
  parentId: (row) =>
    row.kind === 'attachment' ? row.domain.name : row.kind === 'entry' ? HEADING : undefined,
  peek(row) {
    if (row.kind === 'heading')
      return `${counted(row.count, 'present entry', 'present entries')} in the PASID tables`;
    if (row.kind === 'entry')
      return `entry at ${hex(row.entry.address)}: ${row.entry.domain ?? 'no domain of the kernel behind it'}`;
    if (row.kind === 'attachment')
      return `${row.attachment.device} is attached as ${HOW[row.attachment.kind]} to ${row.domain.name}`;
    return `${row.domain.name}: ${row.domain.type}, ${row.domain.level} level, ${counted(row.domain.attachments.length, 'attachment')}, owner ${row.domain.owner ?? 'kernel'}`;
  },
  detail,
  empty: () => 'No domains: this host has no remapping unit, or translation is off.',
});
