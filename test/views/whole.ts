import { expect } from 'vitest';
import { plainText } from '../../src/terminal/cells.ts';
import { textWidth } from '../../src/terminal/width.ts';
import type { Stage } from './stage.ts';

/**
 * The last frame is as tall as the terminal and no line of it wider, and the terminal shows just that: a line too many or
 * too long would have scrolled or wrapped, and a difference written wrongly would be seen.
 */
export async function expectWhole(stage: Stage, when = ''): Promise<void> {
  const { columns, rows } = stage.output;
  const lines = (stage.handle?.lines ?? []).map(plainText);
  expect(lines.length, when).toBe(rows);
  for (const line of lines) expect(textWidth(line), `${when}: ${line}`).toBeLessThanOrEqual(columns);
  const shown = await stage.screen();
  // The emulator draws pictographs in one column, as old terminals do: the other stays blank.
  const even = (line: string): string => line.replace(/(\p{Extended_Pictographic}) +/gu, '$1').trimEnd();
  expect(shown.map(even), when).toEqual(lines.map(even));
}
