/** A small table over the frame, drawn by ink-table. */
import { Box, Text } from 'ink';
import type { PropsWithChildren } from 'react';
import { fitText } from '../../src/terminal/width.ts';
import type { FrameTable } from '../frame.ts';
import type { OverlayTable } from '../overlays/overlay.ts';
import { inkTable } from './ink-table.ts';

export function PlacedTable({ table, ascii }: { readonly table: FrameTable; readonly ascii: boolean }) {
  return (
    <Box position="absolute" marginLeft={table.left} marginTop={table.top} width={table.width}>
      <SmallTable table={table} ascii={ascii} />
    </Box>
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
