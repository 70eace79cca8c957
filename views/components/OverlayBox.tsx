/** An overlay over the frame: painted lines with their border, and maybe a table. */
import { Box, Text } from 'ink';
import type { PropsWithChildren } from 'react';
import { fitText } from '../../src/terminal/width.ts';
import type { FrameOverlay } from '../frame.ts';
import type { OverlayTable } from '../overlays/overlay.ts';
import { inkTable } from './ink-table.ts';
import { PaintedLines } from './PaintedLines.tsx';

/** Slots below this are the lines of the frame. */
const FIRST_SLOT = 10_000;

export function OverlayBox({ overlay, ascii }: { readonly overlay: FrameOverlay; readonly ascii: boolean }) {
  const { left, top, width, lines, table, tableTop } = overlay;
  return (
    <>
      <Box position="absolute" marginLeft={left} marginTop={top} width={width}>
        <PaintedLines lines={lines} firstSlot={FIRST_SLOT} />
      </Box>
      {table === undefined ? null : (
        <Box position="absolute" marginLeft={left + 2} marginTop={top + tableTop} width={width - 4}>
          <SmallTable table={table} ascii={ascii} />
        </Box>
      )}
    </>
  );
}

/** ink-table with its rules left out: the box around it has a border already, and rows stay close together. */
function SmallTable({ table, ascii }: { readonly table: OverlayTable; readonly ascii: boolean }) {
  const Table = inkTable();
  if (Table === undefined) return null;
  // Columns are named by their titles; a title must not be longer than its column, nor the same as another.
  const names = table.titles.map((title, column) => fitText(title, table.widths[column]));
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
