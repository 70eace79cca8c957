/** The kernel's calls as lines: each call with its result, and one level down what it wrote and queued. */
import type { Trace } from '../../hw/index.ts';

export interface TracedLine {
  /** 0 for a call that nothing else made. */
  readonly depth: number;
  readonly kind: string;
  readonly text: string;
}

/** Calls of one name in a row are shown so many times, the rest is counted: a guest's memory is mapped in many pieces. */
const SHOWN_IN_A_ROW = 8;

/** Calls of one name in a row, at one depth. */
interface Row {
  name: string;
  calls: number;
  /** Where the line that counts the rest stands. */
  restAt: number | undefined;
}

/** Adds a line for each event of the kernel half until the returned function is called. */
export function listenForCalls(trace: Trace, into: TracedLine[]): () => void {
  /** Places in `into` of the calls that have not returned; undefined for those that are only counted. */
  const open: (number | undefined)[] = [];
  const rows: Row[] = [];
  return trace.listen(({ part, kind, text }) => {
    if (!part.startsWith('kernel/')) return;
    if (kind === 'return') {
      const at = open.pop();
      rows.length = Math.min(rows.length, open.length + 1);
      if (at === undefined) return;
      const result = text.slice(text.indexOf(' = '));
      into[at] = { ...into[at], text: `${into[at].text}${result}` };
      return;
    }
    const depth = open.length;
    // What hangs below a call that is only counted is not shown either.
    const hidden = open.includes(undefined) && open.at(-1) === undefined && depth > 0;
    if (kind === 'call') {
      open.push(
        hidden || isCounted(rows, into, depth, text) ? undefined : into.push({ depth, kind, text }) - 1,
      );
      return;
    }
    if (!hidden) into.push({ depth, kind, text });
  });
}

/** True when this call only adds to the count of the row it belongs to. */
function isCounted(rows: Row[], into: TracedLine[], depth: number, text: string): boolean {
  const name = text.slice(0, text.indexOf('('));
  const row = rows[depth];
  if (row?.name !== name) {
    rows[depth] = { name, calls: 1, restAt: undefined };
    return false;
  }
  row.calls += 1;
  if (row.calls <= SHOWN_IN_A_ROW) return false;
  const line = { depth, kind: 'call', text: `… and ${row.calls - SHOWN_IN_A_ROW} more ${name}` };
  if (row.restAt === undefined) row.restAt = into.push(line) - 1;
  else into[row.restAt] = line;
  return true;
}
