/**
 * Long work in small steps. A function that may take long is a generator: each `yield` says how far it is and lets
 * whoever drives it do something else in between, or stop it by throwing `Cancelled` into it. What it returns is the
 * result. Run to its end at once by `finish` it is an ordinary function.
 */

export interface Progress {
  readonly done: number;
  /** Of how many; undefined: not known. */
  readonly total: number | undefined;
  /** What comes next is one long piece that can't be divided: who shows progress shows it before. */
  readonly indivisible?: boolean;
}

export type Work<Result> = Generator<Progress, Result, undefined>;

/** Thrown into work to stop it: what it had begun is as if it had not been. */
export class Cancelled extends Error {
  constructor() {
    super('cancelled');
    this.name = 'Cancelled';
  }
}

/** Does all of it now. */
export function finish<Result>(work: Work<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** A part of larger work that shows the whole's progress in place of its own. */
export function* partOf<Result>(work: Work<Result>, whole: Progress): Work<Result> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    yield step.value.indivisible === true ? { ...whole, indivisible: true } : whole;
  }
}

/** Each item made into something, a pause after every `stride` of them. */
export function* mapInSteps<Item, Result>(
  items: readonly Item[],
  make: (item: Item, index: number) => Result,
  stride = 256,
): Work<Result[]> {
  const made: Result[] = [];
  for (let index = 0; index < items.length; index += 1) {
    if (index % stride === stride - 1) yield { done: index, total: items.length };
    made.push(make(items[index], index));
  }
  return made;
}
