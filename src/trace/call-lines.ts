/** The kernel's calls as lines: each call with its result, and one level down what it wrote and queued. */
import type { Trace } from '../../hw/index.ts';

export interface TracedLine {
  /** 0 for a call that nothing else made. */
  readonly depth: number;
  readonly kind: string;
  readonly text: string;
}

/** Adds a line for each event of the kernel half until the returned function is called. */
export function listenForCalls(trace: Trace, into: TracedLine[]): () => void {
  /** Places in `into` of the calls that have not returned. */
  const open: number[] = [];
  return trace.listen(({ part, kind, text }) => {
    if (!part.startsWith('kernel/')) return;
    if (kind === 'return') {
      const at = open.pop();
      if (at === undefined) return;
      const result = text.slice(text.indexOf(' = '));
      into[at] = { ...into[at], text: `${into[at].text}${result}` };
      return;
    }
    if (kind === 'call') {
      into.push({ depth: open.length, kind, text });
      open.push(into.length - 1);
      return;
    }
    into.push({ depth: open.length, kind, text });
  });
}
