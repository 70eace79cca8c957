/**
 * The console without its drawing: which screen, where its cursor is, what lies on top, what is said. Keys come in as
 * events, commands change this state or dispatch actions, and `frame.ts` draws it. No decision about the machine is
 * made here: those are the engine's.
 */
import type { Host } from '../hw/index.ts';
import { toApplicationError } from '../src/errors.ts';
import type { InputEvent } from '../src/terminal/input.ts';
import type { Workspace } from '../src/workspace.ts';
import { allCommands } from './commands/all.ts';
import { type ConsoleSetup, type ConsoleTerminal, SIDE_BY_SIDE } from './console-setup.ts';
import { DetailState } from './detail-state.ts';
import type { Paint } from './format/line.ts';
import type { Frame } from './frame.ts';
import { applies, type Command, KeyMap } from './keymap.ts';
import type { ListState } from './list/list-state.ts';
import { Lists } from './lists.ts';
import { Messages } from './messages.ts';
import { handleMouse } from './mouse.ts';
import type { ConsolePreferences, SessionShelf } from './options.ts';
import type { Overlay } from './overlays/overlay.ts';
import { type Place, Places } from './places.ts';
import type { Reading } from './reading.ts';
import { screenOf } from './screens/all.ts';
import type { Screen, ScreenContext, ScreenId, Section, Subject, WalkTarget } from './screens/screen.ts';
import { SessionWork } from './session-work.ts';
import { TextField } from './text-field.ts';
import { ThemeChoice } from './theme.ts';
import { Typing } from './typing.ts';
import { Jobs } from './work/jobs.ts';

export class Console extends Messages {
  workspace: Workspace;
  readonly terminal: ConsoleTerminal;
  readonly shelf: SessionShelf | undefined;
  readonly keymap: KeyMap;
  paint: Paint;
  screenId: ScreenId = 'topology';
  readonly overlays: Overlay[] = [];
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
  readonly jobs: Jobs;
  readonly lists = new Lists(this);
  readonly session = new SessionWork(this);
  /** The last frame: it stays while the next one has nothing to show yet. */
  frame: Frame | undefined;
  /** The same for a screen reader. */
  reading: Reading | undefined;
  private readonly typing = new Typing(this);
  private readonly places = new Places();
  readonly themes: ThemeChoice;
  mouseOn: boolean;
  private detailKey = '';
  private unsubscribe: () => void;

  constructor(workspace: Workspace, setup: ConsoleSetup) {
    super(setup.clock, setup.changed);
    this.workspace = workspace;
    this.setup = setup;
    this.jobs = new Jobs(setup.clock, setup.changed, () => {
      this.typing.settle();
      setup.changed();
    });
    this.terminal = setup.terminal;
    this.shelf = setup.shelf;
    this.keymap = new KeyMap(allCommands, setup.preferences.keys);
    const { theme, themes } = setup.preferences;
    this.themes = setup.noColor
      ? new ThemeChoice(undefined, 'none', 1)
      : new ThemeChoice(themes, theme, setup.colourDepth);
    this.mouseOn = setup.preferences.mouse === true;
    this.paint = { theme: this.themes.theme, ascii: setup.ascii };
    this.unsubscribe = workspace.subscribe(setup.changed);
    const notices = [...workspace.notices, ...this.preferenceProblems];
    if (workspace.readOnlyReason !== undefined) this.warn(`read-only: ${workspace.readOnlyReason}`);
    else if (notices.length > 0)
      this.warn(`${notices[0]}${notices.length > 1 ? ` (and ${notices.length - 1} more: see ?)` : ''}`);
  }

  /** What the preferences say that makes no sense, one line each. */
  get preferenceProblems(): readonly string[] {
    return [...this.keymap.problems, ...this.themes.problems];
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
    const { folded } = this.lists.of(this.screenId);
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

  /** The list of the screen: its rows as of now, or as of before while they are made. */
  get list(): ListState<unknown> {
    return this.lists.current;
  }

  /** The session's, or while an act is under way that from before it. */
  get version(): number {
    return this.session.version ?? this.workspace.version;
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
    const names = new Set<string>();
    for (const row of this.list.chosen()) {
      const subject = this.screen.subject(row);
      if (subject !== undefined && kinds.includes(subject.kind)) names.add(subject.name);
    }
    return [...names];
  }

  applies(command: Command): boolean {
    return applies(command, this.screenId, this.subject()?.kind);
  }

  // Events

  handle(events: readonly InputEvent[]): void {
    for (const event of events) this.typing.take(event);
    this.typing.settle();
    this.setup.changed();
  }

  /** The command of a key here. */
  commandOf(key: string): Command | undefined {
    return this.keymap.find(key, this.screenId, this.subject()?.kind);
  }

  /** Acts on an event, whatever goes on. */
  handleNow(event: InputEvent): void {
    const overlay = this.overlays.at(-1);
    if (overlay !== undefined) return overlay.handle(event);
    if (event.type === 'mouse') return handleMouse(this, event);
    if (this.filterField !== undefined) return this.typeFilter(this.filterField, event);
    if (event.type !== 'key') return;
    const command = this.commandOf(event.key);
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

  push(overlay: Overlay): void {
    this.overlays.push(overlay);
  }

  pop(): void {
    this.overlays.pop();
  }

  // Places

  go(screen: ScreenId, row?: string): void {
    if (screen !== this.screenId) {
      this.places.leave(this.place);
      this.show(screen);
    }
    if (row !== undefined) this.lists.standOn(row);
  }

  private get place(): Place {
    const list = this.lists.of(this.screenId);
    return { screen: this.screenId, row: list.count > 0 ? list.id(list.cursor) : undefined };
  }

  private show(screen: ScreenId): void {
    this.lists.leave();
    this.screenId = screen;
    this.detail.focused = false;
    this.detail.open = this.detail.open && this.columns >= SIDE_BY_SIDE;
    this.detail.top = 0;
    if (this.message?.kind === 'warning') this.message = undefined;
    this.filterField = undefined;
  }

  private showAgain(place: Place): void {
    this.show(place.screen);
    if (place.row === undefined) return;
    const { list } = this;
    if (this.lists.pending) list.wish(place.row);
    else list.moveToId(place.row);
  }

  historyBack(): void {
    const place = this.places.back(this.place);
    if (place === undefined) this.note('this is where you began');
    else this.showAgain(place);
  }

  historyForward(): void {
    const place = this.places.forward(this.place);
    if (place === undefined) this.note('there is nothing ahead');
    else this.showAgain(place);
  }

  get trail(): readonly ScreenId[] {
    return this.places.trail;
  }

  standOn(id: string): void {
    this.lists.standOn(id);
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
    if (this.row === undefined) return this.note('there is no row to open');
    this.detail.top = 0;
    if (this.screen.detailAlways === true) {
      this.detail.focused = true;
      return;
    }
    this.detail.open = true;
    if (this.detailCovers) this.detail.focused = true;
  }

  startFilter(): void {
    this.filterField = new TextField(this.list.filter);
  }

  private typeFilter(field: TextField, event: InputEvent): void {
    if (event.type === 'key' && (event.key === 'Enter' || event.key === 'Tab')) this.filterField = undefined;
    else if (event.type === 'key' && (event.key === 'Esc' || event.key === 'Ctrl-c')) {
      this.filterField = undefined;
      this.list.filter = '';
    } else if (event.type === 'key' && (event.key === 'Down' || event.key === 'Up'))
      this.move(event.key === 'Down' ? 1 : -1);
    else if (field.handle(event)) this.list.filter = field.value;
  }

  /** The detail of the row under the cursor, made when something it depends on has changed. */
  updateDetail(): void {
    const { row, screen } = this;
    const id = row === undefined ? '' : screen.rowId(row);
    const key = [this.screenId, this.lists.keyOf(this.screenId), id, this.raw].join('|');
    if (key === this.detailKey) return;
    this.detailKey = key;
    const { context, detail } = this;
    const hex =
      row !== undefined && this.raw ? guarded(() => screen.hex?.(row, context), undefined) : undefined;
    const sections = row === undefined ? [] : guarded(() => screen.detail(row, context), UNREADABLE);
    this.jobs.drop('detail');
    if (hex !== undefined) detail.setBytes(hex);
    else if (!('next' in sections)) detail.setSections(sections);
    else
      this.jobs.start('detail', {
        what: 'reading the details',
        work: sections,
        done: (made) => detail.setSections(made),
        failed: () => detail.setSections(UNREADABLE),
        cancelled: () => detail.setSections([{ title: 'No details', lines: ['It was cancelled.'] }]),
        shown: () => detail.setSections([]),
      });
  }

  /** Nobody looks at details now. */
  leaveDetail(): void {
    this.detailKey = '';
    this.jobs.drop('detail');
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

  /** Goes on with another session; this one is closed. */
  enter(next: Workspace): void {
    this.unsubscribe();
    this.workspace.close();
    this.workspace = next;
    this.unsubscribe = next.subscribe(this.setup.changed);
    this.walk = undefined;
    this.picks.clear();
    this.pausedAt = undefined;
    this.lists.clear();
    this.places.clear();
    this.show('topology');
    this.say(
      next.readOnlyReason === undefined
        ? `session ${next.sessionName}`
        : `session ${next.sessionName}, read-only: ${next.readOnlyReason}`,
    );
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

  /** Lets go of what it listens to and works on; the workspace stays open. */
  close(): void {
    this.stopFading();
    this.jobs.stop();
    this.unsubscribe();
  }
}

const UNREADABLE: readonly Section[] = [{ title: 'No details', lines: ['They can’t be read now.'] }];

/** What a screen makes of the machine; a screen that can't read it must not take the console down. */
function guarded<Result>(make: () => Result, otherwise: Result): Result {
  try {
    return make();
  } catch {
    return otherwise;
  }
}
