/**
 * A list under the operator's hands: where the cursor is, what is filtered, sorted, marked and folded. Rows come from a
 * source and are never copied; filtering and sorting keep an order of indexes. Both go in steps: until the new rows are
 * there the old ones stay.
 */
import { finish, type Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { orderOf, type Sort } from './order.ts';
import { type RowSource, rowsOf } from './row-source.ts';

/** Rows looked through between two pauses. */
const STRIDE = 1024;

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
  /** What the rows that are shown were filtered and sorted by. */
  private applied: { filter: string; sort: Sort | undefined } = { filter: '', sort: undefined };
  /** What the filter looks at, by row: while it is typed every letter asks all rows again. */
  private searched: { readonly source: RowSource<Row>; readonly texts: (string | undefined)[] } | undefined;
  private readonly idOf: (row: Row) => string;
  source: RowSource<Row> = rowsOf<Row>([]);
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

  /** True when the rows that are shown are not filtered and sorted as wanted. */
  get isStale(): boolean {
    const { filter, sort } = this.applied;
    return (
      filter !== this.filter ||
      sort?.column !== this.sort?.column ||
      sort?.descending !== this.sort?.descending
    );
  }

  /** Wants no other filter and order than the rows that are shown have. */
  revert(): void {
    this.filter = this.applied.filter;
    this.sort = this.applied.sort;
  }

  /**
   * Takes rows, filters and sorts them; all at once at the end. The cursor stays on the row it was on, if that is still
   * there.
   */
  *renew(source: RowSource<Row>, columns: readonly Column<Row>[]): Work<void> {
    const { filter, sort } = this;
    if (this.searched?.source !== source) this.searched = { source, texts: [] };
    const order = yield* orderOf(source, columns, filter, sort, this.searched.texts);
    const count = order?.length ?? source.count;
    const at = (position: number): Row => source.at(order === undefined ? position : order[position]);
    let id: string | undefined;
    let found: number | undefined;
    do {
      // The cursor may move while its row is looked for.
      id = this.cursorId;
      found = yield* this.search(count, at, id);
    } while (id !== this.cursorId);
    if (filter === '') this.searched = undefined;
    this.source = source;
    this.order = order;
    this.applied = { filter, sort };
    this.moveTo(found ?? this.cursor);
  }

  private *search(
    count: number,
    at: (position: number) => Row,
    id: string | undefined,
  ): Work<number | undefined> {
    if (id === undefined) return undefined;
    if (this.cursor < count && this.idOf(at(this.cursor)) === id) return this.cursor;
    for (let position = 0; position < count; position += 1) {
      if (this.idOf(at(position)) === id) return position;
      if (position % STRIDE === STRIDE - 1) yield { done: position, total: count };
    }
    return undefined;
  }

  /** Puts the cursor on the row of that id; false when there is none. */
  moveToId(id: string): boolean {
    const found = finish(this.search(this.count, (position) => this.at(position), id));
    this.moveTo(found ?? this.cursor);
    return found !== undefined;
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

  /** Sorts by the next column, then by none. */
  sortNext(columns: readonly Column<Row>[]): void {
    const at = columns.findIndex((column) => column.id === this.sort?.column);
    const next = columns[at + 1];
    this.sort = next === undefined ? undefined : { column: next.id, descending: false };
  }

  sortReversed(columns: readonly Column<Row>[]): void {
    const column = this.sort?.column ?? columns[0].id;
    this.sort = { column, descending: !(this.sort?.descending ?? false) };
  }
}
