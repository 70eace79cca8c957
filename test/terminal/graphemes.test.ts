import { describe, expect, it } from 'vitest';
import { graphemesOf } from '../../src/terminal/graphemes.ts';

describe('graphemes', () => {
  const own = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
  it.each([
    '',
    'plain text',
    '\u{f0000}\u{f0001} x',
    'e\u0301 mark',
    '👩‍👩‍👧 family',
    'a\r\nb',
    '漢字',
    'x\u{f0000}\u0301',
  ])('of %j are those of the language', (text) => {
    const plain = (found: Iterable<{ segment: string; index: number }>) =>
      Array.from(found, ({ segment, index }) => ({ segment, index }));
    expect(plain(graphemesOf(text))).toEqual(plain(own.segment(text)));
  });
});
