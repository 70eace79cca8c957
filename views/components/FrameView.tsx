/** A frame: its lines one below the other, and what lies on top. */
import { Box } from 'ink';
import type { Frame } from '../frame.ts';
import { OverlayBox } from './OverlayBox.tsx';
import { PaintedLines } from './PaintedLines.tsx';

export function FrameView({ frame }: { readonly frame: Frame }) {
  const { columns, rows, lines, overlay, ascii } = frame;
  // Painted lines fit as they are; a table is laid out by its own package, and what is too wide is cut off.
  return (
    <Box width={overlay === undefined ? 1 : columns} height={rows} overflow={overlay?.table === undefined ? 'visible' : 'hidden'}>
      <PaintedLines lines={lines} firstSlot={0} />
      {overlay === undefined ? null : <OverlayBox overlay={overlay} ascii={ascii} />}
    </Box>
  );
}
