/** A screen as it is best read aloud: what there is, where one stands, the row in words, and what can be done. */
import { lineText } from '../src/terminal/width.ts';
import type { Console } from './console.ts';
import { fades } from './console-setup.ts';
import { type Line, plainOf } from './format/line.ts';
import { progressReading } from './work/progress.ts';

export interface Reading {
  readonly place: string;
  readonly position: string;
  /** Title and value of each column that says something. */
  readonly cells: readonly { readonly title: string; readonly value: string }[];
  readonly detail: readonly string[];
  /** Long work that goes on; changes seldom. */
  readonly working: string | undefined;
  readonly message: string | undefined;
  readonly keys: string;
  readonly question:
    | {
        readonly title: string;
        readonly lines: readonly string[];
        readonly choices: readonly string[];
        readonly keys: string;
      }
    | undefined;
}

/** How many lines of detail are read at a time: what is longer is scrolled. */
const DETAIL_LINES = 12;

export function readingOf(console: Console): Reading {
  void console.list; // begins what it lacks
  const { reading } = console;
  if (console.lists.blank && reading !== undefined) return reading;
  console.reading = newReading(console);
  return console.reading;
}

function newReading(console: Console): Reading {
  const { screen, list, row, context, message, keymap } = console;
  const words = (line: Line): string =>
    lineText(plainOf(line))
      .replace(/[▸▾●○·✓✗→]/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  const overlay = console.overlays.at(-1)?.view(76, 20);
  if (console.detail.open) console.updateDetail();
  else console.leaveDetail();
  const job = console.jobs.shown;
  return {
    place: words(
      `${screen.title}, session ${console.workspace.sessionName}${console.workspace.readOnly ? ', read-only' : ''}`,
    ),
    position:
      list.count === 0
        ? (console.lists.absence ?? screen.empty(context))
        : `${screen.noun} ${list.cursor + 1} of ${list.count}${list.isMarked(list.cursor) ? ', marked' : ''}`,
    cells:
      row === undefined
        ? []
        : screen
            .columns(context)
            .map((column) => ({ title: column.title, value: words(column.cell(row)) }))
            .filter((cell) => cell.value !== '' && cell.value !== '-'),
    detail: console.detail.open ? console.detail.visible(DETAIL_LINES, 120).map(words).filter(Boolean) : [],
    working: job === undefined ? undefined : progressReading(job, console.jobs.age(job)),
    message:
      message === undefined
        ? undefined
        : `${fades(message) ? '' : `${message.kind}: `}${message.text}${message.remedy === undefined ? '' : `. ${message.remedy}`}`,
    keys: keymap
      .hints(console.screenId, console.subject()?.kind)
      .map((command) => `${keymap.keysOf(command)[0]} ${command.hint}`)
      .join(', '),
    question:
      overlay === undefined
        ? undefined
        : {
            title: overlay.title,
            lines: overlay.lines.map(words).filter(Boolean),
            choices:
              overlay.table?.rows.map((cells) =>
                cells
                  .map((cell) => cell.trim())
                  .filter(Boolean)
                  .join(', ')
                  .replace(/^>, /, 'current: '),
              ) ?? [],
            keys: words(overlay.footer),
          },
  };
}
