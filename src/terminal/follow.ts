/**
 * Long work while there is no console yet: after a moment one line on the terminal says how far it is, and Ctrl-C stops it.
 * Work that ends before that is done at once.
 */

import { Cancelled, finish, type Progress, type Work } from '../../hw/index.ts';
import { ApplicationError } from '../errors.ts';
import { systemClock } from './clock.ts';

export interface FollowOptions {
  /** What is done: "opening lab". */
  readonly what: string;
  /** Writes to the terminal. */
  readonly write: (text: string) => void;
  /** One line in all, nothing drawn over: for a screen reader. */
  readonly once: boolean;
  /** Milliseconds; only differences mean something. */
  readonly now?: () => number;
}

/** From then on the line is there. Milliseconds. */
const PATIENCE = 200;
/** How long the work goes on between two lines. Milliseconds. */
const SLICE = 100;

/** @throws ApplicationError EINTR when it was stopped: everything is as it was before. */
export async function follow<Result>(work: Work<Result>, options: FollowOptions): Promise<Result> {
  const { what, write, once, now = systemClock.now } = options;
  const begun = now();
  const run = (until: number): IteratorResult<Progress, Result> => {
    for (;;) {
      const step = work.next();
      if (step.done === true || step.value.indivisible === true || now() >= until) return step;
    }
  };
  let step = run(begun + PATIENCE);
  if (step.done === true) return step.value;
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  process.on('SIGINT', stop);
  try {
    if (once) write(`${what}; Ctrl-C cancels\n`);
    while (step.done !== true) {
      if (!once) write(`\r\u001b[K${lineOf(what, step.value, now() - begun)}`);
      await new Promise((turn) => setImmediate(turn));
      if (stopped) return cancelled(work, what);
      step = run(now() + SLICE);
    }
    return step.value;
  } finally {
    process.off('SIGINT', stop);
    if (!once) write('\r\u001b[K');
  }
}

function lineOf(what: string, { done, total }: Progress, age: number): string {
  const far =
    total === undefined || total === 0
      ? ''
      : `: ${done.toLocaleString('en-US')} of ${total.toLocaleString('en-US')} acts`;
  return `${what}${far}  ${(age / 1000).toFixed(1)} s  Ctrl-C cancels`;
}

/** What it comes to all the same, where it can end without what was stopped. */
function cancelled<Result>(work: Work<Result>, what: string): Result {
  try {
    const step = work.throw(new Cancelled());
    return step.done === true ? step.value : finish(work);
  } catch (thrown) {
    if (!(thrown instanceof Cancelled)) throw thrown;
  }
  throw new ApplicationError('EINTR', `cancelled: ${what}; everything is as it was before`, {
    rule: 'stopped by the operator',
  });
}
