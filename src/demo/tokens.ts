/** The words of a tape: what VHS's lexer makes of it, and our own commands, which stand in comments that begin `#:`. */
import { fileError } from '../errors.ts';
import type { TapePlace } from './tape.ts';

export type Token = TapePlace & {
  readonly kind: 'word' | 'string' | 'pattern' | 'json' | 'end';
  readonly text: string;
  /** Of a pattern. */
  readonly flags?: string;
};

/** Words end at blanks and at what begins another token. */
const WORD = /[^\s"'`{#]/;

export function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let at = 0;
  const fail = (message: string, where = line): never => {
    throw fileError(message, { file, line: where });
  };
  while (at < text.length) {
    const character = text[at];
    if (character === '\n') {
      line += 1;
      at += 1;
    } else if (/\s/.test(character)) {
      at += 1;
    } else if (character === '#') {
      // `#:` at the start of a comment: the rest of the line is for us, and VHS sees a comment.
      if (text[at + 1] === ':') at += 2;
      else at = endOfLine(text, at);
    } else if (character === '"' || character === "'" || character === '`') {
      const end = text.indexOf(character, at + 1);
      const lineEnd = endOfLine(text, at);
      if (end < 0 || end > lineEnd) fail(`the text that begins with ${character} does not end on its line`);
      tokens.push({ kind: 'string', text: text.slice(at + 1, end), file, line });
      at = end + 1;
    } else if (character === '{') {
      const end = text.indexOf('}', at);
      if (end < 0) fail('a "{" is not closed');
      const body = text.slice(at, end + 1);
      tokens.push({ kind: 'json', text: body, file, line });
      line += body.split('\n').length - 1;
      at = end + 1;
    } else if (character === '/') {
      const end = wantsPath(tokens.at(-1), line) ? -1 : endOfPattern(text, at);
      if (end < 0) {
        at = pushWord(tokens, text, at, file, line);
        continue;
      }
      const flags = /^[imsu]*/.exec(text.slice(end + 1))?.[0] ?? '';
      tokens.push({ kind: 'pattern', text: text.slice(at + 1, end), flags, file, line });
      at = end + 1 + flags.length;
    } else {
      at = pushWord(tokens, text, at, file, line);
    }
  }
  tokens.push({ kind: 'end', text: 'the end', file, line });
  return tokens;
}

/** After these a slash begins a path, not a pattern. */
function wantsPath(before: Token | undefined, line: number): boolean {
  if (before?.kind !== 'word' || before.line !== line) return false;
  return ['Output', 'Screenshot', 'Source', 'Require'].includes(before.text);
}

function pushWord(tokens: Token[], text: string, from: number, file: string, line: number): number {
  let end = from + 1;
  while (end < text.length && WORD.test(text[end])) end += 1;
  tokens.push({ kind: 'word', text: text.slice(from, end), file, line });
  return end;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** The slash that closes a pattern on the same line, or -1: then it is a path. */
function endOfPattern(text: string, from: number): number {
  let inClass = false;
  for (let at = from + 1; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
    else if (text[at] === '/' && !inClass) return at;
  }
  return -1;
}
