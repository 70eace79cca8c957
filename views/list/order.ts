/**
 * The order in which a list shows its rows: what a filter leaves, sorted by a column. In steps, so that 100,000 rows keep
 * nobody waiting.
 */
import type { Progress, Work } from '../../hw/index.ts';
import type { Column } from '../columns/column.ts';
import { plainOf } from '../format/line.ts';
import { matcherOf } from './filter.ts';
import type { RowSource } from './row-source.ts';

export interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

/** Rows looked at between two pauses. */
const STRIDE = 512;

/** Indexes of the rows; undefined: as the source has them. @param texts What was looked up before, by index. */
export function* orderOf<Row>(
  source: RowSource<Row>,
  columns: readonly Column<Row>[],
  filter: string,
  sort: Sort | undefined,
  texts: (string | undefined)[],
): Work<Int32Array | undefined> {
  const matches = matcherOf(filter);
  const column = columns.find((candidate) => candidate.id === sort?.column);
  if (matches === undefined && column === undefined) return undefined;
  const total = source.count;
  const kept: number[] = [];
  for (let index = 0; index < total; index += 1) {
    if (index % STRIDE === STRIDE - 1) yield { done: index, total };
    if (matches !== undefined) {
      const text = texts[index] ?? searchText(columns, source.at(index));
      texts[index] = text;
      if (!matches(text)) continue;
    }
    kept.push(index);
  }
  if (column === undefined || sort === undefined) return Int32Array.from(kept);
  const keys: (string | number)[] = [];
  for (const [at, index] of kept.entries()) {
    if (at % STRIDE === STRIDE - 1) yield { done: at, total: kept.length };
    const row = source.at(index);
    keys[index] = column.sortKey?.(row) ?? plainOf(column.cell(row)).trim();
  }
  const sign = sort.descending ? -1 : 1;
  return yield* sorted(kept, (a, b) => sign * compare(keys[a], keys[b]) || a - b);
}

/** Sorted by merging runs that are each sorted at once. */
function* sorted(items: readonly number[], order: (a: number, b: number) => number): Work<Int32Array> {
  const { length } = items;
  const passes = 1 + Math.ceil(Math.log2(Math.max(1, length / STRIDE)));
  const progress = (pass: number, at: number): Progress => ({
    done: Math.floor((pass * length + at) / passes),
    total: length,
  });
  let from = new Int32Array(length);
  for (let start = 0; start < length; start += STRIDE) {
    from.set(items.slice(start, start + STRIDE).sort(order), start);
    yield progress(0, start);
  }
  let to = new Int32Array(length);
  for (let run = STRIDE, pass = 1; run < length; run *= 2, pass += 1) {
    for (let start = 0; start < length; start += 2 * run) {
      const middle = Math.min(start + run, length);
      const end = Math.min(start + 2 * run, length);
      let left = start;
      let right = middle;
      for (let at = start; at < end; at += 1) {
        const takeLeft = left < middle && (right >= end || order(from[left], from[right]) <= 0);
        to[at] = takeLeft ? from[left++] : from[right++];
        if (at % STRIDE === STRIDE - 1) yield progress(pass, at);
      }
    }
    [from, to] = [to, from];
  }
  return from;
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
