/** The command log: for each act what an operator of a real machine would have typed. */
import type { CommandLogEntry } from '../../src/workspace.ts';
import type { Column } from '../columns/column.ts';
import { rowsOf } from '../list/row-source.ts';
import { defineScreen } from './screen.ts';

const columns: readonly Column<CommandLogEntry>[] = [
  { id: 'id', title: 'Act', width: 5, align: 'right', priority: 1, cell: (row) => String(row.id) },
  { id: 'summary', title: 'What was done', width: 26, grows: true, priority: 2, cell: (row) => row.summary },
  {
    id: 'command',
    title: 'Linux command',
    width: 36,
    grows: true,
    priority: 0,
    cell: (row) => row.commands.find((command) => !command.startsWith('#')) ?? row.commands[0] ?? '',
  },
];

export const log = defineScreen<CommandLogEntry>({
  id: 'log',
  title: 'Command log',
  shortTitle: 'Log',
  about: 'the real Linux command of every act, oldest first',
  noun: 'act',
  columns: () => columns,
  rows: (context) => rowsOf(context.workspace.commandLog),
  rowId: (row) => String(row.id),
  subject: (row) => ({ kind: 'log', name: row.commands.join('\n') }),
  peek: (row) => row.commands.join(' ; '),
  detail: (row) => [
    { title: row.summary, lines: [] },
    { title: 'Commands', lines: row.commands },
  ],
  empty: () => 'Nothing was done yet in this session. Every act leaves its Linux command here.',
});
