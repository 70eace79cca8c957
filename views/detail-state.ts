/** The detail pane: what it shows, how far it is scrolled, and the byte under its cursor when it shows bytes. */

import { lineText } from '../src/terminal/width.ts';
import { BYTES_PER_LINE, hexDumpLine } from './format/hex-dump.ts';
import type { Line } from './format/line.ts';
import { safeLine, styled, wrapLine } from './format/line.ts';
import type { HexDetail, Section } from './screens/screen.ts';

export class DetailState {
  open = false;
  focused = false;
  /** First visible line. */
  top = 0;
  /** Offset of the byte under the cursor. */
  byte = 0;
  private lines: readonly Line[] = [];
  private wrapped: { readonly columns: number; readonly lines: readonly Line[] } | undefined;
  private hex: HexDetail | undefined;

  get count(): number {
    return this.hex === undefined
      ? (this.wrapped?.lines ?? this.lines).length
      : Math.ceil(this.hex.bytes.length / BYTES_PER_LINE) + 2;
  }

  get showsBytes(): boolean {
    return this.hex !== undefined;
  }

  setSections(sections: readonly Section[]): void {
    this.hex = undefined;
    const lines: Line[] = [];
    for (const section of sections) {
      if (lines.length > 0) lines.push('');
      lines.push([styled('title', lineText(section.title))]);
      for (const line of section.lines)
        lines.push(safeLine(typeof line === 'string' ? `  ${line}` : ['  ', ...line]));
    }
    this.lines = lines;
    this.wrapped = undefined;
  }

  setBytes(hex: HexDetail): void {
    this.hex = hex;
    this.byte = Math.min(this.byte, Math.max(0, hex.bytes.length - 1));
  }

  /** Lines of the window; what is longer than it is wide goes on below. */
  visible(rows: number, columns: number): Line[] {
    if (this.wrapped?.columns !== columns) {
      this.wrapped = { columns, lines: this.lines.flatMap((line) => wrapLine(line, columns)) };
    }
    this.top = Math.max(0, Math.min(this.top, this.count - rows));
    const { hex } = this;
    if (hex === undefined) return this.wrapped.lines.slice(this.top, this.top + rows);
    // The name of the byte under the cursor stays in sight above the dump.
    const lines: Line[] = [
      [styled('key', `${this.byte.toString(16).padStart(3, '0')}: `), hex.nameAt(this.byte)],
      '',
    ];
    const dumpRows = Math.max(1, rows - lines.length);
    const cursorLine = Math.floor(this.byte / BYTES_PER_LINE);
    if (this.focused) {
      if (cursorLine < this.top) this.top = cursorLine;
      if (cursorLine >= this.top + dumpRows) this.top = cursorLine - dumpRows + 1;
    }
    for (let row = this.top; row < this.top + dumpRows && row * BYTES_PER_LINE < hex.bytes.length; row += 1) {
      lines.push(hexDumpLine(hex.bytes, row * BYTES_PER_LINE, this.byte));
    }
    return lines;
  }

  move(by: number): void {
    if (this.hex === undefined) {
      this.top = Math.max(0, Math.min(this.count, this.top + by));
      return;
    }
    const last = this.hex.bytes.length - 1;
    const next = this.byte + (Number.isFinite(by) ? by * BYTES_PER_LINE : by);
    this.byte = Math.max(0, Math.min(last, next));
  }

  moveByte(by: number): void {
    if (this.hex !== undefined) this.byte = Math.max(0, Math.min(this.hex.bytes.length - 1, this.byte + by));
  }

  /** All of it as text. */
  text(): string {
    const { hex } = this;
    const all: Line[] =
      hex === undefined
        ? [...this.lines]
        : Array.from({ length: Math.ceil(hex.bytes.length / BYTES_PER_LINE) }, (_, row) =>
            hexDumpLine(hex.bytes, row * BYTES_PER_LINE),
          );
    return all
      .map((line) =>
        typeof line === 'string'
          ? line
          : line.map((part) => (typeof part === 'string' ? part : part.text)).join(''),
      )
      .map((line) => line.trimEnd())
      .join('\n');
  }
}
