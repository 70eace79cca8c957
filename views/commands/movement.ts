/** Moving about: within a list or a detail pane, between panes, between screens. */

import type { Console } from '../console.ts';
import { jumpToOwner, jumpToUser } from '../jumps.ts';
import type { Command } from '../keymap.ts';
import type { ScreenId } from '../screens/screen.ts';
import {
  foldAll,
  foldOrUp,
  mark,
  markAll,
  markRange,
  nextPane,
  sortNext,
  sortReversed,
  stepBack,
  unfoldOrDown,
} from './list-moves.ts';

const move = (
  id: string,
  keys: readonly string[],
  title: string,
  by: (console: Console) => number,
): Command => ({
  id: `move.${id}`,
  keys,
  title,
  run: (console) => console.move(by(console)),
});

const screen = (key: string, id: ScreenId, title: string): Command => ({
  id: `go.${id}`,
  keys: [key],
  title: `go to ${title}`,
  run: (console) => {
    if (console.screenId === id) console.note(`this is the screen of ${title}`);
    else console.go(id);
  },
});

export const movementCommands: readonly Command[] = [
  move('down', ['Down', 'j'], 'one row down', () => 1),
  move('up', ['Up', 'k'], 'one row up', () => -1),
  move('page-down', ['PageDown', 'Ctrl-f'], 'one page down', (console) => console.pageRows),
  move('page-up', ['PageUp', 'Ctrl-b'], 'one page up', (console) => -console.pageRows),
  move('half-down', ['Ctrl-d'], 'half a page down', (console) => Math.ceil(console.pageRows / 2)),
  move('half-up', ['Ctrl-u'], 'half a page up', (console) => -Math.ceil(console.pageRows / 2)),
  move('first', ['g', 'Home'], 'to the first row', () => Number.NEGATIVE_INFINITY),
  move('last', ['G', 'End'], 'to the last row', () => Number.POSITIVE_INFINITY),
  {
    id: 'move.left',
    keys: ['Left', 'h'],
    title: 'fold the branch, or go to the row above it',
    run: foldOrUp,
  },
  {
    id: 'move.right',
    keys: ['Right', 'l'],
    title: 'unfold the branch, or go into it',
    run: unfoldOrDown,
  },
  {
    id: 'fold.all',
    keys: ['-'],
    title: 'fold or unfold all branches',
    run: foldAll,
  },
  {
    id: 'open',
    keys: ['Enter'],
    title: 'open the details of the row',
    hint: 'details',
    run: (console) => console.openDetail(),
  },
  { id: 'step.back', keys: ['Esc'], title: 'one step back', run: stepBack },
  {
    id: 'pane.next',
    keys: ['Tab', 'Shift-Tab'],
    title: 'next pane (list, details)',
    run: nextPane,
  },
  screen('1', 'topology', 'the PCI tree'),
  screen('2', 'groups', 'IOMMU groups'),
  screen('3', 'mdevs', 'mediated devices'),
  screen('4', 'machines', 'virtual machines'),
  screen('5', 'domains', 'domains and PASIDs'),
  screen('6', 'units', 'IOMMU units'),
  screen('7', 'walk', 'the walk of an address'),
  screen('8', 'events', 'faults and events'),
  screen('9', 'plan', 'plan and what-if'),
  screen('0', 'sessions', 'sessions and demos'),
  screen('m', 'matrix', 'the isolation matrix'),
  screen('@', 'log', 'the command log'),
  {
    id: 'history.back',
    keys: ['['],
    title: 'back to where you were',
    run: (console) => console.historyBack(),
  },
  { id: 'history.forward', keys: [']'], title: 'forward again', run: (console) => console.historyForward() },
  {
    id: 'jump.owner',
    keys: ['o'],
    title: 'jump to the owner: who has it, or what it belongs to',
    subjects: ['device', 'mdev', 'mdev type', 'definition', 'group', 'domain', 'event'],
    run: jumpToOwner,
  },
  {
    id: 'jump.user',
    keys: ['O'],
    title: 'jump to the user: what uses it, or what it holds',
    subjects: ['device', 'mdev', 'mdev type', 'machine', 'group', 'domain', 'event', 'unit'],
    run: jumpToUser,
  },
  {
    id: 'filter',
    keys: ['/'],
    title: 'filter rows (text, !not, ~fuzzy)',
    hint: 'filter',
    run: (console) => console.startFilter(),
  },
  { id: 'sort.next', keys: ['s'], title: 'sort by the next column', run: sortNext },
  { id: 'sort.reverse', keys: ['S'], title: 'turn the order over', run: sortReversed },
  { id: 'mark', keys: ['Space'], title: 'mark the row', run: mark },
  {
    id: 'mark.range',
    keys: ['v'],
    title: 'start or end a range of marks',
    run: markRange,
  },
  { id: 'mark.all', keys: ['*'], title: 'mark all rows, or none', run: markAll },
];
