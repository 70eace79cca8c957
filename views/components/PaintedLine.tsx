/**
 * One line that is painted already. Ink gets a character in its place and decides where it stands; the screen puts the
 * line there (see src/terminal/slots.ts for why).
 */
import { Text, Transform } from 'ink';
import { createContext, memo, useContext } from 'react';
import { Slots } from '../../src/terminal/slots.ts';

/** The slots of the screen that is drawn on. */
export const SlotsContext = createContext(new Slots());

export const PaintedLine = memo(function PaintedLine({
  slot,
  text,
}: {
  readonly slot: number;
  readonly text: string;
}) {
  const token = useContext(SlotsContext).fill(slot, text);
  return (
    <Transform transform={() => token}>
      <Text> </Text>
    </Transform>
  );
});
