/** A plan as an SVG picture: its text, folded to a width that reads well in a ticket. */
import { printable } from '../errors.ts';
import { frameToSvg } from '../terminal/frame-svg.ts';
import { textWidth } from '../terminal/width.ts';

const COLUMNS = 110;

export function planSvg(text: string, title: string): string {
  const lines = printable(text).split('\n').flatMap(fold);
  return frameToSvg(lines, { columns: COLUMNS, rows: lines.length, title });
}

/** Breaks a long line between words; what follows is set in by two more. */
function fold(line: string): string[] {
  const indent = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let current = '';
  for (const word of line.slice(indent.length).split(' ')) {
    const start = lines.length === 0 ? indent : `${indent}  `;
    const longer = current === '' ? start + word : `${current} ${word}`;
    if (current !== '' && textWidth(longer) > COLUMNS) {
      lines.push(current);
      current = `${indent}  ${word}`;
    } else {
      current = longer;
    }
  }
  return [...lines, current];
}
