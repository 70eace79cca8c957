/** A frame: its lines one below the other, and what lies on top. */
import { Box } from 'ink';
import type { Frame } from '../frame.ts';
import { OverlayBox } from './OverlayBox.tsx';
import { PaintedLine } from './PaintedLine.tsx';

export function FrameView({ frame }: { readonly frame: Frame }) {
  const { columns, rows, lines, overlay, ascii } = frame;
  return (
    <Box width={columns} height={rows} flexDirection="column" overflow="hidden">
      {lines.map((line, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line of the terminal is known by its place
        <PaintedLine key={row} slot={row} text={line} />
      ))}
      {overlay === undefined ? null : <OverlayBox overlay={overlay} ascii={ascii} />}
    </Box>
  );
}
