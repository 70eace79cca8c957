/** Keys by the names that tapes use, as the bytes that a terminal sends for them. */

const NAMED: Readonly<Record<string, string>> = {
  Enter: '\r',
  Escape: '\u001b',
  Tab: '\t',
  Space: ' ',
  Backspace: '\u007f',
  Delete: '\u001b[3~',
  Insert: '\u001b[2~',
  Up: '\u001b[A',
  Down: '\u001b[B',
  Right: '\u001b[C',
  Left: '\u001b[D',
  Home: '\u001b[H',
  End: '\u001b[F',
  PageUp: '\u001b[5~',
  PageDown: '\u001b[6~',
  // The wheel, over the middle of an 80x24 screen, as SGR mouse reports.
  ScrollUp: '\u001b[<64;40;12M',
  ScrollDown: '\u001b[<65;40;12M',
};

/** Bytes of `Enter`, `Ctrl+C`, `Alt+x`, `Shift+Tab`, `Ctrl+Alt+Up`; undefined when there is no such key. */
export function keyBytes(name: string): string | undefined {
  const parts = name.split('+');
  const base = parts.pop() as string;
  const modifiers = new Set(parts);
  if (
    modifiers.size !== parts.length ||
    [...modifiers].some((part) => !['Ctrl', 'Alt', 'Shift'].includes(part))
  )
    return undefined;
  const sequence = Object.hasOwn(NAMED, base) ? NAMED[base] : undefined;
  if (modifiers.size === 0) return sequence;
  if (sequence !== undefined) return withModifiers(base, sequence, modifiers);
  if ([...base].length !== 1) return undefined;
  let bytes = modifiers.has('Shift') ? base.toUpperCase() : base;
  if (modifiers.has('Ctrl')) {
    const code = base.toUpperCase().charCodeAt(0);
    if (code < 0x40 || code > 0x5f) return undefined;
    bytes = String.fromCharCode(code & 0x1f);
  }
  return modifiers.has('Alt') ? `\u001b${bytes}` : bytes;
}

/** Named keys with modifiers, as xterm sends them. */
function withModifiers(base: string, sequence: string, modifiers: ReadonlySet<string>): string | undefined {
  if (base === 'Tab' && modifiers.has('Shift')) return '\u001b[Z';
  const code =
    1 + (modifiers.has('Shift') ? 1 : 0) + (modifiers.has('Alt') ? 2 : 0) + (modifiers.has('Ctrl') ? 4 : 0);
  const letter = /^\u001b\[([ABCDHF])$/.exec(sequence);
  if (letter !== null) return `\u001b[1;${code}${letter[1]}`;
  const number = /^\u001b\[(\d)~$/.exec(sequence);
  if (number !== null) return `\u001b[${number[1]};${code}~`;
  return modifiers.has('Alt') && modifiers.size === 1 ? `\u001b${sequence}` : undefined;
}

/** The name under which a tape writes what was typed, or undefined for plain text. */
export function keyName(bytes: string): string | undefined {
  for (const [name, sequence] of Object.entries(NAMED))
    if (sequence === bytes && name !== 'Space') return name;
  if (bytes === '\u001b[Z') return 'Shift+Tab';
  if (bytes.length === 1 && bytes.charCodeAt(0) < 0x20)
    return `Ctrl+${String.fromCharCode(bytes.charCodeAt(0) | 0x40)}`;
  if (bytes.length === 2 && bytes[0] === '\u001b') return `Alt+${bytes[1]}`;
  return undefined;
}
