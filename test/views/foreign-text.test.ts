/** Names from elsewhere: wide, combining, right to left, with control characters. Columns stay straight, nothing gets through. */
import { describe, expect, it } from 'vitest';
import { builtInHost } from '../../src/hosts/builtin.ts';
import { scratchWorkspace } from '../../src/session/open-workspace.ts';
import { lineText, textWidth } from '../../src/terminal/width.ts';
import { Stage } from './stage.ts';
import { expectWhole } from './whole.ts';

const NAMES = [
  '漢字カナ加速器デバイス',
  'e\u0301te\u0301 a\u0300 la carte',
  '👩‍👩‍👧 family 👍🏽 ❤️ hearts',
  'عربي وعبري עברית',
  'red \u001b[31mcolour\u001b]0;title\u0007',
  'over\u202Ewritten\u200f \u2066here',
  'bell\u0007 back\b\b tab\there',
  'planes \u{f0000}\u{f2710} of private use',
  '\u009b31m and \u0085 of C1',
];

function foreign(): ReturnType<typeof scratchWorkspace> {
  const description = builtInHost('server');
  if (description === undefined) throw new Error('the built-in server is missing');
  const functions = description.functions.map((one, at) => ({
    ...one,
    name: `Vendor ${NAMES[at % NAMES.length]}`,
  }));
  const host = { ...description, name: 'host 漢\u001b[5m', functions };
  return scratchWorkspace('main', { host, profile: '5.15' } as never, [], { now: () => 0 });
}

describe('text from elsewhere', () => {
  it.each(NAMES)('%j is as wide as it says, and holds nothing that acts', (name) => {
    const safe = lineText(name);
    expect(safe).not.toMatch(
      /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]|\u200d|\ufe0f/,
    );
    expect(safe).not.toMatch(/[\u{f0000}-\u{fffff}]/u);
    expect(textWidth(safe)).toBeGreaterThan(0);
    expect(lineText(safe)).toBe(safe);
  });

  it.each([
    [80, 24, {}],
    [120, 40, {}],
    [200, 60, {}],
    [80, 24, { ascii: true }],
  ])('keeps its columns straight at %ix%i %o', async (columns, rows, options) => {
    const stage = new Stage(columns, rows, options, foreign());
    for (const keys of [
      ['1'],
      ['j', 'j', 'Enter'],
      ['Esc', '9'],
      ['2', 'Enter'],
      ['Esc', '1', '/', '漢'],
      ['Enter', 'c'],
    ]) {
      await stage.keys(...keys);
      await expectWhole(stage, keys.join());
    }
    await stage.keys('Esc', 'Esc', 'Esc', '1', 'g');
    // Groups stand in one column, whatever the names before them are.
    const screen = await stage.screen();
    const heading = screen.find((line) => line.includes('Driver')) ?? '';
    const at = heading.indexOf('Grp');
    const groups = screen.filter((line) => /0000:[0-9a-f]{2}:/.test(line) && !line.includes('bus'));
    expect(groups.length).toBeGreaterThan(10);
    await stage.keys('Y');
    for (const row of screen.keys()) {
      if (!groups.includes(screen[row])) continue;
      const cells = Array.from(
        { length: 5 },
        (_, offset) =>
          stage.output.emulator.buffer.active
            .getLine(row)
            ?.getCell(at - 1 + offset)
            ?.getChars() ?? '',
      ).join('');
      expect(cells.trim(), screen[row]).toMatch(/^\d+$/);
    }
    // Of all control characters only those of our own sequences were written.
    const own = /\u001b(?:\[[0-9;?]*[A-Za-z]|\]52;c;[A-Za-z0-9+/=]*\u0007|[78])/g;
    expect(stage.output.bytes.replace(own, '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(stage.output.bytes).not.toMatch(/\u001b\[(?:5|31)m/);
  });

  it('is read aloud without anything that acts', async () => {
    const stage = new Stage(80, 24, { screenReader: true }, foreign());
    await stage.keys('j', 'j', 'j', 'j', 'j', 'j', 'j', 'Enter');
    expect(stage.output.bytes).not.toMatch(/\u001b\[(?:5|31)m|\u0007|\u202e|\u009b/);
  });
});
