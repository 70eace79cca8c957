/**
 * The lists of the screens. Their rows are made, filtered and sorted in steps when something they depend on has changed;
 * until the new ones are there the old ones stay.
 */
import { Cancelled, type Work } from '../hw/index.ts';
import { toApplicationError } from '../src/errors.ts';
import type { Console } from './console.ts';
import { ListState } from './list/list-state.ts';
import { type RowSource, rowsOf } from './list/row-source.ts';
import { screenOf } from './screens/all.ts';
import type { ScreenId } from './screens/screen.ts';

interface Entry {
  readonly state: ListState<unknown>;
  /** What the rows that are there depend on. */
  key: string;
  /** What the rows depend on that are being made, or that the operator gave up; empty: neither. */
  wanted: string;
  /** It has had rows. */
  filled: boolean;
  /** A row that is to be stood on and seen as soon as the rows are there. */
  reveal: string | undefined;
}

export class Lists {
  private readonly console: Console;
  private readonly entries = new Map<ScreenId, Entry>();
  private revision = 0;

  constructor(console: Console) {
    this.console = console;
  }

  of(id: ScreenId): ListState<unknown> {
    return this.entry(id).state;
  }

  /** What the rows that are there depend on. */
  keyOf(id: ScreenId): string {
    return this.entry(id).key;
  }

  /** The list of the screen that is shown; what it lacks is begun. */
  get current(): ListState<unknown> {
    const entry = this.entry(this.console.screenId);
    const key = this.dependsOn(entry);
    const { state } = entry;
    if (entry.key === key && !state.isStale) {
      if (entry.wanted !== '') this.leave();
      return state;
    }
    const wanted = [key, state.filter, state.sort?.column, state.sort?.descending].join('|');
    if (entry.wanted === wanted) return state;
    entry.wanted = wanted;
    this.begin(entry, key);
    return state;
  }

  /** Rows of the screen that is shown are being made. */
  get pending(): boolean {
    return this.console.jobs.of('list') !== undefined;
  }

  /** Rows of the screen that is shown were never made, and it is too early to say so. */
  get blank(): boolean {
    const job = this.console.jobs.of('list');
    return job !== undefined && !job.visible && !this.entry(this.console.screenId).filled;
  }

  /** Why there are no rows, when that does not tell of the machine. */
  get absence(): string | undefined {
    if (this.entry(this.console.screenId).filled) return undefined;
    return this.pending ? '' : 'The rows were not read: it was cancelled. Ctrl-l reads them.';
  }

  /** Another screen is shown: rows for this one are no longer needed. */
  leave(): void {
    this.console.jobs.drop('list');
    for (const entry of this.entries.values()) entry.wanted = '';
  }

  /** Has rows made again that were given up, or that changed without the session's doing. */
  refresh(): void {
    this.revision += 1;
  }

  clear(): void {
    this.leave();
    this.entries.clear();
  }

  /** Puts the cursor on a row, unfolding what hides it, also if it only comes with the next rows. */
  standOn(id: string): void {
    const entry = this.entry(this.console.screenId);
    const { current: state } = this;
    if (this.pending) {
      state.wish(id);
      entry.reveal = id;
      return;
    }
    if (state.moveToId(id)) return;
    if (state.folded.size > 0 || state.filter !== '') {
      state.folded.clear();
      state.filter = '';
      state.foldRevision += 1;
    }
    state.wish(id);
    void this.current;
  }

  private entry(id: ScreenId): Entry {
    const known = this.entries.get(id);
    if (known !== undefined) return known;
    const screen = screenOf(id);
    const state = new ListState<unknown>((row) => screen.rowId(row));
    const made: Entry = { state, key: '', wanted: '', filled: false, reveal: undefined };
    this.entries.set(id, made);
    return made;
  }

  private dependsOn(entry: Entry): string {
    const { walk, workspace, screenId, pausedAt, picks, version } = this.console;
    return [
      workspace.sessionName,
      version,
      entry.state.foldRevision,
      this.revision,
      pausedAt,
      screenId === 'walk' && walk !== undefined
        ? `${walk.device} ${walk.pasid} ${walk.iova} ${walk.access} ${walk.flip?.address} ${walk.flip?.bit}`
        : '',
      screenId === 'plan' ? [...picks].join() : '',
    ].join('|');
  }

  private begin(entry: Entry, key: string): void {
    const { console } = this;
    const { state } = entry;
    const { screen } = console;
    const what =
      entry.key !== key
        ? `reading ${screen.title}`
        : state.filter === ''
          ? 'sorting'
          : `filtering by ${state.filter}`;
    const atEnd = state.cursor >= state.count - 1;
    console.jobs.start('list', {
      what,
      noun: 'rows',
      work: this.renew(entry, key),
      done: () => {
        entry.key = key;
        entry.wanted = '';
        entry.filled = true;
        if (screen.follows === true && atEnd) state.move(Number.POSITIVE_INFINITY);
        const { reveal } = entry;
        entry.reveal = undefined;
        if (reveal !== undefined) this.standOn(reveal);
      },
      failed: (thrown) => console.failWith(toApplicationError(thrown)),
      cancelled: () => {
        state.revert();
        console.note(`cancelled: ${what}; the list is as it was`);
      },
    });
  }

  private *renew(entry: Entry, key: string): Work<void> {
    const { screen, context } = this.console;
    const source = entry.key === key ? entry.state.source : yield* readable(() => screen.rows(context));
    yield* entry.state.renew(source, screen.columns(context));
  }
}

/** Rows that are there, or that are made in steps; none where the machine can't be read. */
function* readable<Row>(read: () => RowSource<Row> | Work<RowSource<Row>>): Work<RowSource<Row>> {
  try {
    const rows = read();
    return 'next' in rows ? yield* rows : rows;
  } catch (thrown) {
    if (thrown instanceof Cancelled) throw thrown;
    return rowsOf<Row>([]);
  }
}
