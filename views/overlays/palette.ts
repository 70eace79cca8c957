/**
 * The command palette: every action and every command of the console by name, with completion of names, arguments and
 * values. `mdev.create parent=0000:6a:01.0 type=…` runs as it stands; what is missing is asked for.
 */
import type { InputEvent } from '../../src/terminal/input.ts';
import { fitText } from '../../src/terminal/width.ts';
import { type Line, styled } from '../format/line.ts';
import { fuzzyScore } from '../list/filter.ts';
import { TextField } from '../text-field.ts';
import type { Overlay, OverlayView } from './overlay.ts';

export interface PaletteEntry {
  /** `mdev.create`, `go groups`. */
  readonly name: string;
  readonly title: string;
  /** Keys that do the same. */
  readonly keys: string;
  readonly disabled: string | undefined;
}

export interface PaletteArgument {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  candidates(given: Readonly<Record<string, string>>): readonly string[];
}

export interface PaletteOptions {
  /** What stands in it to begin with. */
  readonly line?: string;
  readonly entries: readonly PaletteEntry[];
  argumentsOf(name: string): readonly PaletteArgument[];
  onRun(name: string, given: Readonly<Record<string, string>>): void;
  onCancel(): void;
}

interface Suggestion {
  readonly text: string;
  readonly about: string;
  readonly keys: string;
  /** The whole line once it is taken. */
  readonly line: string;
  readonly disabled: string | undefined;
}

export class Palette implements Overlay {
  private readonly options: PaletteOptions;
  private readonly field: TextField;
  private suggestions: readonly Suggestion[] = [];
  private cursor = 0;

  constructor(options: PaletteOptions) {
    this.options = options;
    this.field = new TextField(options.line);
    this.suggest();
  }

  handle(event: InputEvent): void {
    if (event.type === 'key') {
      switch (event.key) {
        case 'Esc':
        case 'Ctrl-c':
          return this.options.onCancel();
        case 'Up':
        case 'Ctrl-p':
          this.cursor = Math.max(0, this.cursor - 1);
          return;
        case 'Down':
        case 'Ctrl-n':
          this.cursor = Math.min(this.suggestions.length - 1, this.cursor + 1);
          return;
        case 'Tab': {
          const taken = this.suggestions[this.cursor];
          if (taken !== undefined) {
            this.field.set(taken.line);
            this.suggest();
          }
          return;
        }
        case 'Enter':
          return this.run();
      }
    }
    if (this.field.handle(event)) this.suggest();
  }

  view(columns: number, rows: number): OverlayView {
    const width = Math.min(columns, 100);
    const visible = Math.max(1, rows - 4);
    const top = Math.max(
      0,
      Math.min(this.cursor - Math.floor(visible / 2), this.suggestions.length - visible),
    );
    const nameColumns = Math.min(
      Math.floor(width / 2),
      this.suggestions.reduce((most, suggestion) => Math.max(most, suggestion.text.length), 12),
    );
    const lines: Line[] = [[styled('key', ':'), ...this.field.line(width - 1)]];
    for (const [at, suggestion] of this.suggestions.slice(top, top + visible).entries()) {
      const current = top + at === this.cursor;
      lines.push([
        current ? '> ' : suggestion.disabled === undefined ? '  ' : '- ',
        styled(
          current ? 'strong' : suggestion.disabled === undefined ? 'plain' : 'dim',
          fitText(suggestion.text, nameColumns),
        ),
        '  ',
        styled('dim', suggestion.about),
        suggestion.keys === '' ? '' : styled('key', `  ${suggestion.keys}`),
      ]);
    }
    const current = this.suggestions[this.cursor];
    return {
      title: 'Command',
      lines,
      footer:
        current?.disabled === undefined
          ? 'Tab completes   Enter runs   Esc leaves'
          : [styled('warning', `not now: ${current.disabled}`)],
      width,
    };
  }

  private run(): void {
    const words = wordsOf(this.field.value);
    const [name = '', ...rest] = words;
    const exact = this.options.entries.find(
      (entry) => entry.name === this.field.value.trim() || entry.name === name,
    );
    const chosen =
      exact ?? this.options.entries.find((entry) => entry.name === this.suggestions[this.cursor]?.text);
    if (chosen === undefined) return;
    const given: Record<string, string> = {};
    if (exact !== undefined) {
      // A word without a name is for the first argument that is wanted and has none yet.
      const wanted = this.options.argumentsOf(exact.name).filter((argument) => argument.required);
      for (const word of rest) {
        const at = word.indexOf('=');
        const name = at > 0 ? word.slice(0, at) : wanted.find((one) => given[one.name] === undefined)?.name;
        given[name ?? word] = at > 0 ? word.slice(at + 1) : word;
      }
    }
    this.options.onRun(chosen.name, given);
  }

  private suggest(): void {
    const { value } = this.field;
    const words = wordsOf(value);
    const [name = ''] = words;
    const started = /\s/.test(value);
    this.suggestions =
      started && this.options.argumentsOf(name).length > 0
        ? this.argumentSuggestions(name, words.slice(1), /\s$/.test(value))
        : this.entrySuggestions(value.trim().toLowerCase());
    this.cursor = Math.max(0, Math.min(this.cursor, this.suggestions.length - 1));
    const usable = this.suggestions.findIndex((suggestion) => suggestion.disabled === undefined);
    this.cursor = Math.max(0, usable);
  }

  private entrySuggestions(letters: string): Suggestion[] {
    const scored = this.options.entries.map((entry, at) => ({
      entry,
      at,
      score: letters === '' ? at : fuzzyScore(letters, `${entry.name} ${entry.title}`.toLowerCase()),
    }));
    return scored
      .filter((candidate) => candidate.score !== undefined)
      .sort((a, b) => (a.score ?? 0) - (b.score ?? 0) || a.at - b.at)
      .map(({ entry }) => ({
        text: entry.name,
        about: entry.title,
        keys: entry.keys,
        line: `${entry.name} `,
        disabled: entry.disabled,
      }));
  }

  private argumentSuggestions(name: string, words: readonly string[], fresh: boolean): Suggestion[] {
    const known = this.options.argumentsOf(name);
    const finished = fresh ? words : words.slice(0, -1);
    const open = fresh ? '' : (words.at(-1) ?? '');
    const given: Record<string, string> = {};
    for (const word of finished) {
      const at = word.indexOf('=');
      if (at > 0) given[word.slice(0, at)] = word.slice(at + 1);
    }
    const before = [name, ...finished.map(quoted)].join(' ');
    const equals = open.indexOf('=');
    if (equals > 0) {
      const argument = known.find((candidate) => candidate.name === open.slice(0, equals));
      const typed = open.slice(equals + 1).toLowerCase();
      const values = argument?.candidates(given) ?? [];
      return values
        .filter((value) => fuzzyScore(typed, value.toLowerCase()) !== undefined)
        .map((value) => ({
          text: value,
          about: argument?.description ?? '',
          keys: '',
          line: `${before} ${quoted(`${argument?.name}=${value}`)} `,
          disabled: undefined,
        }));
    }
    return known
      .filter((argument) => given[argument.name] === undefined && argument.name.startsWith(open))
      .map((argument) => ({
        text: `${argument.name}=`,
        about: argument.description,
        keys: '',
        line: `${before} ${argument.name}=`,
        disabled: undefined,
      }));
  }
}

/** Words apart by spaces; double quotes hold a word with spaces together. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const match of text.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)) words.push(match[0].replaceAll('"', ''));
  return words;
}

function quoted(word: string): string {
  if (!word.includes(' ')) return word;
  const at = word.indexOf('=');
  return at < 0 ? `"${word}"` : `${word.slice(0, at + 1)}"${word.slice(at + 1)}"`;
}
