import { describe, expect, it } from 'vitest';
import { Slots } from '../../src/terminal/slots.ts';

describe('slots', () => {
  it('put a painted line in the place of its character', () => {
    const slots = new Slots();
    const token = slots.fill(3, '\u001b[31mred\u001b[0m line');
    expect(slots.expand(token)).toBe('\u001b[31mred\u001b[0m line');
    expect(slots.expand('plain text')).toBe('plain text');
  });

  it('lay one line over another where its character stands', () => {
    const slots = new Slots();
    const below = slots.fill(0, 'abcdefghij');
    const above = slots.fill(1, '[  ]');
    expect(slots.expand(`${below}  ${above}`)).toBe('abc[  ]hij');
  });

  it('draw what Ink drew itself over both, but not its blanks', () => {
    const slots = new Slots();
    const below = slots.fill(0, 'abcdefghij');
    const above = slots.fill(1, '│      │');
    expect(slots.expand(`${below}${above} x y`)).toBe('a│ x y  │j');
  });
});
