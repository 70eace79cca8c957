/** The console for a screen reader: Ink's own mode, with labelled roles and nothing that is only drawing. */
import { Box, Text } from 'ink';
import type { Reading } from '../reading.ts';

export function ReaderView({ reading }: { readonly reading: Reading }) {
  const { place, position, cells, detail, working, message, keys, question } = reading;
  if (question !== undefined) {
    return (
      <Box flexDirection="column" aria-role="menu">
        <Text>{question.title}</Text>
        {question.lines.map((line) => (
          <Text key={line}>{line}</Text>
        ))}
        {question.choices.map((choice) => (
          <Box key={choice} aria-role="menuitem" aria-state={{ selected: choice.startsWith('current: ') }}>
            <Text>{choice}</Text>
          </Box>
        ))}
        {message === undefined ? null : <Text>{message}</Text>}
        <Text>{question.keys}</Text>
      </Box>
    );
  }
  return (
    <Box flexDirection="column">
      <Text>{place}</Text>
      <Box aria-role="list" flexDirection="column">
        <Box aria-role="listitem" aria-state={{ selected: true }} flexDirection="column">
          <Text>{position}</Text>
          {cells.map((cell) => (
            <Text key={cell.title}>{`${cell.title}: ${cell.value}`}</Text>
          ))}
        </Box>
      </Box>
      {detail.map((line, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of a text are known by their place
        <Text key={at}>{line}</Text>
      ))}
      {working === undefined ? null : <Text>{working}</Text>}
      {message === undefined ? null : <Text>{message}</Text>}
      <Text>{`Keys: ${keys}`}</Text>
    </Box>
  );
}
