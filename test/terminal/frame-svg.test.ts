import { describe, expect, it } from 'vitest';
import { frameToSvg } from '../../src/terminal/frame-svg.ts';

describe('a frame as SVG', () => {
  it('keeps text, escapes what XML would take for markup, and shows colours and inverse', () => {
    const svg = frameToSvg(['a <b> & "c"', '\u001b[1;31mred\u001b[0m', '\u001b[7m>\u001b[0m'], {
      columns: 20,
      rows: 3,
    });
    expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"')).toBe(true);
    expect(svg.trimEnd().endsWith('</svg>')).toBe(true);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).toMatch(/fill="#cc6666"[^>]*font-weight="bold"[^>]*>red</);
    expect(svg.match(/<rect/g)?.length).toBe(2);
    expect(svg).not.toContain('\u001b');
  });
});
