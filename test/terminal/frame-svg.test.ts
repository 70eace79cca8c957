import { describe, expect, it } from 'vitest';
import { frameToSvg, LIGHT_GROUND } from '../../src/terminal/frame-svg.ts';

describe('a frame as SVG', () => {
  it('keeps text, escapes what XML would take for markup, and shows colours and inverse', () => {
    const svg = frameToSvg(['a <b> & "c"', '\u001b[1;31mred\u001b[0m', '\u001b[7m>\u001b[0m'], {
      columns: 20,
      rows: 3,
    });
    expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"')).toBe(true);
    expect(svg.trimEnd().endsWith('</svg>')).toBe(true);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).toMatch(/<g fill="#cc6666"[^>]*font-weight="bold"[^>]*><text[^>]*>red</);
    expect(svg.match(/<rect/g)?.length).toBe(2);
    expect(svg).not.toContain('\u001b');
  });

  it('begins each word at its cell, wide characters too, and draws boxes as lines that join', () => {
    const svg = frameToSvg(['ab  cd 漢x', '│  e\u0301', '╰─'], { columns: 12, rows: 3 });
    const at = (column: number): string => (10 + 8.43 * column).toFixed(1);
    const texts = [...svg.matchAll(/<text x="([\d.]+)" y="(\d+)"[^>]*>([^<]+)</g)].map((match) =>
      match.slice(1),
    );
    expect(texts).toEqual([
      [at(0), '23', 'ab'],
      [at(4), '23', 'cd'],
      [at(7), '23', '漢'],
      [at(9), '23', 'x'],
      [at(3), '41', 'e\u0301'],
    ]);
    expect(svg).not.toMatch(/[│╰─]/);
    // From the top of the second row through it, and on to the middle of the third.
    expect(svg).toContain('M14.2 37V28M14.2 37V46');
    expect(svg).toContain('M14.2 55V46');
  });

  it('has a light ground for what is painted for one', () => {
    expect(frameToSvg(['x'], { columns: 1, rows: 1, ...LIGHT_GROUND })).toContain('fill="#fcfcfc"');
  });
});
