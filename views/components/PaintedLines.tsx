/**
 * Lines that are painted already, one below the other. Ink gets a character in the place of each and decides where they
 * stand; the screen puts the lines there (see src/terminal/slots.ts for why). All of them are one node of the layout.
 */
import { Text, Transform } from 'ink';
import { createContext, memo, useContext } from 'react';
import { Slots } from '../../src/terminal/slots.ts';

/** The slots of the screen that is drawn on. */
export const SlotsContext = createContext(new Slots());

interface PaintedLinesProps {
  readonly lines: readonly string[];
}

export const PaintedLines = memo(function PaintedLines({ lines }: PaintedLinesProps) {
  const slots = useContext(SlotsContext);
  const tokens = lines.map((line, at) => slots.fill(at, line));
  return (
    <Transform transform={(_line, at) => tokens[at]}>
      <Text>{' \n'.repeat(lines.length - 1)} </Text>
    </Transform>
  );
});
