/**
 * One line that is painted already. Ink measures and wraps what it is given as text, and remembers every text it ever
 * measured; a list of 100,000 rows would stay in memory for good. So Ink lays out a single blank, and the line takes
 * its place when the frame is put together: its width is right by construction.
 */
import { Text, Transform } from 'ink';
import { memo } from 'react';

export const PaintedLine = memo(function PaintedLine({ text }: { readonly text: string }) {
  return (
    <Transform transform={() => text}>
      <Text> </Text>
    </Transform>
  );
});
