import type { Layout } from '../layout.ts';

/** Who wants to see each entry that a walk reads: the recording walk. The hot path has none. */
export interface WalkObserver {
  /**
   * An entry was read.
   * @param structure Its name with its place: "second-level entry, level 3".
   * @param high, low The entry's address. @param words, index Where its first word is.
   */
  entry(
    structure: string,
    layout: Layout,
    high: number,
    low: number,
    words: ArrayLike<number>,
    index: number,
  ): void;
}
