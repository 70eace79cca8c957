/** An overlay over the frame: a border, a title, lines, maybe a table, and the keys for the moment. */
import { Box, Text } from 'ink';
import type { PropsWithChildren } from 'react';
import { fitText } from '../../src/terminal/width.ts';
import type { FrameOverlay } from '../frame.ts';
import type { OverlayTable } from '../overlays/overlay.ts';
import { inkTable } from './ink-table.ts';
import { PaintedLine } from './PaintedLine.tsx';

export function OverlayBox({ overlay, ascii }: { readonly overlay: FrameOverlay; readonly ascii: boolean }) {
  const { left, top, width, height, title, lines, table, footer } = overlay;
  const blank = ' '.repeat(width);
  return (
    <>
      <Box position="absolute" marginLeft={left} marginTop={top} width={width} flexDirection="column">
        {Array.from({ length: height }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows of the background are nothing but their places
          <PaintedLine key={row} text={blank} />
        ))}
      </Box>
      <Box
        position="absolute"
        marginLeft={left}
        marginTop={top}
        width={width}
        height={height}
        borderStyle={ascii ? 'classic' : 'round'}
        flexDirection="column"
        paddingX={1}
      >
        <PaintedLine text={title} />
        {lines.map((line, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is known by its place
          <PaintedLine key={row} text={line} />
        ))}
        {table === undefined ? null : <SmallTable table={table} ascii={ascii} />}
        <PaintedLine text={footer} />
      </Box>
    </>
  );
}

/** ink-table with its rules left out: the box around it has a border already, and rows stay close together. */
function SmallTable({ table, ascii }: { readonly table: OverlayTable; readonly ascii: boolean }) {
  const Table = inkTable();
  if (Table === undefined) return null;
  // Columns are named by their titles; a title must not be longer than its column, nor the same as another.
  const names = table.titles.map(
    (title, column) => fitText(title, table.widths[column]) + '\u200b'.repeat(0),
  );
  const unique = names.map((name, column) =>
    names.indexOf(name) === column ? name : `${name.slice(0, -1)}${column}`,
  );
  const data = table.rows.map((cells) =>
    Object.fromEntries(cells.map((cell, column) => [unique[column], cell])),
  );
  return (
    <Table
      key={unique.join('|')}
      data={data}
      columns={unique}
      padding={1}
      header={Heading}
      cell={Cell}
      skeleton={ascii ? AsciiBar : Bar}
    />
  );
}

function Heading({ children }: PropsWithChildren) {
  return <Text bold>{children}</Text>;
}

function Cell({ children }: PropsWithChildren) {
  return <Text>{children}</Text>;
}

/** Bars between columns are kept, everything else of the skeleton goes. */
function Bar({ children }: PropsWithChildren) {
  return children === '│' ? <Text>│</Text> : null;
}

function AsciiBar({ children }: PropsWithChildren) {
  return children === '│' ? <Text>|</Text> : null;
}
