/** Help and tour: what tells the operator what there is, made from the key map. */
import type { Console } from '../console.ts';
import { type Line, styled } from '../format/line.ts';
import type { Command } from '../keymap.ts';
import { TextView } from '../overlays/text-view.ts';
import { screens } from '../screens/all.ts';
import { tourSteps } from './tour.ts';

export function openHelp(console: Console): void {
  console.push(
    new TextView({
      title: `Help: ${console.screen.title}`,
      lines: (columns) => helpLines(console, columns),
      onClose: () => console.pop(),
    }),
  );
}

/** Keys that apply to the screen first, then those that apply everywhere, then the rest; then what the screens are. */
export function helpLines(console: Console, columns: number): Line[] {
  const { keymap, screenId } = console;
  const keyColumns = columns < 60 ? 12 : 18;
  const lines: Line[] = [[styled('dim', `${console.screen.title}: ${console.screen.about}`)], ''];
  const here: Command[] = [];
  const anywhere: Command[] = [];
  const elsewhere: Command[] = [];
  for (const command of keymap.commands) {
    if (command.screens?.includes(screenId) === true) here.push(command);
    else if (command.screens !== undefined) elsewhere.push(command);
    else if (command.subjects !== undefined) here.push(command);
    else anywhere.push(command);
  }
  const part = (title: string, commands: readonly Command[]): void => {
    lines.push([styled('title', title)]);
    for (const command of commands) {
      const keys = keymap.keysOf(command).join(' ');
      if (keys === '') continue;
      const on = command.subjects === undefined ? '' : `  (${command.subjects.join(', ')})`;
      lines.push(['  ', styled('key', keys.padEnd(keyColumns)), ` ${command.title}`, styled('dim', on)]);
    }
    lines.push('');
  };
  part('On a row', here);
  part('Everywhere', anywhere);
  part('On other screens', elsewhere);
  lines.push([styled('title', 'Screens')]);
  for (const screen of screens)
    lines.push(['  ', styled('key', screen.title.padEnd(keyColumns)), ` ${screen.about}`]);
  const { preferenceProblems } = console;
  lines.push(
    '',
    [styled('title', 'Preferences')],
    ['  ', styled('dim', 'preferences.json in the configuration folder holds keys and themes of your own:')],
    '  {"console": {"keys": {"device.walk": ["W"]}, "theme": "mine",',
    '    "themes": {"mine": {"based": "light", "colours": {"accent": "bold #005f87", "selected": "on 153"}}}}}',
    ...preferenceProblems.map((problem): Line => ['  ', styled('warning', '! '), problem]),
  );
  return lines;
}

export function openTour(console: Console): void {
  let at = 0;
  const finish = (): void => {
    console.prefer({ tourDone: true });
    console.pop();
  };
  const view = new TextView({
    title: 'Tour',
    lines: () => [...tourSteps[at], '', [styled('dim', `${at + 1} of ${tourSteps.length}`)]],
    footer: 'Enter goes on   Left goes back   s: never show again   any other key begins',
    onKey(key, event) {
      view.toTop();
      if (key === 'Enter' || key === 'Right' || key === 'Space') {
        if (at + 1 < tourSteps.length) at += 1;
        else finish();
      } else if (key === 'Left' || key === 'Backspace') at = Math.max(0, at - 1);
      else if (key === 's') finish();
      else if (key === 'Esc') console.pop();
      else {
        // Whoever knows what to do needs no tour: the key does what it always does.
        console.pop();
        console.handle([event]);
      }
      return true;
    },
    onClose: () => console.pop(),
  });
  console.push(view);
}
