/** Rows by index: a list of any length of which only the visible part is ever made. */
export interface RowSource<Row> {
  readonly count: number;
  at(index: number): Row;
}

export function rowsOf<Row>(rows: readonly Row[]): RowSource<Row> {
  return { count: rows.length, at: (index) => rows[index] };
}
