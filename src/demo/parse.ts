/**
 * Parses tapes. Those of VHS are understood as they are; of our own commands each may stand in a comment (`#: Expect
 * /x/`), so that VHS passes over it.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { fileError } from '../errors.ts';
import { readInput } from '../input.ts';
import { keyBytes } from './keys.ts';
import { type Scope, type Tape, type TapeCommand, TapeLimit } from './tape.ts';
import { type Token, tokenize } from './tokens.ts';

/** Reads a tape and those it sources. @throws ApplicationError FORMAT with file and line. */
export function readTape(path: string): Tape {
  return { file: path, commands: readCommands(path, 0, { left: TapeLimit.commands }) };
}

/** Parses text; `Source` is read relative to the folder of `file`. */
export function parseTape(text: string, file: string): Tape {
  return { file, commands: parseCommands(text, file, 0, { left: TapeLimit.commands }) };
}

/** Commands still allowed, over all sourced files together. */
interface Budget {
  left: number;
}

function readCommands(path: string, depth: number, budget: Budget): TapeCommand[] {
  const { size } = statSync(path);
  if (size > TapeLimit.bytes)
    throw fileError(`a tape has at most ${TapeLimit.bytes} bytes, this has ${size}`, { file: path });
  return parseCommands(readInput(path), path, depth, budget);
}

function parseCommands(text: string, file: string, depth: number, budget: Budget): TapeCommand[] {
  const reader = new TokenReader(tokenize(text, file));
  const commands: TapeCommand[] = [];
  while (!reader.atEnd) {
    const token = reader.next();
    if (token.kind !== 'word') throw wrong(token, `a command should stand here, not ${shown(token)}`);
    if (token.text === 'Source') commands.push(...source(reader.path(token), file, depth, budget));
    else commands.push(parseOne(token, reader));
    budget.left -= 1;
    if (budget.left < 0) throw wrong(token, `a tape has at most ${TapeLimit.commands} commands`);
  }
  return commands;
}

/** A sourced tape lies in the folder of the one that sources it, or below. */
function source(named: Token, file: string, depth: number, budget: Budget): TapeCommand[] {
  if (depth >= TapeLimit.sourceDepth)
    throw wrong(named, `tapes source each other more than ${TapeLimit.sourceDepth} deep`);
  const folder = dirname(resolve(file));
  const path = resolve(folder, named.text);
  let real: string;
  try {
    real = realpathSync(path);
  } catch {
    throw wrong(named, `there is no tape "${named.text}"`);
  }
  const inside = relative(realpathSync(folder), real);
  if (inside.startsWith('..') || isAbsolute(inside))
    throw wrong(named, `"${named.text}" lies outside the folder of the tape`);
  return readCommands(real, depth + 1, budget);
}

class TokenReader {
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get atEnd(): boolean {
    return this.tokens[this.at].kind === 'end';
  }

  get peek(): Token {
    return this.tokens[this.at];
  }

  next(): Token {
    const token = this.tokens[this.at];
    if (token.kind !== 'end') this.at += 1;
    return token;
  }

  /** A path or a value: quoted or not. */
  path(command: Token): Token {
    const token = this.next();
    if (token.kind === 'end' || token.line !== command.line)
      throw wrong(command, `${command.text} needs something after it`);
    return token;
  }

  /** All quoted texts that follow, joined as VHS does. */
  strings(command: Token): string {
    const texts: string[] = [];
    while (this.peek.kind === 'string') texts.push(this.next().text);
    if (texts.length === 0) throw wrong(command, `${command.text} needs a text in quotes`);
    const text = texts.join(' ');
    if (text.length > TapeLimit.textLength)
      throw wrong(command, `a text has at most ${TapeLimit.textLength} characters`);
    return text;
  }

  /** A number on the same line, if one follows. */
  count(command: Token): number {
    const { kind, text, line } = this.peek;
    if (kind !== 'word' || line !== command.line || !/^\d+$/.test(text)) return 1;
    this.next();
    const count = Number(text);
    if (count < 1 || count > TapeLimit.repeat)
      throw wrong(command, `a key repeats 1 to ${TapeLimit.repeat} times`);
    return count;
  }
}

function parseOne(token: Token, reader: TokenReader): TapeCommand {
  const { file, line } = token;
  const place = { file, line };
  const [name, time] = splitTime(token);
  switch (name) {
    case 'Type':
      return { ...place, kind: 'type', text: reader.strings(token), speed: time };
    case 'Sleep': {
      const milliseconds = duration(reader.path(token), 's');
      if (milliseconds > TapeLimit.sleepMilliseconds) throw wrong(token, 'a sleep lasts at most ten minutes');
      return { ...place, kind: 'sleep', milliseconds };
    }
    case 'Hide':
    case 'Show':
    case 'Paste':
      return { ...place, kind: name.toLowerCase() as 'hide' | 'show' | 'paste' };
    case 'Copy':
      return { ...place, kind: 'copy', text: reader.strings(token) };
    case 'Screenshot':
    case 'Output':
      return { ...place, kind: name.toLowerCase() as 'screenshot' | 'output', path: reader.path(token).text };
    case 'Require':
      return { ...place, kind: 'require', text: reader.path(token).text };
    case 'Env':
      return { ...place, kind: 'env', text: `${reader.path(token).text}=${reader.path(token).text}` };
    case 'Set':
      return setting(token, reader);
    case 'Chapter':
      return { ...place, kind: 'chapter', title: reader.strings(token).slice(0, 200) };
    case 'Resize': {
      const columns = bounded(reader.path(token), 10, TapeLimit.columns);
      return { ...place, kind: 'resize', columns, rows: bounded(reader.path(token), 4, TapeLimit.rows) };
    }
    default:
      return name.startsWith('Wait') || name.startsWith('Expect')
        ? expectation(token, name, time, reader)
        : key(token, name, time, reader);
  }
}

const SCOPES: Readonly<Record<string, Scope>> = { Screen: 'screen', Line: 'line', State: 'state' };

function expectation(
  token: Token,
  name: string,
  timeout: number | undefined,
  reader: TokenReader,
): TapeCommand {
  const [verb, ...options] = name.split('+');
  if (verb !== 'Wait' && verb !== 'Expect') throw wrong(token, `there is no command ${name}`);
  const kind = verb === 'Wait' ? 'wait' : 'expect';
  let scope: Scope = kind === 'wait' ? 'line' : 'screen';
  let negated = false;
  for (const option of options) {
    if (option === 'Not') negated = true;
    else if (Object.hasOwn(SCOPES, option)) scope = SCOPES[option];
    else throw wrong(token, `${verb} knows Screen, Line, State and Not, but no "${option}"`);
  }
  const { file, line } = token;
  const { peek } = reader;
  const given = peek.kind === 'pattern' && peek.line === line ? reader.next() : undefined;
  if (given === undefined && kind === 'expect') throw wrong(token, 'Expect needs a /pattern/');
  if (given !== undefined) checkPattern(given);
  return { file, line, kind, scope, pattern: given?.text, flags: given?.flags ?? '', negated, timeout };
}

function checkPattern(token: Token): void {
  if (token.text.length > TapeLimit.patternLength) {
    throw wrong(token, `a pattern has at most ${TapeLimit.patternLength} characters`);
  }
  try {
    new RegExp(token.text, token.flags);
  } catch (thrown) {
    throw wrong(token, (thrown as Error).message);
  }
}

function setting(token: Token, reader: TokenReader): TapeCommand {
  const { file, line } = token;
  const name = reader.path(token).text;
  const value = reader.path(token);
  if (name === 'WaitPattern') checkPattern({ ...value, flags: '' });
  return { file, line, kind: 'set', name, value: value.text };
}

function key(token: Token, name: string, speed: number | undefined, reader: TokenReader): TapeCommand {
  if (keyBytes(name) === undefined) {
    throw fileError(
      `there is no command or key "${name.slice(0, 40)}"`,
      { file: token.file, line: token.line },
      'keys: Enter, Escape, Tab, Space, Up, Down, Left, Right, PageUp, PageDown, Home, End, Ctrl+C …; texts: Type "…"',
    );
  }
  const { file, line } = token;
  return { file, line, kind: 'key', key: name, count: reader.count(token), speed };
}

/** `Type@500ms` → `Type`, 500. */
function splitTime(token: Token): [string, number | undefined] {
  const at = token.text.indexOf('@');
  if (at <= 0) return [token.text, undefined];
  const milliseconds = duration({ ...token, text: token.text.slice(at + 1) }, 's');
  if (milliseconds > TapeLimit.sleepMilliseconds) throw wrong(token, 'a time is at most ten minutes');
  return [token.text.slice(0, at), milliseconds];
}

/** `500ms`, `2s`, `1m`, `0.5`: milliseconds. */
export function duration(token: Token, unitByDefault: 's' | 'ms'): number {
  const match = /^(\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})(ms|s|m)?$/.exec(token.text);
  if (match === null) throw wrong(token, `"${token.text.slice(0, 40)}" is no time such as 500ms or 2s`);
  return Math.round(Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[(match[2] ?? unitByDefault) as 'ms']);
}

function bounded(token: Token, low: number, high: number): number {
  const value = /^\d{1,4}$/.test(token.text) ? Number(token.text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw wrong(token, `"${token.text.slice(0, 40)}" should be a number from ${low} to ${high}`);
}

function shown(token: Token): string {
  return token.kind === 'end' ? token.text : `"${token.text.slice(0, 40)}"`;
}

function wrong(token: Token, message: string): Error {
  return fileError(message, { file: token.file, line: token.line });
}
