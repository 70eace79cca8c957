import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import type { Column } from '../../views/columns/column.ts';
import { ListState } from '../../views/list/list-state.ts';
import { rowsOf } from '../../views/list/row-source.ts';

interface Row {
  readonly id: string;
  readonly size: number;
}

const columns: readonly Column<Row>[] = [
  { id: 'id', title: 'Id', width: 8, priority: 0, cell: (row) => row.id },
  {
    id: 'size',
    title: 'Size',
    width: 8,
    priority: 1,
    cell: (row) => `${row.size} B`,
    sortKey: (row) => row.size,
  },
];

function listOf(...rows: Row[]): ListState<Row> {
  const list = new ListState<Row>((row) => row.id);
  finish(list.renew(rowsOf(rows), columns));
  return list;
}

const a = { id: 'a', size: 10 };
const b = { id: 'b', size: 9 };
const c = { id: 'c', size: 100 };

describe('list', () => {
  it('keeps the cursor on its row when rows come and go', () => {
    const list = listOf(a, b, c);
    list.moveTo(1);
    finish(list.renew(rowsOf([c, a, b]), columns));
    expect(list.current).toBe(b);
    finish(list.renew(rowsOf([a]), columns));
    expect(list.current).toBe(a);
    finish(list.renew(rowsOf<Row>([]), columns));
    expect(list.current).toBeUndefined();
  });

  it('goes to a row that was wished for as soon as it is there', () => {
    const list = listOf(a, b);
    list.wish('c');
    finish(list.renew(rowsOf([a, b, c]), columns));
    expect(list.current).toBe(c);
  });

  it('sorts by number where the column has a key, both ways, and filters on what the cells show', () => {
    const list = listOf(a, b, c);
    list.sort = { column: 'size', descending: false };
    finish(list.renew(rowsOf([a, b, c]), columns));
    expect([0, 1, 2].map((at) => list.id(at))).toEqual(['b', 'a', 'c']);
    list.sortReversed(columns);
    finish(list.renew(rowsOf([a, b, c]), columns));
    expect([0, 1, 2].map((at) => list.id(at))).toEqual(['c', 'a', 'b']);
    list.filter = '10';
    finish(list.renew(rowsOf([a, b, c]), columns));
    expect(list.count).toBe(2);
    expect(list.total).toBe(3);
  });

  it('marks a range, and gives the marked rows in the order shown', () => {
    const list = listOf(a, b, c);
    list.rangeFrom = 0;
    list.moveTo(1);
    expect(list.isMarked(1)).toBe(true);
    list.markRange();
    expect(list.chosen()).toEqual([a, b]);
    list.marks.clear();
    expect(list.chosen()).toEqual([b]);
  });

  it('scrolls so that the cursor stays in the window', () => {
    const list = listOf(...Array.from({ length: 100 }, (_, at) => ({ id: String(at), size: at })));
    list.moveTo(99);
    list.scrollInto(10);
    expect(list.top).toBe(90);
    list.moveTo(0);
    list.scrollInto(10);
    expect(list.top).toBe(0);
    list.move(Number.POSITIVE_INFINITY);
    expect(list.cursor).toBe(99);
  });
});
