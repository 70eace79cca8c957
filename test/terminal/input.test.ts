import { describe, expect, it } from 'vitest';
import { InputParser } from '../../src/terminal/input.ts';

const keys = (...chunks: string[]): string[] => {
  const parser = new InputParser();
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.flush()].map((event) =>
    event.type === 'key'
      ? event.key
      : event.type === 'paste'
        ? `paste(${event.text})`
        : `${event.action}@${event.column},${event.row}`,
  );
};

describe('input parser', () => {
  it('takes fast typing that arrives as one chunk apart', () => {
    expect(keys('jjjk')).toEqual(['j', 'j', 'j', 'k']);
    expect(keys('\b\r\n\t')).toEqual(['Backspace', 'Enter', 'Enter', 'Tab']);
  });

  it('names arrows, paging, function keys in both of their forms, with modifiers', () => {
    expect(keys('\u001b[A\u001bOB\u001b[5~\u001b[6~\u001b[H\u001bOF\u001b[Z')).toEqual([
      'Up', 'Down', 'PageUp', 'PageDown', 'Home', 'End', 'Shift-Tab',
    ]); // biome-ignore format: one row
    expect(keys('\u001b[1;5C\u001b[15~\u001b[3;2~')).toEqual(['Ctrl-Right', 'F5', 'Shift-Delete']);
  });

  it('tells a lone escape from a sequence that arrives in two parts', () => {
    expect(keys('\u001b')).toEqual(['Esc']);
    expect(keys('\u001b', '[A')).toEqual(['Up']);
    expect(keys('\u001b[', '1;5', 'C')).toEqual(['Ctrl-Right']);
    expect(keys('\u001bx')).toEqual(['Alt-x']);
    expect(keys('\u001b\u001b[A')).toEqual(['Esc', 'Up']);
  });

  it('gives a bracketed paste whole, also across chunks, and none of it as keys', () => {
    expect(keys('a\u001b[200~q\nrm', ' -rf\u001b[201~b')).toEqual(['a', 'paste(q\nrm -rf)', 'b']);
  });

  it('reads SGR mouse reports', () => {
    expect(keys('\u001b[<0;10;5M\u001b[<0;10;5m\u001b[<64;1;1M\u001b[<65;1;1M\u001b[<32;3;4M')).toEqual([
      'press@9,4', 'release@9,4', 'wheel-up@0,0', 'wheel-down@0,0', 'drag@2,3',
    ]); // biome-ignore format: one row
  });

  it('reads over answers of the terminal and over unknown sequences', () => {
    expect(keys('\u001b]11;rgb:0000/0000/0000\u0007j\u001b[?1;2cj\u001bP1$r0m\u001b\\j\u001b[?2026;2$yj')).toEqual([
      'j', 'j', 'j', 'j',
    ]); // biome-ignore format: one row
  });

  it('never stalls or throws on any bytes', () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const parser = new InputParser();
    for (let round = 0; round < 20_000; round += 1) {
      const alphabet = '\u001b\u001b[[O<;0123456789MmA~Zq\u0000\u007f\u0080é漢😀]P\\';
      parser.push([...alphabet][random([...alphabet].length)]);
      if (random(5) === 0) parser.flush();
    }
    parser.push('\u001b[201~');
    parser.flush();
    expect(parser.push('j').at(-1)).toEqual({ type: 'key', key: 'j', text: 'j' });
  });
});
