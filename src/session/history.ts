/**
 * The acts of a session as a tree: undoing and acting otherwise starts a branch, and what was left stays by name.
 * Kept by path: the acts of the branch worked on, and how many of them are done.
 */
import type { Branch, JournalEntry } from '../workspace.ts';
import type { JournalRecord } from './record.ts';

/** A record that does not fit the records before it. */
export class HistoryError extends Error {
  readonly sequence: number;

  constructor(sequence: number, message: string) {
    super(message);
    this.name = 'HistoryError';
    this.sequence = sequence;
  }
}

export class History {
  private readonly acts = new Map<number, JournalEntry>();
  /** Acts from the empty host to the tip of the branch worked on. */
  private path: JournalEntry[] = [];
  /** How many acts of the path are done. */
  private done = 0;
  /** Tips of branches left, by tip. */
  private readonly left = new Map<number, string>();
  private currentName = 'main';
  private branchesMade = 0;
  /** Digests by act, as recorded. */
  readonly digests = new Map<number, string>();

  static from(records: readonly JournalRecord[]): History {
    const history = new History();
    for (const record of records) history.take(record);
    return history;
  }

  /** Takes in the next record. @throws HistoryError */
  take(record: JournalRecord): void {
    switch (record.kind) {
      case 'begin':
        return;
      case 'act': {
        const { seq, parent, action, args, at } = record;
        if (parent !== this.head)
          throw new HistoryError(seq, `act ${seq} follows ${parent}, but the host is at ${this.head}`);
        this.add({ id: seq, parent, action, args, at });
        return;
      }
      case 'head': {
        const at = record.to === 0 ? 0 : this.placeOf(record.to) + 1;
        if (record.to !== 0 && at === 0)
          throw new HistoryError(record.seq, `there is no act ${record.to} on this branch`);
        this.done = at;
        return;
      }
      case 'switch':
        if (record.tip !== this.tip && !this.left.has(record.tip)) {
          throw new HistoryError(record.seq, `no branch ends in act ${record.tip}`);
        }
        this.switchTo(record.tip);
        return;
      case 'name':
        if (record.tip === this.tip) this.currentName = record.name;
        else if (this.left.has(record.tip)) this.left.set(record.tip, record.name);
        else throw new HistoryError(record.seq, `no branch ends in act ${record.tip}`);
        return;
      case 'digest':
        this.digests.set(record.head, record.digest);
    }
  }

  private add(entry: JournalEntry): void {
    if (this.done < this.path.length) {
      this.left.set(this.tip, this.currentName);
      this.branchesMade += 1;
      this.currentName = this.freeName();
      this.path.length = this.done;
    }
    this.acts.set(entry.id, entry);
    this.path.push(entry);
    this.done = this.path.length;
  }

  private freeName(): string {
    const taken = new Set(this.left.values());
    for (let number = this.branchesMade + 1; ; number++) {
      const name = `branch-${number}`;
      if (!taken.has(name)) return name;
    }
  }

  private switchTo(tip: number): void {
    const name = this.left.get(tip);
    if (tip !== this.tip && name !== undefined) {
      this.left.set(this.tip, this.currentName);
      this.left.delete(tip);
      this.currentName = name;
    }
    this.path = this.pathTo(tip);
    this.done = this.path.length;
  }

  /** Acts from the empty host to that one, oldest first. */
  pathTo(tip: number): JournalEntry[] {
    const reversed: JournalEntry[] = [];
    for (let id = tip; id !== 0; ) {
      const entry = this.acts.get(id) as JournalEntry;
      reversed.push(entry);
      id = entry.parent;
    }
    return reversed.reverse();
  }

  /** Index of an act on the path, or -1. Ids ascend along a path. */
  placeOf(id: number): number {
    let low = 0;
    let high = this.path.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.path[middle].id;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** Id of the last act done; 0: none. */
  get head(): number {
    return this.done === 0 ? 0 : this.path[this.done - 1].id;
  }

  /** Id of the last act of the branch worked on. */
  get tip(): number {
    return this.path.length === 0 ? 0 : this.path[this.path.length - 1].id;
  }

  /** Acts of the whole tree. */
  get size(): number {
    return this.acts.size;
  }

  /** Acts done. */
  get position(): number {
    return this.done;
  }

  get applied(): readonly JournalEntry[] {
    return this.done === this.path.length ? this.path : this.path.slice(0, this.done);
  }

  /** The acts of the branch worked on, done or not. */
  get wholeBranch(): readonly JournalEntry[] {
    return this.path;
  }

  /** Whether the act is on the branch worked on. */
  has(id: number): boolean {
    return this.placeOf(id) >= 0;
  }

  get redoable(): readonly JournalEntry[] {
    return this.path.slice(this.done);
  }

  get previous(): JournalEntry | undefined {
    return this.path[this.done - 1];
  }

  get next(): JournalEntry | undefined {
    return this.path[this.done];
  }

  get branches(): Branch[] {
    const current = { name: this.currentName, tip: this.tip, acts: this.path.length, current: true };
    const left = [...this.left].map(([tip, name]) => {
      return { name, tip, acts: this.pathTo(tip).length, current: false };
    });
    return [current, ...left].sort((a, b) => a.tip - b.tip);
  }
}
