/**
 * What a terminal sends, as events: keys by name, pastes, mouse. Fast typing arrives as one chunk and a sequence may
 * arrive in two, so the parser keeps what is unfinished; a lone escape is told apart from the start of a sequence by
 * time, which the caller keeps (`pending`, `flush`).
 */

export interface KeyEvent {
  readonly type: 'key';
  /** `j`, `J`, `Enter`, `Esc`, `Tab`, `Shift-Tab`, `Space`, `Up`, `PageDown`, `F5`, `Ctrl-c`, `Alt-x`. */
  readonly key: string;
  /** What it writes into a text field; empty for keys that write nothing. */
  readonly text: string;
}

export interface PasteEvent {
  readonly type: 'paste';
  readonly text: string;
}

export interface MouseEvent {
  readonly type: 'mouse';
  readonly action: 'press' | 'release' | 'drag' | 'wheel-up' | 'wheel-down';
  /** 0 left, 1 middle, 2 right. */
  readonly button: number;
  /** From 0. */
  readonly column: number;
  readonly row: number;
}

export type InputEvent = KeyEvent | PasteEvent | MouseEvent;

const ESCAPE = '\u001b';
const PASTE_START = '\u001b[200~';
const PASTE_END = '\u001b[201~';

/** Final letters of `CSI …` and `SS3 …`. */
const LETTER_KEYS: Readonly<Record<string, string>> = {
  A: 'Up',
  B: 'Down',
  C: 'Right',
  D: 'Left',
  F: 'End',
  H: 'Home',
  P: 'F1',
  Q: 'F2',
  R: 'F3',
  S: 'F4',
};

/** Numbers of `CSI n ~`. */
const NUMBER_KEYS: Readonly<Record<string, string>> = {
  1: 'Home',
  2: 'Insert',
  3: 'Delete',
  4: 'End',
  5: 'PageUp',
  6: 'PageDown',
  7: 'Home',
  8: 'End',
  11: 'F1',
  12: 'F2',
  13: 'F3',
  14: 'F4',
  15: 'F5',
  17: 'F6',
  18: 'F7',
  19: 'F8',
  20: 'F9',
  21: 'F10',
  23: 'F11',
  24: 'F12',
};

const COMPLETE_CSI = /^\u001b\[([<>=?]?)([0-9;:]*)([ -/]*)([@-~])/;
const COMPLETE_SS3 = /^\u001bO([0-9;]*)([A-Za-z])/;
/** Strings a terminal sends in answer to questions (OSC, DCS, APC, PM, SOS): read over. */
const COMPLETE_STRING = /^\u001b[\]P_^X][^\u0007\u001b]*(?:\u0007|\u001b\\)/;

export class InputParser {
  private rest = '';

  /** True while an unfinished sequence, maybe a lone escape, waits for more. */
  get pending(): boolean {
    return this.rest !== '';
  }

  /** Events of a chunk, in order. */
  push(chunk: string): InputEvent[] {
    const events: InputEvent[] = [];
    this.rest += chunk;
    while (this.rest !== '') {
      const taken = this.take(events);
      if (taken === 0) break;
      this.rest = this.rest.slice(taken);
    }
    return events;
  }

  /** Time is up: what waits is taken as it stands. An unfinished paste goes on waiting. */
  flush(): InputEvent[] {
    if (this.rest.startsWith(PASTE_START)) return [];
    const events: InputEvent[] = [];
    const rest = this.rest;
    this.rest = '';
    if (rest === '') return events;
    events.push({ type: 'key', key: 'Esc', text: '' });
    // A sequence that was cut off for good is no text either: only what can't be part of one is kept.
    const after = rest.slice(1).replace(/^[[O][0-9;<:]*/, '');
    if (after !== '') events.push(...this.push(after));
    return events;
  }

  /** Takes one event off the front; 0 when it is unfinished. */
  private take(events: InputEvent[]): number {
    const { rest } = this;
    if (rest[0] !== ESCAPE) {
      const character = String.fromCodePoint(rest.codePointAt(0) as number);
      events.push(plainKey(character));
      return character.length;
    }
    if (rest.length === 1) return 0;
    if (rest.startsWith(PASTE_START)) {
      const end = rest.indexOf(PASTE_END);
      if (end < 0) return 0;
      events.push({ type: 'paste', text: rest.slice(PASTE_START.length, end) });
      return end + PASTE_END.length;
    }
    const second = rest[1];
    if (second === '[') return this.takeCsi(events);
    if (second === 'O') {
      const match = COMPLETE_SS3.exec(rest);
      if (match === null) return rest.length < 8 ? 0 : 1;
      const name = LETTER_KEYS[match[2]];
      if (name !== undefined) events.push({ type: 'key', key: modified(name, match[1]), text: '' });
      return match[0].length;
    }
    if (']P_^X'.includes(second)) {
      const match = COMPLETE_STRING.exec(rest);
      if (match !== null) return match[0].length;
      return rest.length < 4096 ? 0 : rest.length;
    }
    if (second === ESCAPE) {
      events.push({ type: 'key', key: 'Esc', text: '' });
      return 1;
    }
    const character = String.fromCodePoint(rest.codePointAt(1) as number);
    events.push({ type: 'key', key: `Alt-${plainKey(character).key}`, text: '' });
    return 1 + character.length;
  }

  private takeCsi(events: InputEvent[]): number {
    const match = COMPLETE_CSI.exec(this.rest);
    if (match === null) {
      // Longer than any sequence, or with a character that none can hold: not a sequence, drop its start.
      return this.rest.length > 64 || /^\u001b\[[<>=?]?[0-9;:]*[^0-9;:<>=? -/@-~]/.test(this.rest) ? 2 : 0;
    }
    const [whole, prefix, parameters, , final] = match;
    if (prefix === '<' && (final === 'M' || final === 'm')) {
      const event = mouseEvent(parameters, final);
      if (event !== undefined) events.push(event);
    } else if (prefix === '') {
      const key = csiKey(parameters, final);
      if (key !== undefined) events.push({ type: 'key', key, text: '' });
    }
    return whole.length;
  }
}

function csiKey(parameters: string, final: string): string | undefined {
  if (final === 'Z') return 'Shift-Tab';
  if (final === 'u') return codeKey(parameters);
  if (final === '~') {
    const [number, modifier] = parameters.split(';');
    const name = NUMBER_KEYS[number];
    return name === undefined ? undefined : modified(name, modifier ?? '');
  }
  const name = LETTER_KEYS[final];
  return name === undefined ? undefined : modified(name, parameters.split(';')[1] ?? '');
}

/** `CSI code ; modifier u`, as terminals send keys that have no sequence of their own: 27 is Esc beyond doubt. */
function codeKey(parameters: string): string | undefined {
  const [code, modifier] = parameters.split(';');
  const point = Number.parseInt(code, 10);
  if (!(point >= 8 && point < 0x80)) return undefined;
  const { key } = point === 27 ? { key: 'Esc' } : plainKey(String.fromCharCode(point));
  return modified(key, modifier ?? '');
}

/** xterm's modifier parameter: 1 + (1 shift, 2 alt, 4 control). */
function modified(name: string, parameter: string): string {
  const modifier = Math.max(0, Number.parseInt(parameter || '1', 10) - 1);
  const control = (modifier & 4) === 0 ? '' : 'Ctrl-';
  const alt = (modifier & 2) === 0 ? '' : 'Alt-';
  const shift = (modifier & 1) === 0 ? '' : 'Shift-';
  return `${control}${alt}${shift}${name}`;
}

function plainKey(character: string): KeyEvent {
  const code = character.codePointAt(0) as number;
  if (character === '\r' || character === '\n') return { type: 'key', key: 'Enter', text: '' };
  if (character === '\t') return { type: 'key', key: 'Tab', text: '' };
  if (code === 0x7f || code === 0x08) return { type: 'key', key: 'Backspace', text: '' };
  if (character === ' ') return { type: 'key', key: 'Space', text: ' ' };
  if (code === 0) return { type: 'key', key: 'Ctrl-Space', text: '' };
  if (code < 0x1b) return { type: 'key', key: `Ctrl-${String.fromCharCode(code + 0x60)}`, text: '' };
  if (code < 0x20) return { type: 'key', key: `Ctrl-${String.fromCharCode(code + 0x40)}`, text: '' };
  if (code >= 0x80 && code < 0xa0) return { type: 'key', key: 'Unknown', text: '' };
  return { type: 'key', key: character, text: character };
}

/** SGR 1006 mouse report. */
function mouseEvent(parameters: string, final: string): MouseEvent | undefined {
  const [code, column, row] = parameters.split(';').map(Number);
  if (![code, column, row].every(Number.isInteger) || column < 1 || row < 1) return undefined;
  const place = { type: 'mouse', button: code & 3, column: column - 1, row: row - 1 } as const;
  if ((code & 64) !== 0) {
    if ((code & 3) > 1) return undefined;
    return { ...place, action: (code & 1) === 0 ? 'wheel-up' : 'wheel-down' };
  }
  if ((code & 3) === 3) return undefined;
  if ((code & 32) !== 0) return { ...place, action: 'drag' };
  return { ...place, action: final === 'M' ? 'press' : 'release' };
}
