/** The mouse: a click chooses a screen or a row, a second one opens it, the wheel scrolls. */
import type { MouseEvent } from '../src/terminal/input.ts';
import type { Console } from './console.ts';

export function handleMouse(console: Console, event: MouseEvent): void {
  if (event.action === 'wheel-up') return console.move(-3);
  if (event.action === 'wheel-down') return console.move(3);
  if (event.action !== 'press' || event.button !== 0) return;
  if (event.row === 0) {
    const tab = console.tabs.find(
      (candidate) => event.column >= candidate.from && event.column < candidate.to,
    );
    if (tab !== undefined) console.go(tab.screen);
    return;
  }
  const { list } = console;
  const position = list.top + event.row - console.listTop;
  if (
    event.row < console.listTop ||
    event.row >= console.listTop + console.pageRows ||
    position >= list.count
  )
    return;
  if (position === list.cursor && !console.detail.open) console.openDetail();
  else {
    list.moveTo(position);
    console.detail.top = 0;
  }
}
