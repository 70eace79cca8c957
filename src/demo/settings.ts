/** What `Set` says in a tape. */
import { type Tape, TapeLimit } from './tape.ts';

/** Times in milliseconds. */
export const DEFAULTS = {
  columns: 80,
  rows: 24,
  typingSpeed: 50,
  waitTimeout: 15_000,
  waitPattern: '^[>$] *$',
};

/** Settings that are read before the tape begins. */
const OWN_SETTINGS = new Set(['Session', 'Columns', 'Rows', 'Title']);

/** Settings of VHS that are about pictures: understood, without effect on what the program shows. */
const PICTURE_SETTINGS = new Set([
  'Shell', 'FontSize', 'FontFamily', 'Height', 'Width', 'LetterSpacing', 'LineHeight', 'Theme', 'Padding', 'Framerate',
  'PlaybackSpeed', 'LoopOffset', 'Margin', 'MarginFill', 'WindowBar', 'WindowBarSize', 'BorderRadius', 'CursorBlink',
]); // biome-ignore format: a list

/** Whether a setting is one of ours or of VHS; those that change the play are looked at by the player. */
export function isKnownSetting(name: string): boolean {
  return OWN_SETTINGS.has(name) || PICTURE_SETTINGS.has(name);
}

/** Columns and rows that the tape sets; VHS's size in pixels is brought to cells of its font. */
export function sizeOf(tape: Tape): { columns: number; rows: number } {
  const set = new Map(
    tape.commands.flatMap((command) =>
      command.kind === 'set' ? [[command.name, Number(command.value)]] : [],
    ),
  );
  const font = set.get('FontSize') ?? 22;
  const padding = 2 * (set.get('Padding') ?? 60);
  const columns = set.get('Columns') ?? cells(set.get('Width'), padding, font * 0.6) ?? DEFAULTS.columns;
  const rows = set.get('Rows') ?? cells(set.get('Height'), padding, font * 1.2) ?? DEFAULTS.rows;
  return {
    columns: within(columns, 20, TapeLimit.columns, DEFAULTS.columns),
    rows: within(rows, 5, TapeLimit.rows, DEFAULTS.rows),
  };
}

function cells(pixels: number | undefined, padding: number, cell: number): number | undefined {
  return pixels === undefined ? undefined : Math.floor((pixels - padding) / cell);
}

function within(value: number, low: number, high: number, otherwise: number): number {
  return Number.isFinite(value) ? Math.min(high, Math.max(low, Math.floor(value))) : otherwise;
}

/** `Set Title`, or the name of the file. */
export function titleOf(tape: Tape): string {
  for (const command of tape.commands)
    if (command.kind === 'set' && command.name === 'Title') return command.value;
  return (tape.file.split('/').pop() ?? tape.file).replace(/\.tape$/, '');
}
