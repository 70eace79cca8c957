/** Recordings as asciicasts (docs.asciinema.org/manual/asciicast): versions 2 and 3. The same tape gives the same bytes. */
import type { RecordedEvent, Recording } from './recording.ts';

const CODES = { output: 'o', input: 'i', marker: 'm', resize: 'r' } as const;

/** Seconds with at most six digits behind the point, as both versions have times. */
function seconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1_000_000;
}

/** Version 2: times since the start. */
export function toCast2(recording: Recording): string {
  const { columns, rows, title } = recording;
  const header = { version: 2, width: columns, height: rows, title, env: { TERM: 'xterm-256color' } };
  return lines(header, recording.events, (event) => [seconds(event.at), CODES[event.kind], event.data]);
}

/** Version 3: times since the event before, and the size under `term`. */
export function toCast3(recording: Recording): string {
  const { columns, rows, title } = recording;
  const header = { version: 3, term: { cols: columns, rows, type: 'xterm-256color' }, title };
  let before = 0;
  return lines(header, recording.events, (event) => {
    const interval = seconds(event.at - before);
    before = event.at;
    return [interval, CODES[event.kind], event.data];
  });
}

function lines(
  header: object,
  events: readonly RecordedEvent[],
  encode: (event: RecordedEvent) => unknown,
): string {
  return `${[header, ...events.map(encode)].map((value) => JSON.stringify(value)).join('\n')}\n`;
}
