/** A terminal without a window: what the console writes becomes a screen that can be read, as text and with its paint. */
import xterm from '@xterm/headless';

type Buffer = InstanceType<typeof xterm.Terminal>['buffer']['active'];
type Cell = NonNullable<ReturnType<NonNullable<ReturnType<Buffer['getLine']>>['getCell']>>;

export class Emulator {
  private readonly terminal: InstanceType<typeof xterm.Terminal>;

  constructor(columns: number, rows: number) {
    this.terminal = new xterm.Terminal({
      cols: columns,
      rows,
      allowProposedApi: true,
      scrollback: 0,
      convertEol: false,
    });
  }

  get columns(): number {
    return this.terminal.cols;
  }

  get rows(): number {
    return this.terminal.rows;
  }

  /** Takes in what was written; done when it is on the screen. */
  write(text: string): Promise<void> {
    return new Promise((resolve) => this.terminal.write(text, resolve));
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
  }

  /** The screen's lines as text, without blanks at their ends. */
  text(): string[] {
    const { active } = this.terminal.buffer;
    return Array.from(
      { length: this.rows },
      (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
    );
  }

  /** The line that the cursor is on. */
  cursorLine(): string {
    const { active } = this.terminal.buffer;
    return active.getLine(active.baseY + active.cursorY)?.translateToString(true) ?? '';
  }

  /** The screen's lines with SGR sequences for their paint. */
  painted(): string[] {
    const { active } = this.terminal.buffer;
    const cell = active.getNullCell();
    return Array.from({ length: this.rows }, (_, row) => {
      const line = active.getLine(active.baseY + row);
      if (line === undefined) return '';
      let text = '';
      let style = '';
      let blanks = '';
      for (let column = 0; column < this.columns; column++) {
        line.getCell(column, cell);
        if (cell.getWidth() === 0) continue;
        const own = styleOf(cell);
        const characters = cell.getChars() || ' ';
        if (own === '' && characters === ' ') {
          if (style !== '') text += '\u001b[m';
          style = '';
          blanks += ' ';
          continue;
        }
        text += blanks;
        blanks = '';
        if (own !== style) text += own === '' ? '\u001b[m' : `\u001b[0;${own}m`;
        style = own;
        text += characters;
      }
      return style === '' ? text : `${text}\u001b[m`;
    });
  }

  dispose(): void {
    this.terminal.dispose();
  }
}

/** SGR parameters of a cell's paint; empty for plain. */
function styleOf(cell: Cell): string {
  if (cell.isAttributeDefault()) return '';
  const codes: (number | string)[] = [];
  if (cell.isBold()) codes.push(1);
  if (cell.isDim()) codes.push(2);
  if (cell.isItalic()) codes.push(3);
  if (cell.isUnderline()) codes.push(4);
  if (cell.isInverse()) codes.push(7);
  if (cell.isStrikethrough()) codes.push(9);
  if (!cell.isFgDefault()) codes.push(colour(cell.getFgColor(), cell.isFgRGB(), 30));
  if (!cell.isBgDefault()) codes.push(colour(cell.getBgColor(), cell.isBgRGB(), 40));
  return codes.join(';');
}

function colour(value: number, rgb: boolean, base: 30 | 40): string {
  if (rgb) return `${base + 8};2;${(value >> 16) & 255};${(value >> 8) & 255};${value & 255}`;
  if (value < 8) return String(base + value);
  if (value < 16) return String(base + 60 + value - 8);
  return `${base + 8};5;${value}`;
}
