/** Columns as data, and how they share the width of a screen. */
import { fitText, fitTextRight, lineText, textWidth } from '../../src/terminal/width.ts';
import { type Line, plainOf, type Segment, styled } from '../format/line.ts';

export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** Columns of the terminal; for the growing one the least it needs. */
  readonly width: number;
  /** Takes what is left over; a number: up to that width. */
  readonly grows?: true | number;
  readonly align?: 'right';
  /** When it gets narrow the highest go first. 0: never goes. */
  readonly priority: number;
  cell(row: Row): Line;
  /** What to sort by, where that is not the text of the cell. */
  sortKey?(row: Row): string | number;
}

export interface PlacedColumn<Row> {
  readonly column: Column<Row>;
  readonly width: number;
}

const GAP = 1;
const FAIR = 26;
/** Columns of this priority and above are worth knowing, and no more. */
const SPARE = 7;

/** Chooses and sizes the columns for a width. */
export function placeColumns<Row>(columns: readonly Column<Row>[], width: number): PlacedColumn<Row>[] {
  let kept = [...columns];
  const needed = (open = 0): number =>
    kept.reduce((sum, column) => sum + Math.max(column.width, column.grows === true ? open : 0) + GAP, -GAP);
  while (kept.length > 1) {
    const least = kept.reduce((worst, column) => (column.priority >= worst.priority ? column : worst));
    // What is only worth knowing goes before names are cut short.
    const spare = least.priority >= SPARE && needed(FAIR) > width;
    if (least.priority === 0 || !(spare || needed() > width)) break;
    kept = kept.filter((column) => column !== least);
  }
  const widths = new Map(kept.map((column) => [column, column.width]));
  // What can't go and does not fit gets narrower, the widest first.
  for (let over = needed() - width; over > 0; over -= 1) {
    const widest = kept.reduce((most, column) =>
      (widths.get(column) ?? 0) > (widths.get(most) ?? 0) ? column : most,
    );
    widths.set(widest, Math.max(1, (widths.get(widest) ?? 0) - 1));
  }
  let rest = Math.max(0, width - needed());
  const grow = (column: Column<Row>, to: number): void => {
    const more = Math.max(0, Math.min(rest, to - (widths.get(column) ?? 0)));
    widths.set(column, (widths.get(column) ?? 0) + more);
    rest -= more;
  };
  // What can always be longer comes to a fair width first, then what has a natural end, then the former again.
  const open = kept.filter((column) => column.grows === true);
  for (const column of open) grow(column, FAIR);
  for (const column of kept) if (typeof column.grows === 'number') grow(column, column.grows);
  open.forEach((column, at) => {
    grow(column, (widths.get(column) ?? 0) + Math.ceil(rest / (open.length - at)));
  });
  return kept.map((column) => ({ column, width: widths.get(column) ?? column.width }));
}

/** The row's cells at their places, as one line. */
export function rowLine<Row>(placed: readonly PlacedColumn<Row>[], row: Row): Line {
  const parts: (string | Segment)[] = [];
  placed.forEach(({ column, width }, index) => {
    if (index > 0) parts.push(' ');
    const cell = column.cell(row);
    if (typeof cell === 'string') {
      const text = lineText(cell);
      parts.push(column.align === 'right' ? fitTextRight(text, width) : fitText(text, width));
      return;
    }
    let left = width;
    const pad = ' '.repeat(Math.max(0, width - textWidth(lineText(plainOf(cell)))));
    if (column.align === 'right') parts.push(pad);
    for (const part of cell) {
      if (left <= 0) break;
      const text = lineText(typeof part === 'string' ? part : part.text);
      const columns = textWidth(text);
      const fitted = columns > left ? fitText(text, left) : text;
      parts.push(typeof part === 'string' ? fitted : styled(part.style, fitted));
      left -= Math.min(columns, left);
    }
    if (column.align !== 'right') parts.push(pad);
  });
  return parts;
}

/** The titles, with an arrow at the column that the list is sorted by. */
export function titleLine<Row>(
  placed: readonly PlacedColumn<Row>[],
  sort: { readonly column: string; readonly descending: boolean } | undefined,
): string {
  return placed
    .map(({ column, width }) => {
      const arrow = sort?.column === column.id ? (sort.descending ? '↓' : '↑') : '';
      const title = `${column.title.slice(0, Math.max(1, width - arrow.length))}${arrow}`;
      return column.align === 'right' ? fitTextRight(title, width) : fitText(title, width);
    })
    .join(' ');
}
