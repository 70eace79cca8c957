/** What a screen is: a list of rows with columns, what a row stands for, and what there is to say of it. */
import type { Host, Work } from '../../hw/index.ts';
import type { Workspace } from '../../src/workspace.ts';
import type { Column } from '../columns/column.ts';
import type { Line } from '../format/line.ts';
import type { RowSource } from '../list/row-source.ts';
import type { SessionShelf } from '../options.ts';

export type ScreenId =
  | 'topology'
  | 'groups'
  | 'mdevs'
  | 'machines'
  | 'domains'
  | 'units'
  | 'walk'
  | 'events'
  | 'plan'
  | 'sessions'
  | 'matrix'
  | 'log';

/** What a row stands for: which acts apply to it, and where one can jump from it. */
export type Subject =
  | { readonly kind: 'device'; readonly name: string }
  | { readonly kind: 'mdev'; readonly name: string }
  | { readonly kind: 'mdev type'; readonly name: string; readonly parent: string; readonly type: string }
  | { readonly kind: 'definition'; readonly name: string }
  | { readonly kind: 'machine'; readonly name: string }
  | { readonly kind: 'group'; readonly name: string; readonly id: number }
  | { readonly kind: 'domain'; readonly name: string }
  | { readonly kind: 'unit'; readonly name: string }
  | { readonly kind: 'event'; readonly name: string; readonly device: string | undefined }
  | { readonly kind: 'step'; readonly name: string }
  | { readonly kind: 'session'; readonly name: string; readonly bundled: boolean }
  | { readonly kind: 'demo'; readonly name: string }
  | { readonly kind: 'act'; readonly name: string }
  | { readonly kind: 'log'; readonly name: string };

/** A request whose way through the tables the walk screen shows. */
export interface WalkTarget {
  readonly device: string;
  readonly pasid: number | undefined;
  readonly iova: bigint;
  readonly access: 'read' | 'write';
  /** Bits turned over for the what-if: step and bit within its entry. */
  readonly flip: { readonly address: bigint; readonly bit: number } | undefined;
}

/** What screens may look at. */
export interface ScreenContext {
  readonly host: Host;
  readonly workspace: Workspace;
  readonly folded: ReadonlySet<string>;
  /** Raw bytes in place of decoded fields. */
  readonly raw: boolean;
  readonly walk: WalkTarget | undefined;
  /** Devices picked for the plan. */
  readonly picks: ReadonlySet<string>;
  /** Events after this one are held back while the events screen pauses; undefined: it follows. */
  readonly pausedAt: number | undefined;
  readonly shelf: SessionShelf | undefined;
}

/** A part of the detail pane. */
export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

/** Bytes with a cursor, in the detail pane. */
export interface HexDetail {
  readonly bytes: Uint8Array;
  /** What the byte at that offset is: register and field. */
  nameAt(offset: number): string;
}

export interface ScreenDefinition<Row> {
  readonly id: ScreenId;
  readonly title: string;
  /** For narrow terminals. */
  readonly shortTitle: string;
  /** One sentence for the help. */
  readonly about: string;
  /** What the rows are, counted. */
  readonly noun: string;
  /** Columns of the part on the left when the detail is open beside it; 0: as wide as half. */
  readonly detailAlways?: boolean;
  /** New rows come at the end, and the cursor goes with them while it is there. */
  readonly follows?: boolean;
  columns(context: ScreenContext): readonly Column<Row>[];
  /** Made in steps where there may be many. */
  rows(context: ScreenContext): RowSource<Row> | Work<RowSource<Row>>;
  rowId(row: Row): string;
  subject(row: Row): Subject | undefined;
  /** True when rows hang below it that can be folded away. */
  foldable?(row: Row): boolean;
  /** Id of the row above it in the tree. */
  parentId?(row: Row): string | undefined;
  /** The essence of the row under the cursor, on one line. */
  peek(row: Row, context: ScreenContext): Line;
  /** Made in steps where it may take long. */
  detail(row: Row, context: ScreenContext): readonly Section[] | Work<readonly Section[]>;
  hex?(row: Row, context: ScreenContext): HexDetail | undefined;
  /** What to say when there are no rows: why, and how some come to be. */
  empty(context: ScreenContext): string;
  /** A line above the list: what the whole screen is about now. */
  banner?(context: ScreenContext): Line | undefined;
}

/** Any screen; the rows are the screen's own affair. */
export type Screen = ScreenDefinition<unknown>;

export function defineScreen<Row>(definition: ScreenDefinition<Row>): Screen {
  return definition as unknown as Screen;
}
