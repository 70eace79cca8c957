import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyBytes } from '../../src/demo/keys.ts';
import { parseTape } from '../../src/demo/parse.ts';
import { Recorder } from '../../src/demo/recorder.ts';

/** What was typed (at a time, with so many acts done before), as the tape that it becomes. */
function recorded(typed: readonly { at: number; bytes: string; acts: number }[], actsAtEnd: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'vtdeck-record-'));
  try {
    let now = 0;
    let acts = 0;
    const recorder = new Recorder(
      join(folder, 'x.tape'),
      ['# a test', '#: Set Columns 80'],
      () => acts,
      () => now,
    );
    for (const one of typed) {
      now = one.at;
      acts = one.acts;
      recorder.hear(one.bytes);
    }
    acts = actsAtEnd;
    recorder.finish();
    return readFileSync(join(folder, 'x.tape'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** All bytes that a tape types. */
function typedBy(tape: string): string {
  let bytes = '';
  for (const command of parseTape(tape, 'x.tape').commands) {
    if (command.kind === 'type') bytes += command.text;
    else if (command.kind === 'key') bytes += (keyBytes(command.key) as string).repeat(command.count);
  }
  return bytes;
}

describe('a recorded session', () => {
  it('waits for acts by their number, for pauses by time, and counts keys', () => {
    const tape = recorded(
      [
        { at: 0, bytes: 'jjj', acts: 0 },
        { at: 100, bytes: '\u001b[B\u001b[B', acts: 0 },
        { at: 1300, bytes: 'c', acts: 0 },
        { at: 1400, bytes: '\r', acts: 0 },
        { at: 9000, bytes: 'q', acts: 1 },
      ],
      1,
    );
    expect(tape.trim().split('\n').slice(3)).toEqual([
      'Type "jjj"',
      'Down 2',
      'Sleep 1200ms',
      'Type "c"',
      'Enter',
      '#: Wait+State /acts=1\\b/',
      'Sleep 3000ms',
      'Type "q"',
    ]);
  });

  it('keeps pastes as pastes, and leaves clicks out', () => {
    const tape = recorded(
      [{ at: 0, bytes: 'a\u001b[200~two\nlines\u001b[201~\u001b[<0;10;5Mb', acts: 0 }],
      0,
    );
    expect(tape.trim().split('\n').slice(3)).toEqual([
      'Type "a"',
      'Copy "two lines"',
      'Paste',
      '# a tape has no word for "\\u001b[<0;10;5M" (a click, say)',
      'Type "b"',
    ]);
  });

  it('types the same bytes again, whatever they were (property)', () => {
    const key = fc.constantFrom(
      '\r',
      '\t',
      '\u001b',
      '\u007f',
      '\u001b[A',
      '\u001b[6~',
      '\u001b[Z',
      '\u0003',
      '\u001bx',
    );
    const text = fc.string({
      unit: fc.constantFrom('a', 'Z', ' ', '"', "'", '`', '#', '/', '{', '@', ':', 'é', '漢'),
    });
    const chunk = fc.record({ bytes: fc.oneof(key, text), pause: fc.nat(2000), act: fc.boolean() });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
        let at = 0;
        let acts = 0;
        const typed = chunks.map(({ bytes, pause, act }) => {
          at += pause;
          if (act) acts += 1;
          return { at, bytes, acts };
        });
        expect(typedBy(recorded(typed, acts))).toBe(typed.map((one) => one.bytes).join(''));
      }),
      { numRuns: 300 },
    );
  });
});
