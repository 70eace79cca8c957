/** What concerns the session, the terminal and what is shown, rather than a row. */
import type { Console } from '../console.ts';
import { TextView } from '../overlays/text-view.ts';

export function toggleRaw(console: Console): void {
  console.raw = !console.raw;
  if (!console.detail.open) console.openDetail();
  console.detail.top = 0;
  console.note(console.raw ? 'raw bytes' : 'decoded fields');
}

export function togglePause(console: Console): void {
  console.pausedAt =
    console.pausedAt === undefined ? (console.hostState.events().at(-1)?.sequence ?? 0) : undefined;
  console.note(console.pausedAt === undefined ? 'following' : 'paused: newer events are held back');
}

export function undo(console: Console): void {
  console.session.undo();
}

export function redo(console: Console): void {
  console.session.redo();
}

export function save(console: Console): void {
  console.session.move('saving', console.workspace.inSteps.save());
}

export function copyName(console: Console): void {
  const subject = console.subject();
  if (subject === undefined) console.note('this row has no name to copy');
  else console.copy(subject.name, subject.name.split('\n')[0]);
}

export function copyDetail(console: Console): void {
  console.updateDetail();
  console.copy(console.detail.text(), 'the details');
}

export function pageDetail(console: Console): void {
  console.updateDetail();
  const text = console.detail.text();
  if (console.terminal.page(text)) return;
  console.push(
    new TextView({ title: 'Details', lines: () => text.split('\n'), onClose: () => console.pop() }),
  );
}

export function saveScreen(console: Console): void {
  console.say(`screen saved: ${console.terminal.saveScreen().join(', ')}`);
}

/** Also reads rows that were given up. */
export function redraw(console: Console): void {
  console.lists.refresh();
  console.terminal.redraw();
}

export function suspend(console: Console): void {
  console.terminal.suspend((stopped) => {
    if (!stopped) console.warn('nothing here can continue a stopped program: not suspended');
  });
}

export function nextTheme(console: Console): void {
  const { themes } = console;
  themes.next();
  console.paint = { ...console.paint, theme: themes.theme };
  console.prefer({ theme: themes.name });
  console.note(`theme ${themes.name}`);
}

export function toggleMouse(console: Console): void {
  console.mouseOn = !console.mouseOn;
  console.terminal.setMouse(console.mouseOn);
  console.prefer({ mouse: console.mouseOn });
  console.note(console.mouseOn ? 'mouse on: click selects, wheel scrolls' : 'mouse off');
}
