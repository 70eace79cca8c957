/** The interrupt entry cache: present entries by index, until software invalidates them. VT-d 6.2.6. */
export class InterruptCache {
  private readonly entries = new Map<number, Uint32Array>();

  get(index: number): Uint32Array | undefined {
    return this.entries.get(index);
  }

  keep(index: number, words: Uint32Array): void {
    this.entries.set(index, words);
  }

  invalidateAll(): void {
    this.entries.clear();
  }

  /** The 2^mask entries that share the upper bits of the index. */
  invalidateIndex(index: number, mask: number): void {
    for (const key of this.entries.keys()) if (key >>> mask === index >>> mask) this.entries.delete(key);
  }

  /** Indices that are cached, ascending. */
  get indices(): number[] {
    return [...this.entries.keys()].sort((a, b) => a - b);
  }
}
