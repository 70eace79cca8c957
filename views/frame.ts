/** From the console's state to a frame: painted lines of exactly the terminal's size, and what lies on top of them. */
import { layOver } from '../src/terminal/cells.ts';
import { fitText, lineText, textWidth } from '../src/terminal/width.ts';
import { placeColumns, rowLine, titleLine } from './columns/column.ts';
import type { Console } from './console.ts';
import { type Message, SIDE_BY_SIDE } from './console-setup.ts';
import { drawable, type Line, paintLine, plainOf, type Segment, styled, wrapText } from './format/line.ts';
import type { Command } from './keymap.ts';
import type { OverlayTable } from './overlays/overlay.ts';
import { digitOf, screenOf, screens } from './screens/all.ts';
import type { ScreenContext } from './screens/screen.ts';
import { progressLine } from './work/progress.ts';

/** A table for ink-table to draw over the blank that is left for it, and its place. */
export interface FrameTable extends OverlayTable {
  readonly left: number;
  readonly top: number;
  readonly width: number;
}

export interface Frame {
  readonly columns: number;
  readonly rows: number;
  readonly lines: readonly string[];
  readonly table: FrameTable | undefined;
  readonly ascii: boolean;
}

/** What lies over the frame, painted with its border, and its place. */
interface PaintedOverlay {
  readonly left: number;
  readonly top: number;
  readonly lines: readonly string[];
  readonly table: FrameTable | undefined;
}

/** How much of a row is highlighted: all of it on a usual terminal, and few bytes on a wide one. Columns. */
const HIGHLIGHT = 80;

export function frameOf(console: Console, columns: number, rows: number): Frame {
  console.columns = columns;
  console.rows = rows;
  void console.list; // begins what it lacks
  // A screen whose rows come in a moment is not shown without them.
  const { frame } = console;
  if (console.lists.blank && frame?.columns === columns && frame.rows === rows) return frame;
  console.frame = newFrame(console, columns, rows);
  return console.frame;
}

function newFrame(console: Console, columns: number, rows: number): Frame {
  const { screen, detail, context } = console;
  const beside = columns >= SIDE_BY_SIDE;
  const stacked = screen.detailAlways === true && !beside;
  console.detailCovers = !beside && !stacked;
  if (detail.open && console.detailCovers) detail.focused = true;

  const banner = screen.banner?.(context);
  const head = [tabLine(console, columns), placeLine(console, context, columns)];
  if (banner !== undefined && rows > 10)
    head.push(paintLine([' ', ...partsOf(banner)], columns, console.paint));
  const foot = footLines(console, context, columns, rows);
  const bodyRows = Math.max(1, rows - head.length - foot.length);
  const showDetail = detail.open || screen.detailAlways === true;
  if (showDetail) console.updateDetail();
  else console.leaveDetail();

  const body: string[] = [];
  if (showDetail && console.detailCovers) {
    console.pageRows = bodyRows;
    body.push(...detailLines(console, columns, bodyRows));
  } else if (showDetail && beside) {
    const left = Math.floor(columns * (screen.detailAlways === true ? 0.5 : 0.55));
    const list = listLines(console, context, left, bodyRows, head.length);
    const right = detailLines(console, columns - left - 2, bodyRows);
    const border = paintLine([styled('border', '│ ')], 2, console.paint);
    for (let row = 0; row < bodyRows; row += 1) body.push(`${list[row]}${border}${right[row]}`);
  } else if (showDetail) {
    const listRows = Math.max(2, Math.min(console.list.count + 1, Math.floor(bodyRows * 0.45)));
    body.push(...listLines(console, context, columns, listRows, head.length));
    if (bodyRows > listRows)
      body.push(paintLine([styled('border', '─'.repeat(columns))], columns, console.paint));
    body.push(...detailLines(console, columns, Math.max(0, bodyRows - listRows - 1)));
  } else {
    body.push(...listLines(console, context, columns, bodyRows, head.length));
  }
  const lines = [...head, ...body, ...foot].slice(0, rows);
  const overlay = overlayOf(console, columns, rows);
  for (const [at, line] of (overlay?.lines ?? []).entries()) {
    const row = (overlay?.top ?? 0) + at;
    if (row < lines.length) lines[row] = layOver(lines[row], overlay?.left ?? 0, line);
  }
  return { columns, rows, lines, table: overlay?.table, ascii: console.paint.ascii };
}

function partsOf(line: Line): readonly (string | Segment)[] {
  return typeof line === 'string' ? [line] : line;
}

/** The screens with their digits; the one that is shown stands in brackets. */
function tabLine(console: Console, columns: number): string {
  const shown = screens.filter((screen) => digitOf(screen.id) !== '' || screen.id === console.screenId);
  const label = (index: number, form: 'long' | 'short' | 'digit'): string => {
    const screen = shown[index];
    const digit = digitOf(screen.id);
    const active = screen.id === console.screenId;
    const title = form === 'long' ? screen.title : form === 'short' || active ? screen.shortTitle : '';
    return [digit, title].filter(Boolean).join(' ');
  };
  // A space on both sides of each; where that is too wide one between them; then the names go.
  const forms = (
    [
      ['long', 2],
      ['short', 2],
      ['short', 1],
      ['digit', 2],
      ['digit', 1],
    ] as const
  ).map(([form, spaces]) => ({ labels: shown.map((_, index) => label(index, form)), spaces }));
  const { labels, spaces } =
    forms.find((form) => {
      const { length } = form.labels.join('');
      return length + form.labels.length * form.spaces + 4 - 2 * form.spaces <= columns;
    }) ?? forms[4];
  const parts = labels.map((text, index) =>
    shown[index].id === console.screenId
      ? styled('tabActive', `${' '.repeat(index > 0 ? 2 - spaces : 0)}[${text}]`)
      : styled('tab', ` ${text}${' '.repeat(spaces - 1)}`),
  );
  let at = 0;
  console.tabs = parts.map(({ text }, index) => {
    const from = at;
    at += textWidth(text);
    return { from, to: at, screen: shown[index].id };
  });
  return paintLine(parts, columns, console.paint);
}

/** Where we are: session, host, the way here; on the right what the list is reduced to. */
function placeLine(console: Console, context: ScreenContext, columns: number): string {
  const { workspace, list, screen, filterField } = console;
  const host = lineText(` on ${context.host.description.name}, Linux ${workspace.profile}`);
  const trail = console.trail.map((id) => screenOf(id).title);
  const left: (string | Segment)[] = [];
  if (workspace.readOnly) left.push(styled('warning', '  read-only'));
  if (workspace.travellingAt !== undefined)
    left.push(styled('warning', `  as of act ${workspace.travellingAt}`));
  const right: (string | Segment)[] = [];
  if (filterField !== undefined)
    right.push(styled('key', '/'), ...filterField.line(Math.max(8, columns - 40)), '  ');
  else if (list.filter !== '') right.push(styled('key', `/${list.filter}`), '  ');
  if (list.marks.size > 0) right.push(styled('accent', `${list.marks.size} marked  `));
  const count = list.count === list.total ? String(list.total) : `${list.count} of ${list.total}`;
  right.push(
    styled(
      'dim',
      `${list.count === 0 ? 0 : list.cursor + 1}/${count} ${screen.noun}${list.total === 1 ? '' : 's'} `,
    ),
  );
  const rightWidth = textWidth(plainOf(right));
  if (rightWidth >= columns) return paintLine(right, columns, console.paint);
  // Where one is comes first; the way here and the host give way to it.
  const room = columns - rightWidth - 1;
  const fits = (texts: readonly string[]): boolean =>
    texts.reduce((sum, text) => sum + textWidth(text), textWidth(plainOf(left)) + 1) <= room;
  const name = ` ${workspace.sessionName}`;
  const paths = [[...trail, screen.title], [...trail.slice(-1), screen.title], [screen.title]];
  const path =
    paths
      .map((steps) => steps.join(' › '))
      .find((text, at) => fits([name, at < 2 ? host : '', '  ', text])) ?? screen.title;
  const shownHost = fits([name, host, '  ', path]) ? host : '';
  left.unshift(styled('strong', name), styled('dim', `${shownHost}  `), path);
  return (
    paintLine(left, columns - rightWidth - 1, console.paint) +
    paintLine([' ', ...right], rightWidth + 1, console.paint)
  );
}

/** Titles and the visible rows; exactly `rows` lines. */
function listLines(
  console: Console,
  context: ScreenContext,
  columns: number,
  rows: number,
  top: number,
): string[] {
  const { list, screen, paint, detail } = console;
  const placed = placeColumns(screen.columns(context), columns - 3);
  const lines = rows > 2 ? [paintLine(`  ${titleLine(placed, list.sort)}`, columns, paint, 'header')] : [];
  const room = rows - lines.length;
  console.listTop = top + lines.length;
  console.pageRows = room;
  list.scrollInto(room);
  if (list.count === 0) {
    const why =
      console.lists.absence ??
      (list.filter === ''
        ? screen.empty(context)
        : `No row fits "${list.filter}". Esc takes the filter away.`);
    lines.push(
      ...wrapText(why, Math.max(10, columns - 4)).map((text) => paintLine(`  ${text}`, columns, paint)),
    );
  }
  for (let position = list.top; position < list.count && lines.length < rows; position += 1) {
    const row = list.at(position);
    const current = position === list.cursor;
    const marked = list.isMarked(position);
    const line: Line = [
      current ? '>' : ' ',
      marked ? styled('accent', '*') : ' ',
      ...partsOf(rowLine(placed, row)),
    ];
    lines.push(
      current
        ? paintLine(line, columns, paint, detail.focused ? 'unfocused' : 'selected', HIGHLIGHT)
        : paintLine(line, columns, paint),
    );
  }
  while (lines.length < rows) lines.push(' '.repeat(columns));
  return lines.slice(0, rows);
}

function detailLines(console: Console, columns: number, rows: number): string[] {
  const { detail, paint } = console;
  let shown = detail.visible(rows, columns);
  if (rows > 1 && detail.count > rows) {
    // What does not fit is said on a line of its own, and how to get there.
    shown = detail.visible(rows - 1, columns);
    const below = detail.count - detail.top - shown.length;
    const more = below > 0 ? `… ${below} more` : '  the end';
    shown.push([styled('dim', `${more}, ${detail.focused ? 'arrows scroll' : 'Tab and arrows scroll'}`)]);
  }
  const lines = shown.map((line) => paintLine(line, columns, paint));
  while (lines.length < rows) lines.push(' '.repeat(columns));
  return lines.slice(0, rows);
}

const MARKS: Readonly<Record<Message['kind'], Segment>> = {
  done: styled('good', '✓ '),
  note: styled('dim', '· '),
  warning: styled('warning', '! '),
  error: styled('bad', '✗ '),
};

/** What was said, or the essence of the row; then the keys for the moment. */
function footLines(console: Console, context: ScreenContext, columns: number, rows: number): string[] {
  const { message, paint, row, screen } = console;
  const lines: string[] = [];
  const job = console.jobs.shown;
  if (job !== undefined)
    lines.push(
      paintLine([' ', ...partsOf(progressLine(job, console.jobs.age(job), columns))], columns, paint),
    );
  if (message !== undefined) {
    const most = rows >= 20 ? 3 : 1;
    const texts = fewLines(message.text, columns - 4, most);
    texts.forEach((text, at) => {
      lines.push(paintLine(at === 0 ? [' ', MARKS[message.kind], text] : `   ${text}`, columns, paint));
    });
    if (message.remedy !== undefined && most > 1) {
      for (const text of fewLines(message.remedy, columns - 4, 2))
        lines.push(paintLine([styled('dim', `   ${text}`)], columns, paint));
    }
  } else if (job === undefined) {
    const peek = row === undefined ? '' : safely(() => screen.peek(row, context));
    lines.push(paintLine([' ', ...partsOf(peek)], columns, paint));
  }
  if (rows >= 8) lines.push(hintLine(console, columns, rows));
  return lines;
}

/** The text on at most so many lines; what does not fit on the last is cut, with a sign. */
function fewLines(text: string, columns: number, most: number): string[] {
  const lines = wrapText(text, columns);
  return lines.length <= most
    ? lines
    : [...lines.slice(0, most - 1), fitText(lines.slice(most - 1).join(' '), columns)];
}

function safely(make: () => Line): Line {
  try {
    return make();
  } catch {
    return '';
  }
}

function hintLine(console: Console, columns: number, rows: number): string {
  const parts: (string | Segment)[] = [' '];
  if (columns < 80 || rows < 24)
    parts.push(styled('warning', `${columns}x${rows}${columns < 60 ? ', small  ' : ': 80x24 shows more  '}`));
  if (console.filterField !== undefined) {
    parts.push(
      'type to filter: text, !not, ~fuzzy   ',
      styled('key', 'Enter'),
      ' keeps it   ',
      styled('key', 'Esc'),
      ' takes it away',
    );
    return paintLine(parts, columns, console.paint);
  }
  // What the row offers on the left, what is always there on the right: moving the cursor leaves the latter alone.
  const hints = console.keymap.hints(console.screenId, console.subject()?.kind);
  const special = hints.filter((command) => command.screens !== undefined || command.subjects !== undefined);
  const general = hints.filter((command) => !special.includes(command));
  const widthOf = (command: Command): number =>
    (console.keymap.keysOf(command)[0] ?? '').length + (command.hint ?? '').length + 4;
  const taking = (commands: readonly Command[], columnsLeft: number): Command[] => {
    let room = columnsLeft;
    return commands.filter((command) => {
      room -= widthOf(command);
      return room >= 0;
    });
  };
  const total = (commands: readonly Command[]): number =>
    commands.reduce((sum, command) => sum + widthOf(command), 0);
  const free = columns - textWidth(plainOf(parts));
  const always = general.filter(
    (command) => command.id === 'help' || (command.id === 'quit' && columns >= 50),
  );
  const spacious = total(general) <= columns * 0.45;
  const right = spacious ? general : always;
  const left = taking(
    special.length > 0 ? special : general.filter((command) => !right.includes(command)),
    free - total(right),
  );
  const words = (commands: readonly Command[]): (string | Segment)[] =>
    commands.flatMap((command) => [
      styled('key', console.keymap.keysOf(command)[0] ?? ''),
      ` ${command.hint}   `,
    ]);
  parts.push(...words(left));
  const rightParts = words(right);
  const rightWidth = textWidth(plainOf(rightParts));
  return (
    paintLine(parts, Math.max(0, columns - rightWidth), console.paint) +
    paintLine(rightParts, Math.min(columns, rightWidth), console.paint)
  );
}

/** As many of the parts, which stand three spaces apart, as fit whole. */
function wholeParts(text: string, columns: number): string {
  const parts = text.split('   ');
  while (parts.length > 1 && textWidth(parts.join('   ')) > columns) parts.pop();
  return parts.join('   ');
}

function overlayOf(console: Console, columns: number, rows: number): PaintedOverlay | undefined {
  const overlay = console.overlays.at(-1);
  if (overlay === undefined) return undefined;
  const { paint } = console;
  const inner = Math.max(10, columns - 4);
  const view = overlay.view(inner, Math.max(3, rows - 2));
  const width = Math.min(view.width, inner);
  const left = Math.max(0, Math.floor((columns - width - 4) / 2));
  const edge = paintLine([styled('border', '│')], 1, paint);
  const blank = ' '.repeat(width);
  const framed = (line: string): string => `${edge} ${line} ${edge}`;
  const tableRows = view.table === undefined ? 0 : view.table.rows.length + 1;
  const room = Math.max(1, rows - 3 - tableRows);
  const shown = view.lines.slice(0, room);
  const footer = paintLine(
    typeof view.footer === 'string' ? [styled('dim', wholeParts(view.footer, width))] : view.footer,
    width,
    paint,
  );
  const title = fitText(lineText(view.title), Math.min(width - 2, textWidth(lineText(view.title))));
  const lines = [
    paintLine(
      [
        styled('border', '╭─ '),
        styled('title', title),
        styled('border', ` ${'─'.repeat(Math.max(0, width - textWidth(title) - 1))}╮`),
      ],
      width + 4,
      paint,
    ),
    ...shown.map((line) => framed(paintLine(line, width, paint))),
    ...Array.from({ length: tableRows }, () => framed(blank)),
    framed(footer),
    paintLine([styled('border', `╰${'─'.repeat(width + 2)}╯`)], width + 4, paint),
  ];
  const top = Math.max(0, Math.floor((rows - lines.length) / 3));
  const table =
    view.table === undefined
      ? undefined
      : {
          ...view.table,
          left: left + 2,
          top: top + shown.length + 1,
          width,
          rows: view.table.rows.map((cells) => cells.map((cell) => drawable(cell, paint.ascii))),
        };
  return { left, top, lines, table };
}
