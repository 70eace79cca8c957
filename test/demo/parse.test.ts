import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyBytes, keyName } from '../../src/demo/keys.ts';
import { parseTape, readTape } from '../../src/demo/parse.ts';
import { TapeLimit } from '../../src/demo/tape.ts';
import { ApplicationError } from '../../src/errors.ts';

/** Commands without where they stand. */
function commands(text: string): Record<string, unknown>[] {
  return parseTape(text, 'x.tape').commands.map(({ file: _file, line: _line, ...command }) => command);
}

function refused(text: string): ApplicationError {
  try {
    parseTape(text, 'x.tape');
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(ApplicationError);
    return thrown as ApplicationError;
  }
  throw new Error(`"${text.slice(0, 60)}" was taken`);
}

describe('a tape of VHS', () => {
  it('is understood as VHS has it (README of charmbracelet/vhs)', () => {
    const tape = `
# A comment
Output demo.gif
Require echo
Set Shell "bash"
Set FontSize 32
Set TypingSpeed 75ms
Set Theme { "name": "Whimsy", "black": "#535178" }
Set WaitPattern /foo/
Env HELLO "WORLD"
Type "echo 'Welcome to VHS!'" Sleep 500ms Enter
Type@500ms "slow"
Backspace 18
Up@50ms 2
Ctrl+R
Ctrl+Alt+Left
Alt+.
Shift+Tab
Sleep .5
Sleep 2
Wait
Wait+Screen@1m /some [a/b] text/
Screenshot examples/screenshot.png
Hide
Show
Copy "https://x"
Paste
`;
    expect(commands(tape)).toEqual([
      { kind: 'output', path: 'demo.gif' },
      { kind: 'require', text: 'echo' },
      { kind: 'set', name: 'Shell', value: 'bash' },
      { kind: 'set', name: 'FontSize', value: '32' },
      { kind: 'set', name: 'TypingSpeed', value: '75ms' },
      { kind: 'set', name: 'Theme', value: '{ "name": "Whimsy", "black": "#535178" }' },
      { kind: 'set', name: 'WaitPattern', value: 'foo' },
      { kind: 'env', text: 'HELLO=WORLD' },
      { kind: 'type', text: "echo 'Welcome to VHS!'", speed: undefined },
      { kind: 'sleep', milliseconds: 500 },
      { kind: 'key', key: 'Enter', count: 1, speed: undefined },
      { kind: 'type', text: 'slow', speed: 500 },
      { kind: 'key', key: 'Backspace', count: 18, speed: undefined },
      { kind: 'key', key: 'Up', count: 2, speed: 50 },
      { kind: 'key', key: 'Ctrl+R', count: 1, speed: undefined },
      { kind: 'key', key: 'Ctrl+Alt+Left', count: 1, speed: undefined },
      { kind: 'key', key: 'Alt+.', count: 1, speed: undefined },
      { kind: 'key', key: 'Shift+Tab', count: 1, speed: undefined },
      { kind: 'sleep', milliseconds: 500 },
      { kind: 'sleep', milliseconds: 2000 },
      { kind: 'wait', scope: 'line', pattern: undefined, flags: '', negated: false, timeout: undefined },
      {
        kind: 'wait',
        scope: 'screen',
        pattern: 'some [a/b] text',
        flags: '',
        negated: false,
        timeout: 60_000,
      },
      { kind: 'screenshot', path: 'examples/screenshot.png' },
      { kind: 'hide' },
      { kind: 'show' },
      { kind: 'copy', text: 'https://x' },
      { kind: 'paste' },
    ]);
  });

  it('takes absolute paths as paths', () => {
    expect(commands('Output /tmp/a/b.gif\nScreenshot /x/y.png\nWait /a/')).toMatchObject([
      { kind: 'output', path: '/tmp/a/b.gif' },
      { kind: 'screenshot', path: '/x/y.png' },
      { kind: 'wait', pattern: 'a' },
    ]);
  });

  it('keeps our own commands in comments, which VHS passes over', () => {
    expect(
      commands(
        '#: Expect /a b/i\n# plain\n#:Resize 100 30\n#: Wait+State /acts=1/\nExpect+Not /x/\n#: Chapter "One"',
      ),
    ).toEqual([
      { kind: 'expect', scope: 'screen', pattern: 'a b', flags: 'i', negated: false, timeout: undefined },
      { kind: 'resize', columns: 100, rows: 30 },
      { kind: 'wait', scope: 'state', pattern: 'acts=1', flags: '', negated: false, timeout: undefined },
      { kind: 'expect', scope: 'screen', pattern: 'x', flags: '', negated: true, timeout: undefined },
      { kind: 'chapter', title: 'One' },
    ]);
  });
});

describe('what is no tape', () => {
  it.each([
    ['Type "open', 1, /does not end/],
    ['\n\nEnterr', 3, /no command or key "Enterr"/],
    ['Sleep soon', 1, /no time/],
    ['Sleep 999999999', 1, /ten minutes/],
    ['Enter 1000000', 1, /repeats/],
    ['Expect', 1, /needs a/],
    ['Expect /(/', 1, /[Uu]nterminated|Invalid/],
    ['Wait+Nowhere /x/', 1, /no "Nowhere"/],
    ['Type', 1, /text in quotes/],
    ['Resize 9999 9999', 1, /number from/],
    ['Set', 1, /needs something/],
    ['Ctrl+Ctrl+C', 1, /no command or key/],
    [`Expect /${'a'.repeat(TapeLimit.patternLength + 1)}/`, 1, /at most/],
    [`Type "${'a'.repeat(TapeLimit.textLength + 1)}"`, 1, /at most/],
    ['Enter\n'.repeat(TapeLimit.commands + 1), TapeLimit.commands + 1, /at most/],
    ['\u001b[2J', 1, /no command/],
  ])('is refused with its line (%#)', (text, line, message) => {
    const error = refused(text);
    expect(error.place?.line).toBe(line);
    expect(error.message).toMatch(message);
    expect(error.exitCode).toBe(2);
  });

  it('never throws anything but a named error, whatever the bytes (property)', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 300 }),
          fc.string({
            unit: fc.constantFrom(
              'Type "',
              '"',
              '/',
              '\n',
              '#:',
              ' ',
              'Enter',
              '@',
              '9',
              '{',
              'Wait+',
              'Ctrl+',
            ),
          }),
        ),
        (text) => {
          try {
            parseTape(text, 'x.tape');
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(ApplicationError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('Source', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtdeck-tape-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('takes tapes of the same folder and below', () => {
    mkdirSync(join(folder, 'parts'));
    writeFileSync(join(folder, 'a.tape'), 'Source parts/b.tape\nEnter');
    writeFileSync(join(folder, 'parts', 'b.tape'), 'Tab');
    expect(
      readTape(join(folder, 'a.tape')).commands.map((command) => (command.kind === 'key' ? command.key : '')),
    ).toEqual(['Tab', 'Enter']);
  });

  it('refuses paths that lead out, by name or by link, and circles', () => {
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'out.tape'), 'Tab');
    writeFileSync(join(folder, 'inner', 'a.tape'), 'Source ../out.tape');
    symlinkSync(join(folder, 'out.tape'), join(folder, 'inner', 'link.tape'));
    writeFileSync(join(folder, 'inner', 'b.tape'), 'Source link.tape');
    writeFileSync(join(folder, 'inner', 'c.tape'), 'Source c.tape');
    for (const name of ['a', 'b']) {
      expect(() => readTape(join(folder, 'inner', `${name}.tape`))).toThrow(/outside the folder/);
    }
    expect(() => readTape(join(folder, 'inner', 'c.tape'))).toThrow(/more than 8 deep/);
  });
});

describe('keys', () => {
  it('are the bytes that xterm sends', () => {
    expect(keyBytes('Enter')).toBe('\r');
    expect(keyBytes('Ctrl+C')).toBe('\u0003');
    expect(keyBytes('Ctrl+c')).toBe('\u0003');
    expect(keyBytes('Alt+x')).toBe('\u001bx');
    expect(keyBytes('Shift+Tab')).toBe('\u001b[Z');
    expect(keyBytes('Ctrl+Up')).toBe('\u001b[1;5A');
    expect(keyBytes('Shift+Ctrl+Up')).toBe('\u001b[1;6A');
    expect(keyBytes('Shift+PageUp')).toBe('\u001b[5;2~');
    expect(keyBytes('Meta+x')).toBeUndefined();
    expect(keyBytes('constructor')).toBeUndefined();
  });

  it('have names that give the same bytes back', () => {
    for (const name of [
      'Enter',
      'Escape',
      'Tab',
      'Backspace',
      'Up',
      'PageDown',
      'Home',
      'Ctrl+C',
      'Ctrl+Z',
      'Alt+x',
      'Shift+Tab',
    ]) {
      const bytes = keyBytes(name) as string;
      expect(keyBytes(keyName(bytes) as string)).toBe(bytes);
    }
    expect(keyName('a')).toBeUndefined();
  });
});
