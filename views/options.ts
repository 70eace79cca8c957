/** What the console is given by whoever opens it. */
import type { Work } from '../hw/index.ts';
import type { Clock } from '../src/terminal/clock.ts';
import type { InputEvent } from '../src/terminal/input.ts';
import type { TerminalOutput } from '../src/terminal/screen.ts';
import type { TerminalInput } from '../src/terminal/terminal.ts';
import type { Workspace } from '../src/workspace.ts';
import type { ColourDepth } from './colour.ts';
import type { OwnTheme } from './theme.ts';

/** A session, a bundled one, or a demo, as the sessions screen lists it. */
export interface ShelfEntry {
  readonly name: string;
  readonly kind: 'session' | 'bundled' | 'demo';
  readonly title: string;
  /** Host it runs on; empty when not known. */
  readonly host: string;
  readonly acts: number | undefined;
  /** When it was last written, as text for people. */
  readonly changed: string;
}

/** Where sessions are kept, as the console needs it. Each may throw an ApplicationError. */
export interface SessionShelf {
  listing(): Work<readonly ShelfEntry[]>;
  /** Opens a session or a bundled one, in steps; the console closes the one it had. Stopped, nothing is open. */
  opening(name: string): Work<Workspace>;
  /** Makes a session on a host (`undefined`: the built-in one) and opens it; stopped, there is none. */
  creating(name: string, host: string | undefined): Work<Workspace>;
  hosts(): readonly string[];
  rename(name: string, to: string): void;
  /** To the bin. */
  remove(name: string): void;
  copy(name: string, to: string): void;
  /** Writes one to a new file; the path. */
  exportTo(name: string, file: string): string;
  /** Replays an exported one and brings it in; the name it has here. */
  importing(file: string): Work<string>;
  /** What is in the bin, the last one first. */
  binned(): readonly { readonly name: string; readonly removed: string }[];
  restore(name: string): void;
  /** Replays one; whether it leads to what was recorded, in words too. */
  verifying(name: string): Work<{ readonly ok: boolean; readonly said: string }>;
  /** Text that others can read (libvirt XML, a script …), one for each format. */
  exports?(workspace: Workspace): readonly { readonly name: string; text(): string }[];
}

/** What the operator prefers, kept between runs. */
export interface ConsolePreferences {
  readonly theme?: string;
  /** Themes of one's own: `{"mine": {"based": "light", "colours": {"accent": "bold #005f87"}}}`. */
  readonly themes?: Readonly<Record<string, OwnTheme>>;
  readonly mouse?: boolean;
  readonly tourDone?: boolean;
  /** Keys by command: `{"device.walk": ["T"]}`. */
  readonly keys?: Readonly<Record<string, readonly string[]>>;
}

export interface ConsoleOptions {
  readonly input: TerminalInput;
  readonly output: TerminalOutput;
  /** Default: real time. */
  readonly clock?: Clock;
  readonly ascii?: boolean;
  readonly noColor?: boolean;
  /** Colours that the terminal shows; default: the table of 256. */
  readonly colourDepth?: ColourDepth;
  readonly screenReader?: boolean;
  readonly mouse?: boolean;
  readonly preferences?: ConsolePreferences;
  /** Called when the operator changes a preference. */
  readonly prefer?: (change: Partial<ConsolePreferences>) => void;
  readonly sessions?: SessionShelf;
  /** Listen to SIGTERM, SIGHUP and crashes: true where the streams are the process's own. */
  readonly signals?: boolean;
  /** Words that start this program: demos play in a process of their own. Absent: they can't be played from here. */
  readonly program?: readonly string[];
  /** Folder for saved screens; default: the current one. */
  readonly saveFolder?: string;
  /** Called with each frame: painted lines, as many as the terminal has rows. */
  readonly onFrame?: (lines: readonly string[]) => void;
  /** Called once, when the first frame is there. */
  readonly onReady?: (handle: ConsoleHandle) => void;
}

/** For players and tests: a running console. */
export interface ConsoleHandle {
  /** The last frame, painted. */
  readonly lines: readonly string[];
  /** Has the console act on events at once, as if they had come from the terminal. */
  send(events: readonly InputEvent[]): void;
  /** Ends the console as `q` does. */
  quit(): void;
}
