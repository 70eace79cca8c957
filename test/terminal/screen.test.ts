import { EventEmitter } from 'node:events';
import xterm from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { plainText } from '../../src/terminal/cells.ts';
import { Screen } from '../../src/terminal/screen.ts';

class FakeOutput extends EventEmitter {
  columns: number;
  rows: number;
  bytes = '';
  ready = true;
  readonly emulator: InstanceType<typeof xterm.Terminal>;

  constructor(columns: number, rows: number) {
    super();
    this.columns = columns;
    this.rows = rows;
    this.emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
  }

  write(text: string): boolean {
    this.bytes += text;
    this.emulator.write(text);
    return this.ready;
  }

  async text(): Promise<string[]> {
    await new Promise<void>((done) => this.emulator.write('', done));
    const buffer = this.emulator.buffer.active;
    return Array.from({ length: this.rows }, (_, row) => buffer.getLine(row)?.translateToString(true) ?? '');
  }
}

function started(columns: number, rows: number): { output: FakeOutput; screen: Screen } {
  const output = new FakeOutput(columns, rows);
  const screen = new Screen(output);
  screen.start();
  return { output, screen };
}

describe('screen', () => {
  it('shows each frame of a random sequence exactly, wide and combining characters and styles included', async () => {
    const { output, screen } = started(40, 10);
    let seed = 3;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const parts = [
      'a',
      'bc ',
      ' ',
      '漢',
      'e\u0301',
      '\u001b[31mred\u001b[39m',
      '\u001b[7m>\u001b[27m',
      '│',
      '    ',
      '0x1f',
    ];
    for (let round = 0; round < 300; round += 1) {
      const lines = Array.from({ length: random(11) }, () => {
        let line = '';
        for (let count = random(14); count > 0; count -= 1) line += parts[random(parts.length)];
        return line;
      });
      screen.write(lines.join('\n'));
      const expected = Array.from({ length: 10 }, (_, row) => {
        let width = 0;
        let kept = '';
        for (const character of plainText(lines[row] ?? '')) {
          const step = character === '漢' ? 2 : character === '\u0301' ? 0 : 1;
          if (width + step > 40) break;
          width += step;
          kept += character;
        }
        return kept.trimEnd();
      });
      expect(await output.text()).toEqual(expected);
    }
  });

  it('writes only what changed: a moved marker costs its two cells', () => {
    const { output, screen } = started(200, 60);
    const frame = (at: number): string =>
      Array.from({ length: 60 }, (_, row) => `${row === at ? '>' : ' '} row ${row} ${'x'.repeat(180)}`).join(
        '\n',
      );
    screen.write(frame(3));
    output.bytes = '';
    screen.write(frame(4));
    expect(Buffer.byteLength(output.bytes)).toBeLessThan(60);
    expect(output.bytes).not.toContain('\u001b[2J');
    output.bytes = '';
    screen.write(frame(4));
    expect(output.bytes).toBe('');
  });

  it('never writes more lines than the terminal has', async () => {
    const { output, screen } = started(20, 5);
    screen.write(Array.from({ length: 9 }, (_, row) => `line ${row}`).join('\n'));
    expect(await output.text()).toEqual(['line 0', 'line 1', 'line 2', 'line 3', 'line 4']);
    expect(output.emulator.buffer.active.baseY).toBe(0);
  });

  it('holds frames back while the terminal is busy and then shows the newest', async () => {
    const { output, screen } = started(20, 3);
    output.ready = false;
    screen.write('one');
    const after = output.bytes.length;
    screen.write('two');
    screen.write('three');
    expect(output.bytes.length).toBe(after);
    output.ready = true;
    output.emit('drain');
    expect((await output.text())[0]).toBe('three');
  });
});
