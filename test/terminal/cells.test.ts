import { describe, expect, it } from 'vitest';
import { layOver } from '../../src/terminal/cells.ts';

describe('a line over another', () => {
  it('takes the place of what is below it, styles and all', () => {
    expect(layOver('abcdefghij', 3, '[  ]')).toBe('abc[  ]hij');
    expect(layOver('\u001b[31mabcdef\u001b[0m', 2, 'XY')).toBe('\u001b[31mab\u001b[mXY\u001b[31mef\u001b[m');
  });

  it('reaches beyond the end of a short line', () => {
    expect(layOver('ab', 4, 'XY')).toBe('ab  XY');
  });

  it('leaves no half of a wide character', () => {
    expect(layOver('漢字漢字', 1, 'XYZ')).toBe(' XYZ漢字');
    expect(layOver('漢字漢字', 2, 'X')).toBe('漢X 漢字');
    expect(layOver('a漢b', 0, 'XY')).toBe('XY b');
  });
});
