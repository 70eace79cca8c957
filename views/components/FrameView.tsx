/** A frame: its lines one below the other, and maybe a table on top. */
import { Box } from 'ink';
import type { Frame } from '../frame.ts';
import { PaintedLines } from './PaintedLines.tsx';
import { PlacedTable } from './PlacedTable.tsx';

export function FrameView({ frame }: { readonly frame: Frame }) {
  const { columns, rows, lines, table, ascii } = frame;
  // Painted lines fit as they are; a table is laid out by its own package, and what is too wide of it is cut off.
  return (
    <Box
      width={table === undefined ? 1 : columns}
      height={rows}
      overflow={table === undefined ? 'visible' : 'hidden'}
    >
      <PaintedLines lines={lines} />
      {table === undefined ? null : <PlacedTable table={table} ascii={ascii} />}
    </Box>
  );
}
