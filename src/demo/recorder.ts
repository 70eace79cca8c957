/**
 * Writes what is typed in a console as a tape. Pauses become sleeps; where an act was done, the tape waits for it by
 * the number of acts rather than by time, so that it plays on slower machines too.
 */
import { EventEmitter } from 'node:events';
import { writeWholeFile } from '../output-file.ts';
import type { TerminalInput } from '../terminal/terminal.ts';
import { keyName } from './keys.ts';
import { TapeLimit } from './tape.ts';

/** A pause shorter than this is typing; a longer one than the second is cut to it. Milliseconds. */
const PAUSE = 400;
const LONGEST_PAUSE = 3000;

interface Typed {
  readonly at: number;
  readonly bytes: string;
  /** Acts of the session when it was typed: those before it. */
  readonly acts: number;
}

export class Recorder {
  private readonly path: string;
  private readonly header: readonly string[];
  private readonly acts: () => number;
  private readonly typed: Typed[] = [];
  private readonly now: () => number;

  /** @param header Lines that the tape begins with: where it was recorded, settings. */
  constructor(
    path: string,
    header: readonly string[],
    acts: () => number,
    now: () => number = () => performance.now(),
  ) {
    this.path = path;
    this.header = header;
    this.acts = acts;
    this.now = now;
  }

  /** The same input, listened to on its way. */
  input(source: TerminalInput & { off: EventEmitter['off'] }): TerminalInput {
    const through = new EventEmitter();
    const heard = (chunk: string | Uint8Array): void => {
      this.hear(String(chunk));
      through.emit('data', chunk);
    };
    return {
      isTTY: source.isTTY,
      setRawMode: (on) => source.setRawMode?.(on),
      setEncoding: (encoding) => source.setEncoding?.(encoding),
      resume: () => source.resume?.(),
      pause: () => source.pause?.(),
      on(event, listener) {
        if (through.listenerCount('data') === 0) source.on('data', heard);
        return through.on(event, listener);
      },
      off(event, listener) {
        through.off(event, listener);
        if (through.listenerCount('data') === 0) source.off('data', heard);
      },
    };
  }

  hear(bytes: string): void {
    this.typed.push({ at: this.now(), bytes, acts: this.acts() });
  }

  finish(): void {
    writeWholeFile(this.path, toTape(this.header, this.typed, this.acts()));
  }
}

/** A chunk as keys: an escape sequence is one, plain characters are one each. */
function splitKeys(bytes: string): string[] {
  return (
    bytes.match(
      /\u001b\[200~[\s\S]*?\u001b\[201~|\u001b\[[0-9;<?]*[A-Za-z~]|\u001bO[A-Za-z]|\u001b[^[O]|[\s\S]/gu,
    ) ?? []
  );
}

function toTape(header: readonly string[], typed: readonly Typed[], actsAtEnd: number): string {
  const lines = [...header, ''];
  let text = '';
  let last: { key: string; count: number } | undefined;
  const flush = (): void => {
    if (text !== '') lines.push(`Type ${quoted(text)}`);
    if (last !== undefined) lines.push(last.count > 1 ? `${last.key} ${last.count}` : last.key);
    text = '';
    last = undefined;
  };
  let before: Typed | undefined;
  for (const one of typed) {
    if (before !== undefined) {
      const pause = one.at - before.at;
      if (one.acts !== before.acts) {
        flush();
        lines.push(`#: Wait+State /acts=${one.acts}\\b/`);
      }
      if (pause >= PAUSE) {
        flush();
        lines.push(`Sleep ${Math.round(Math.min(pause, LONGEST_PAUSE) / 100) * 100}ms`);
      }
    }
    before = one;
    for (const key of splitKeys(one.bytes)) {
      const pasted = PASTE.exec(key)?.[1];
      const name = keyName(key);
      if (pasted !== undefined) {
        flush();
        lines.push(`Copy ${quoted(pasted.replace(/[\u0000-\u001f]+/g, ' '))}`, 'Paste');
      } else if (name !== undefined) {
        if (last?.key !== name || last.count >= TapeLimit.repeat) {
          flush();
          last = { key: name, count: 0 };
        }
        last.count += 1;
      } else if (key.startsWith('\u001b')) {
        flush();
        lines.push(`# a tape has no word for ${JSON.stringify(key)} (a click, say)`);
      } else {
        // A tape has three quotation marks and no escapes: a text may hold two of them.
        const full =
          text.length >= TapeLimit.textLength || MARKS.every((mark) => `${text}${key}`.includes(mark));
        if (last !== undefined || full) flush();
        text += key;
      }
    }
  }
  flush();
  if (before !== undefined && before.acts !== actsAtEnd) lines.push(`#: Wait+State /acts=${actsAtEnd}\\b/`);
  return `${lines.join('\n')}\n`;
}

/** A bracketed paste. */
const PASTE = /^\u001b\[200~([\s\S]*)\u001b\[201~$/;

const MARKS = ['"', "'", '`'] as const;

function quoted(text: string): string {
  const mark = MARKS.find((candidate) => !text.includes(candidate)) ?? MARKS[0];
  return `${mark}${text}${mark}`;
}
