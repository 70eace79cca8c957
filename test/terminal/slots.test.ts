import { describe, expect, it } from 'vitest';
import { Slots } from '../../src/terminal/slots.ts';

describe('slots', () => {
  it('put a painted line in the place of its character', () => {
    const slots = new Slots();
    const token = slots.fill(3, '\u001b[31mred\u001b[0m line');
    expect(slots.expand(token)).toBe('\u001b[31mred\u001b[0m line');
    expect(slots.expand('plain text')).toBe('plain text');
  });

  it('draw over a line what Ink drew itself, but not its blanks', () => {
    const slots = new Slots();
    const line = slots.fill(0, 'a│      │j');
    expect(slots.expand(`${line}  x y`)).toBe('a│ x y  │j');
    expect(slots.expand(`${line}           z`)).toBe('a│      │j  z');
  });
});
