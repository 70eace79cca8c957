/** Moving and choosing within a list: folds, marks, order, panes. */
import type { Console } from '../console.ts';
import { fades } from '../console-setup.ts';

export function foldOrUp(console: Console): void {
  const { detail, list, screen, row } = console;
  if (detail.focused && detail.showsBytes) return detail.moveByte(-1);
  if (row === undefined || detail.focused) return;
  const id = screen.rowId(row);
  if (screen.foldable?.(row) === true && !list.folded.has(id)) return list.toggleFold(id);
  const parent = screen.parentId?.(row);
  if (parent === undefined) console.note('nothing to fold, and no row above it');
  else list.moveToId(parent);
}

export function unfoldOrDown(console: Console): void {
  const { detail, list, screen, row } = console;
  if (detail.focused && detail.showsBytes) return detail.moveByte(1);
  if (row === undefined || detail.focused) return;
  if (screen.foldable?.(row) !== true) return console.note('nothing hangs below this row');
  const id = screen.rowId(row);
  if (list.folded.has(id)) list.toggleFold(id);
  else list.move(1);
}

export function foldAll(console: Console): void {
  const { list, screen } = console;
  if (list.folded.size > 0) list.folded.clear();
  else if (screen.foldable === undefined) return console.note('nothing here can be folded');
  else {
    for (let position = 0; position < list.count; position += 1) {
      const row = list.at(position);
      if (screen.foldable?.(row) === true) list.folded.add(screen.rowId(row));
    }
  }
  list.foldRevision += 1;
}

export function nextPane(console: Console): void {
  const { detail, row } = console;
  if (row === undefined) return console.note('there is no other pane without a row');
  if (!detail.open && console.screen.detailAlways !== true) console.openDetail();
  detail.focused = !detail.focused;
}

export function sortNext(console: Console): void {
  console.list.sortNext(console.screen.columns(console.context));
  tellOrder(console);
}

export function sortReversed(console: Console): void {
  console.list.sortReversed(console.screen.columns(console.context));
  tellOrder(console);
}

/** Also where the column that it goes by has no room on the screen. */
function tellOrder(console: Console): void {
  const { sort } = console.list;
  const column = console.screen.columns(console.context).find((candidate) => candidate.id === sort?.column);
  if (sort === undefined || column === undefined) console.note('in the order of the machine');
  else console.note(`sorted by ${column.title}${sort.descending ? ', the last first' : ''}`);
}

export function mark(console: Console): void {
  const { list } = console;
  if (list.count === 0) return console.note('there is no row to mark');
  list.toggleMark(list.cursor);
  list.move(1);
}

export function markRange(console: Console): void {
  const { list } = console;
  if (list.rangeFrom === undefined) {
    list.rangeFrom = list.cursor;
    console.note('range begins here; move, then v again');
  } else list.markRange();
}

export function markAll(console: Console): void {
  const { list } = console;
  if (list.marks.size > 0) return list.marks.clear();
  for (let position = 0; position < list.count; position += 1) {
    if (console.screen.subject(list.at(position)) !== undefined) list.marks.add(list.id(position));
  }
}

export function togglePick(console: Console): void {
  const { row } = console;
  if (row === undefined) return;
  const id = console.screen.rowId(row);
  if (!console.picks.delete(id)) console.picks.add(id);
}

export function stepBack(console: Console): void {
  const { list, detail } = console;
  if (console.message !== undefined && !fades(console.message)) console.message = undefined;
  else if (list.rangeFrom !== undefined) list.rangeFrom = undefined;
  else if (detail.open && !console.screen.detailAlways) {
    detail.open = false;
    detail.focused = false;
  } else if (detail.focused) detail.focused = false;
  else if (list.marks.size > 0) list.marks.clear();
  else if (list.filter !== '') list.filter = '';
  else if (console.workspace.travellingAt !== undefined) console.workspace.travel(undefined);
  else if (console.trail.length > 0) console.historyBack();
  else console.note('this is where you began; q quits');
}
