/**
 * The console without its drawing: which screen, where its cursor is, what lies on top, what is said. Keys come in as
 * events, commands change this state or dispatch actions, and `frame.ts` draws it. No decision about the machine is
 * made here: those are the engine's.
 */
import type { Host } from '../hw/index.ts';
import { type ApplicationError, toApplicationError } from '../src/errors.ts';
import type { InputEvent } from '../src/terminal/input.ts';
import type { Outcome, Workspace } from '../src/workspace.ts';
import { allCommands } from './commands/all.ts';
import {
  type ConsoleSetup,
  type ConsoleTerminal,
  FRAME,
  fades,
  type Message,
  SIDE_BY_SIDE,
} from './console-setup.ts';
import { DetailState } from './detail-state.ts';
import type { Paint } from './format/line.ts';
import { applies, type Command, KeyMap } from './keymap.ts';
import { ListState } from './list/list-state.ts';
import { rowsOf } from './list/row-source.ts';
import { handleMouse } from './mouse.ts';
import type { ConsolePreferences, SessionShelf } from './options.ts';
import type { Overlay } from './overlays/overlay.ts';
import { screenOf } from './screens/all.ts';
import type { Screen, ScreenContext, ScreenId, Subject, WalkTarget } from './screens/screen.ts';
import { TextField } from './text-field.ts';
import { isThemeName, type ThemeName, themes } from './theme.ts';

interface Place {
  readonly screen: ScreenId;
  readonly row: string | undefined;
}

/** How long a message that asks for nothing stays. Milliseconds. */
const FADE = 6000;
/** Acts from which on replaying a history can be felt. */
const LONG_HISTORY = 300;

export class Console {
  workspace: Workspace;
  readonly terminal: ConsoleTerminal;
  readonly shelf: SessionShelf | undefined;
  readonly keymap: KeyMap;
  paint: Paint;
  screenId: ScreenId = 'topology';
  readonly overlays: Overlay[] = [];
  message: Message | undefined;
  readonly detail = new DetailState();
  raw = false;
  walk: WalkTarget | undefined;
  readonly picks = new Set<string>();
  pausedAt: number | undefined;
  /** The filter while it is typed. */
  filterField: TextField | undefined;
  lastAddress = '0x1000';
  /** Size and places of the last frame, for paging and for the mouse. */
  columns = 80;
  rows = 24;
  listTop = 0;
  pageRows = 10;
  /** True while the detail covers the list: there is no room for both. */
  detailCovers = false;
  tabs: readonly { readonly from: number; readonly to: number; readonly screen: ScreenId }[] = [];
  private readonly setup: ConsoleSetup;
  private readonly lists = new Map<ScreenId, { state: ListState<unknown>; key: string }>();
  private readonly behind: Place[] = [];
  private readonly ahead: Place[] = [];
  themeName: ThemeName;
  mouseOn: boolean;
  private fade: (() => void) | undefined;
  private detailKey = '';
  private shelfRevision = 0;
  private unsubscribe: () => void;

  constructor(workspace: Workspace, setup: ConsoleSetup) {
    this.workspace = workspace;
    this.setup = setup;
    this.terminal = setup.terminal;
    this.shelf = setup.shelf;
    this.keymap = new KeyMap(allCommands, setup.preferences.keys);
    this.themeName = setup.noColor
      ? 'none'
      : isThemeName(setup.preferences.theme)
        ? setup.preferences.theme
        : 'dark';
    this.mouseOn = setup.preferences.mouse === true;
    this.paint = { theme: themes[this.themeName], ascii: setup.ascii };
    this.unsubscribe = workspace.subscribe(setup.changed);
    const notice = [...workspace.notices, ...this.keymap.problems][0];
    if (workspace.readOnlyReason !== undefined) this.warn(`read-only: ${workspace.readOnlyReason}`);
    else if (notice !== undefined) this.warn(notice);
  }

  /** The machine as it is now. */
  get hostState(): Host {
    return this.workspace.host;
  }

  get screen(): Screen {
    return screenOf(this.screenId);
  }

  get context(): ScreenContext {
    const { workspace, raw, walk, picks, pausedAt, shelf } = this;
    const folded = this.listOf(this.screenId).state.folded;
    return {
      host: workspace.host,
      workspace,
      folded,
      raw,
      walk,
      picks,
      pausedAt,
      shelf,
    };
  }

  /** The list of the screen, with rows as of now. */
  get list(): ListState<unknown> {
    const entry = this.listOf(this.screenId);
    const { walk } = this;
    const key = [
      this.workspace.sessionName,
      this.workspace.version,
      entry.state.foldRevision,
      this.shelfRevision,
      this.pausedAt,
      this.screenId === 'walk' && walk !== undefined
        ? `${walk.device} ${walk.pasid} ${walk.iova} ${walk.access} ${walk.flip?.address} ${walk.flip?.bit}`
        : '',
      this.screenId === 'plan' ? [...this.picks].join() : '',
    ].join('|');
    if (entry.key !== key) {
      entry.key = key;
      const { context, screen } = this;
      const atEnd = entry.state.cursor >= entry.state.count - 1;
      entry.state.setRows(
        guarded(() => screen.rows(context), rowsOf<unknown>([])),
        screen.columns(context),
      );
      if (screen.follows === true && atEnd) entry.state.move(Number.POSITIVE_INFINITY);
    }
    entry.state.updateOrder(() => this.screen.columns(this.context));
    return entry.state;
  }

  get row(): unknown {
    return this.list.current;
  }

  subject(): Subject | undefined {
    const { row } = this;
    return row === undefined ? undefined : this.screen.subject(row);
  }

  /** Names of the marked rows of these kinds; without marks of the row under the cursor. */
  chosenNames(kinds: readonly Subject['kind'][]): string[] {
    const names: string[] = [];
    for (const row of this.list.chosen()) {
      const subject = this.screen.subject(row);
      if (subject !== undefined && kinds.includes(subject.kind) && !names.includes(subject.name))
        names.push(subject.name);
    }
    return names;
  }

  applies(command: Command): boolean {
    return applies(command, this.screenId, this.subject()?.kind);
  }

  // Events

  handle(events: readonly InputEvent[]): void {
    for (const event of events) this.handleOne(event);
    this.setup.changed();
  }

  private handleOne(event: InputEvent): void {
    const overlay = this.overlays.at(-1);
    if (overlay !== undefined) return overlay.handle(event);
    if (event.type === 'mouse') return handleMouse(this, event);
    if (this.filterField !== undefined) return this.typeFilter(this.filterField, event);
    if (event.type !== 'key') return;
    const command = this.keymap.find(event.key, this.screenId, this.subject()?.kind);
    if (command === undefined) {
      if (event.key !== 'Unknown') this.note(this.keymap.nowhere(event.key));
      return;
    }
    this.attempt(() => command.run(this));
  }

  /** Runs what may throw and says what went wrong. */
  attempt(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.failWith(toApplicationError(thrown));
    }
  }

  dispatch(name: string, args: Readonly<Record<string, unknown>>): Outcome {
    return this.workspace.dispatch(name, args);
  }

  // What is said

  /** Something was done. */
  say(text: string): void {
    this.tell({ kind: 'done', text, remedy: undefined });
  }

  /** Something to know, and nothing was done. */
  note(text: string): void {
    this.tell({ kind: 'note', text, remedy: undefined });
  }

  warn(text: string): void {
    this.tell({ kind: 'warning', text, remedy: undefined });
  }

  fail(text: string, remedy?: string): void {
    this.tell({ kind: 'error', text, remedy });
  }

  failWith(error: ApplicationError, before = ''): void {
    this.fail(`${before}${error.message} (${error.code})`, error.remedy);
  }

  private tell(message: Message): void {
    this.fade?.();
    this.fade = undefined;
    this.message = message;
    if (fades(message)) {
      this.fade = this.setup.clock.after(FADE, () => {
        this.message = undefined;
        this.setup.changed();
      });
    }
    this.setup.changed();
  }

  /** Something that takes a while on a long history: says so first, then does it. */
  working(what: string, run: () => void): void {
    if (this.workspace.journal.length < LONG_HISTORY) return this.attempt(run);
    this.note(`${what} …`);
    this.setup.clock.after(2 * FRAME, () => {
      this.attempt(run);
      this.setup.changed();
    });
  }

  push(overlay: Overlay): void {
    this.overlays.push(overlay);
  }

  pop(): void {
    this.overlays.pop();
  }

  // Places

  go(screen: ScreenId, row?: string): void {
    if (screen !== this.screenId) {
      this.behind.push(this.place());
      if (this.behind.length > 100) this.behind.shift();
      this.ahead.length = 0;
      this.show(screen);
    }
    if (row !== undefined) this.standOn(row);
  }

  private place(): Place {
    const { list } = this;
    return { screen: this.screenId, row: list.count > 0 ? list.id(list.cursor) : undefined };
  }

  private show(screen: ScreenId): void {
    this.screenId = screen;
    this.detail.focused = false;
    this.detail.open = this.detail.open && this.columns >= SIDE_BY_SIDE;
    this.detail.top = 0;
    if (this.message?.kind === 'warning') this.message = undefined;
    this.filterField = undefined;
  }

  historyBack(): void {
    const place = this.behind.pop();
    if (place === undefined) return this.note('this is where you began');
    this.ahead.push(this.place());
    this.show(place.screen);
    if (place.row !== undefined) this.list.moveToId(place.row);
  }

  historyForward(): void {
    const place = this.ahead.pop();
    if (place === undefined) return this.note('there is nothing ahead');
    this.behind.push(this.place());
    this.show(place.screen);
    if (place.row !== undefined) this.list.moveToId(place.row);
  }

  get trail(): readonly ScreenId[] {
    return this.behind.slice(-2).map((place) => place.screen);
  }

  /** Puts the cursor of this screen on a row, unfolding what hides it, also if it only comes with the next rows. */
  standOn(id: string): void {
    const entry = this.listOf(this.screenId);
    if (this.list.moveToId(id)) return;
    if (entry.state.folded.size > 0 || entry.state.filter !== '') {
      entry.state.folded.clear();
      entry.state.setFilter('');
      entry.state.foldRevision += 1;
      if (this.list.moveToId(id)) return;
    }
    entry.state.wish(id);
  }

  // Within a screen

  move(by: number): void {
    if (this.detail.focused) this.detail.move(by);
    else {
      this.list.move(by);
      if (!this.detail.focused) this.detail.top = 0;
    }
  }

  openDetail(): void {
    if (this.row === undefined) return;
    this.detail.top = 0;
    if (this.screen.detailAlways === true) {
      this.detail.focused = true;
      return;
    }
    this.detail.open = true;
    if (this.detailCovers) this.detail.focused = true;
  }

  clearMarks(): void {
    this.list.marks.clear();
  }

  startFilter(): void {
    this.filterField = new TextField(this.list.filter);
  }

  private typeFilter(field: TextField, event: InputEvent): void {
    if (event.type === 'key' && (event.key === 'Enter' || event.key === 'Tab')) this.filterField = undefined;
    else if (event.type === 'key' && (event.key === 'Esc' || event.key === 'Ctrl-c')) {
      this.filterField = undefined;
      this.list.setFilter('');
    } else if (event.type === 'key' && (event.key === 'Down' || event.key === 'Up'))
      this.move(event.key === 'Down' ? 1 : -1);
    else if (field.handle(event)) this.list.setFilter(field.value);
  }

  /** The detail of the row under the cursor, made when something it depends on has changed. */
  updateDetail(): void {
    const { row, screen } = this;
    const id = row === undefined ? '' : screen.rowId(row);
    const key = [this.screenId, this.listOf(this.screenId).key, id, this.raw].join('|');
    if (key === this.detailKey) return;
    this.detailKey = key;
    const { context } = this;
    const hex =
      row !== undefined && this.raw ? guarded(() => screen.hex?.(row, context), undefined) : undefined;
    if (hex !== undefined) this.detail.setBytes(hex);
    else
      this.detail.setSections(
        row === undefined
          ? []
          : guarded(
              () => screen.detail(row, context),
              [{ title: 'No details', lines: ['They can’t be read now.'] }],
            ),
      );
  }

  setWalk(walk: WalkTarget | undefined): void {
    this.walk = walk;
  }

  /** The entry that the step under the cursor read. */
  walkStep():
    | { readonly structure: string; readonly address: bigint; readonly words: Uint32Array }
    | undefined {
    const row = this.row as { step?: { structure: string; address: bigint; words: Uint32Array } } | undefined;
    return this.screenId === 'walk' ? row?.step : undefined;
  }

  // The session and the program

  openSession(open: () => Workspace): void {
    const next = open();
    this.unsubscribe();
    this.workspace.close();
    this.workspace = next;
    this.unsubscribe = next.subscribe(this.setup.changed);
    this.walk = undefined;
    this.picks.clear();
    this.pausedAt = undefined;
    this.lists.clear();
    this.behind.length = 0;
    this.ahead.length = 0;
    this.show('topology');
    this.say(
      next.readOnlyReason === undefined
        ? `session ${next.sessionName}`
        : `session ${next.sessionName}, read-only: ${next.readOnlyReason}`,
    );
  }

  refresh(): void {
    this.shelfRevision += 1;
  }

  copy(text: string, what: string): void {
    this.terminal.copy(text);
    this.say(`${what} is in the clipboard, if the terminal allows it (OSC 52)`);
  }

  prefer(change: Partial<ConsolePreferences>): void {
    this.setup.prefer(change);
  }

  quit(): void {
    this.terminal.quit();
  }

  /** Lets go of what it listens to; the workspace stays open. */
  close(): void {
    this.fade?.();
    this.unsubscribe();
  }

  private listOf(id: ScreenId): { state: ListState<unknown>; key: string } {
    let entry = this.lists.get(id);
    if (entry === undefined) {
      const screen = screenOf(id);
      entry = { state: new ListState<unknown>((row) => screen.rowId(row)), key: '' };
      this.lists.set(id, entry);
    }
    return entry;
  }
}

/** What a screen makes of the machine; a screen that can't read it must not take the console down. */
function guarded<Result>(make: () => Result, otherwise: Result): Result {
  try {
    return make();
  } catch {
    return otherwise;
  }
}
