/** What a tape says, command by command. */

/** Where a command stands, for errors. */
export interface TapePlace {
  readonly file: string;
  readonly line: number;
}

/** What a wait or an expectation looks at: the whole screen, the line of the cursor, or the state of the session. */
export type Scope = 'screen' | 'line' | 'state';

export type TapeCommand = TapePlace &
  (
    | { readonly kind: 'type'; readonly text: string; readonly speed: number | undefined }
    /** `key` as a tape names it: `Enter`, `Ctrl+C`, `Shift+Tab`. */
    | {
        readonly kind: 'key';
        readonly key: string;
        readonly count: number;
        readonly speed: number | undefined;
      }
    | { readonly kind: 'sleep'; readonly milliseconds: number }
    | {
        readonly kind: 'wait' | 'expect';
        readonly scope: Scope;
        /** Undefined: the pattern set by `Set WaitPattern`. */
        readonly pattern: string | undefined;
        readonly flags: string;
        readonly negated: boolean;
        readonly timeout: number | undefined;
      }
    | { readonly kind: 'screenshot' | 'output'; readonly path: string }
    | { readonly kind: 'hide' | 'show' | 'paste' }
    | { readonly kind: 'copy'; readonly text: string }
    | { readonly kind: 'set'; readonly name: string; readonly value: string }
    | { readonly kind: 'resize'; readonly columns: number; readonly rows: number }
    | { readonly kind: 'chapter'; readonly title: string }
    /** Said of the world outside (programs, environment): noted, and without effect here. */
    | { readonly kind: 'require' | 'env'; readonly text: string }
  );

export interface Tape {
  readonly file: string;
  readonly commands: readonly TapeCommand[];
}

/**
 * A tape is text from anywhere: these keep it from hanging the program, filling memory or the disk. They are far above
 * what a demo for people needs.
 */
export const TapeLimit = {
  bytes: 1 << 20,
  commands: 20_000,
  repeat: 1_000,
  keys: 10_000,
  sourceDepth: 8,
  sleepMilliseconds: 600_000,
  totalMilliseconds: 3_600_000,
  patternLength: 1_000,
  textLength: 10_000,
  columns: 400,
  rows: 200,
  recordedBytes: 1 << 26,
} as const;
