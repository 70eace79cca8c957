/**
 * A list under the operator's hands: where the cursor is, what is filtered, sorted, marked and folded. Rows come from a
 * source and are never copied; filtering and sorting keep an order of indexes.
 */
import type { Column } from '../columns/column.ts';
import { plainOf } from '../format/line.ts';
import { matcherOf } from './filter.ts';
import { type RowSource, rowsOf } from './row-source.ts';

export interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

export class ListState<Row> {
  cursor = 0;
  /** First visible row. */
  top = 0;
  filter = '';
  sort: Sort | undefined;
  readonly marks = new Set<string>();
  readonly folded = new Set<string>();
  /** Where a range began, while one is being drawn. */
  rangeFrom: number | undefined;
  /** Counts up whenever rows must be asked for again. */
  foldRevision = 0;
  private orderStale = false;
  private searchTexts: (string | undefined)[] | undefined;
  private readonly idOf: (row: Row) => string;
  private source: RowSource<Row> = rowsOf<Row>([]);
  private order: Int32Array | undefined;
  private cursorId: string | undefined;

  constructor(idOf: (row: Row) => string) {
    this.idOf = idOf;
  }

  get count(): number {
    return this.order?.length ?? this.source.count;
  }

  get total(): number {
    return this.source.count;
  }

  at(position: number): Row {
    return this.source.at(this.order === undefined ? position : this.order[position]);
  }

  get current(): Row | undefined {
    return this.cursor < this.count ? this.at(this.cursor) : undefined;
  }

  id(position: number): string {
    return this.idOf(this.at(position));
  }

  /** Takes new rows; the cursor stays on the row it was on, if that is still there. */
  setRows(source: RowSource<Row>, columns: readonly Column<Row>[]): void {
    this.source = source;
    this.searchTexts = undefined;
    this.reorder(columns);
  }

  /** Filters and sorts anew where that changed. */
  updateOrder(columns: () => readonly Column<Row>[]): void {
    if (this.orderStale) this.reorder(columns());
  }

  private reorder(columns: readonly Column<Row>[]): void {
    this.orderStale = false;
    if (this.filter === '') this.searchTexts = undefined;
    else this.searchTexts ??= [];
    this.order = orderOf(this.source, columns, this.filter, this.sort, this.searchTexts);
    this.moveToId(this.cursorId);
  }

  /** Puts the cursor on the row of that id; false when there is none. */
  moveToId(id: string | undefined): boolean {
    if (id !== undefined && this.count > 0) {
      if (this.cursor < this.count && this.id(this.cursor) === id) return true;
      for (let position = 0; position < this.count; position += 1) {
        if (this.id(position) === id) {
          this.cursor = position;
          this.cursorId = id;
          return true;
        }
      }
    }
    this.moveTo(this.cursor);
    return id === undefined;
  }

  /** Remembers a row to stand on as soon as it is there. */
  wish(id: string): void {
    this.cursorId = id;
  }

  moveTo(position: number): void {
    this.cursor = Math.max(0, Math.min(position, this.count - 1));
    this.cursorId = this.count > 0 ? this.id(this.cursor) : undefined;
  }

  move(by: number): void {
    this.moveTo(this.cursor + by);
  }

  /** Scrolls so that the cursor is visible in a window of so many rows. */
  scrollInto(rows: number): void {
    if (rows <= 0) return;
    if (this.cursor < this.top) this.top = this.cursor;
    else if (this.cursor >= this.top + rows) this.top = this.cursor - rows + 1;
    this.top = Math.max(0, Math.min(this.top, Math.max(0, this.count - rows)));
  }

  toggleMark(position: number): void {
    if (position >= this.count) return;
    const id = this.id(position);
    if (!this.marks.delete(id)) this.marks.add(id);
  }

  /** Marks every row between the start of the range and the cursor. */
  markRange(): void {
    if (this.rangeFrom === undefined) return;
    const from = Math.min(this.rangeFrom, this.cursor);
    const to = Math.max(this.rangeFrom, this.cursor);
    for (let position = from; position <= to && position < this.count; position += 1)
      this.marks.add(this.id(position));
    this.rangeFrom = undefined;
  }

  /** Marked rows that are visible under the filter; without marks the one under the cursor. */
  chosen(): Row[] {
    if (this.marks.size === 0) return this.current === undefined ? [] : [this.current];
    const rows: Row[] = [];
    for (let position = 0; position < this.count; position += 1) {
      if (this.marks.has(this.id(position))) rows.push(this.at(position));
    }
    return rows;
  }

  isMarked(position: number): boolean {
    if (this.marks.size > 0 && this.marks.has(this.id(position))) return true;
    if (this.rangeFrom === undefined) return false;
    return (
      position >= Math.min(this.rangeFrom, this.cursor) && position <= Math.max(this.rangeFrom, this.cursor)
    );
  }

  toggleFold(id: string): void {
    if (!this.folded.delete(id)) this.folded.add(id);
    this.foldRevision += 1;
  }

  setFilter(filter: string): void {
    if (filter === this.filter) return;
    this.filter = filter;
    this.orderStale = true;
  }

  /** Sorts by the next column, then by none. */
  sortNext(columns: readonly Column<Row>[]): void {
    const at = columns.findIndex((column) => column.id === this.sort?.column);
    const next = columns[at + 1];
    this.sort = next === undefined ? undefined : { column: next.id, descending: false };
    this.orderStale = true;
  }

  sortReversed(columns: readonly Column<Row>[]): void {
    const column = this.sort?.column ?? columns[0].id;
    this.sort = { column, descending: !(this.sort?.descending ?? false) };
    this.orderStale = true;
  }
}

/** Undefined: as the source has them. */
function orderOf<Row>(
  source: RowSource<Row>,
  columns: readonly Column<Row>[],
  filter: string,
  sort: Sort | undefined,
  searchTexts: (string | undefined)[] | undefined,
): Int32Array | undefined {
  const matches = matcherOf(filter);
  const column = columns.find((candidate) => candidate.id === sort?.column);
  if (matches === undefined && column === undefined) return undefined;
  const kept: number[] = [];
  for (let index = 0; index < source.count; index += 1) {
    if (matches !== undefined) {
      // While a filter is typed every letter asks all rows again: their texts are kept until it is gone.
      const text = searchTexts?.[index] ?? searchText(columns, source.at(index));
      if (searchTexts !== undefined) searchTexts[index] = text;
      if (!matches(text)) continue;
    }
    kept.push(index);
  }
  if (column !== undefined && sort !== undefined) {
    const keys: (string | number)[] = [];
    for (const index of kept) {
      const row = source.at(index);
      keys[index] = column.sortKey?.(row) ?? plainOf(column.cell(row)).trim();
    }
    const sign = sort.descending ? -1 : 1;
    kept.sort((a, b) => sign * compare(keys[a], keys[b]) || a - b);
  }
  return Int32Array.from(kept);
}

function searchText<Row>(columns: readonly Column<Row>[], row: Row): string {
  let text = '';
  for (const column of columns) text += `${plainOf(column.cell(row))} `;
  return text;
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return naturalOrder(String(a), String(b));
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** `eth9` before `eth10`: runs of digits count as numbers. Ten times as fast as a collator, for 100,000 rows. */
function naturalOrder(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  const shortest = Math.min(a.length, b.length);
  while (at < shortest && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  const left = a.charCodeAt(at);
  const right = b.charCodeAt(at);
  if (isDigit(left) || isDigit(right)) {
    let start = at;
    while (start > 0 && isDigit(a.charCodeAt(start - 1))) start -= 1;
    const leftRun = digitsFrom(a, start);
    const rightRun = digitsFrom(b, start);
    if (leftRun > 0 && rightRun > 0 && leftRun !== rightRun) {
      return (
        Number(a.slice(start, start + leftRun)) - Number(b.slice(start, start + rightRun)) ||
        leftRun - rightRun
      );
    }
  }
  return at === shortest ? a.length - b.length : left - right;
}

function digitsFrom(text: string, start: number): number {
  let end = start;
  while (end < text.length && isDigit(text.charCodeAt(end))) end += 1;
  return end - start;
}
