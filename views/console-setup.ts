/** What the console is put together from, and what it says. */
import type { Clock } from '../src/terminal/clock.ts';
import type { ColourDepth } from './colour.ts';
import type { ConsolePreferences, SessionShelf } from './options.ts';

/** What the console needs of the terminal around it. */
export interface ConsoleTerminal {
  redraw(): void;
  suspend(resumed: (stopped: boolean) => void): void;
  copy(text: string): void;
  /** Shows a text in the operator's pager; false: there is none. */
  page(text: string): boolean;
  /**
   * Gives the terminal to a demo until it is over, in a process and a home of its own. False: not possible here.
   * @param over Called when the terminal is back; with what went wrong, if anything did.
   */
  watchDemo(name: string, over: (problem: string | undefined) => void): boolean;
  /** Writes the frame as it is to files; their names. */
  saveScreen(): readonly string[];
  setMouse(on: boolean): void;
  quit(): void;
}

export interface ConsoleSetup {
  readonly terminal: ConsoleTerminal;
  readonly clock: Clock;
  readonly shelf: SessionShelf | undefined;
  readonly preferences: ConsolePreferences;
  readonly prefer: (change: Partial<ConsolePreferences>) => void;
  readonly noColor: boolean;
  readonly colourDepth: ColourDepth;
  readonly ascii: boolean;
  /** Something changed: a frame is due. */
  readonly changed: () => void;
}

export interface Message {
  /** What was done and what is merely remarked fade; a warning stays on its screen, an error until `Esc`. */
  readonly kind: 'done' | 'note' | 'warning' | 'error';
  readonly text: string;
  readonly remedy: string | undefined;
}

/** From this width on, list and details stand side by side. Columns. */
export const SIDE_BY_SIDE = 110;

/** True when it goes away by itself. */
export function fades(message: Message): boolean {
  return message.kind === 'done' || message.kind === 'note';
}

/** Frames are at least so far apart. Milliseconds. */
export const FRAME = 16;
