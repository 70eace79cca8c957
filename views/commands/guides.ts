/** Help, palette and tour: what tells the operator what there is. All made from the key map and the action registry. */

import { describeArguments } from '../../src/actions/arguments.ts';
import { actionNamed, actions } from '../../src/actions/registry.ts';
import { act } from '../act.ts';
import { argumentsAtHand } from '../at-hand.ts';
import type { Console } from '../console.ts';
import { type Line, styled } from '../format/line.ts';
import type { Command } from '../keymap.ts';
import { Palette, type PaletteEntry } from '../overlays/palette.ts';
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
  lines.push('', [
    styled(
      'dim',
      'Keys are changed in preferences.json of the configuration folder: {"console": {"keys": {"device.walk": ["W"]}}}',
    ),
  ]);
  return lines;
}

export function openPalette(console: Console): void {
  const { keymap } = console;
  const entries: PaletteEntry[] = [
    ...actions.map((action) => ({
      name: action.name,
      title: action.title,
      keys: '',
      disabled: console.workspace.disabledReason(action.name, {}),
    })),
    ...keymap.commands
      .filter(
        (command) => !command.id.startsWith('move.') && !actions.some((action) => action.name === command.id),
      )
      .map((command) => ({
        name: command.id,
        title: command.title,
        keys: keymap.keysOf(command).join(' '),
        disabled: console.applies(command) ? undefined : 'not on this screen or row',
      })),
  ];
  console.push(
    new Palette({
      entries,
      argumentsOf(name) {
        const action = actions.find((candidate) => candidate.name === name);
        if (action === undefined) return [];
        return describeArguments(action.arguments).map((argument) => ({
          name: argument.name,
          description: argument.description,
          candidates: (given) =>
            argument.choices.length > 0
              ? argument.choices
              : (action.candidates?.(console.hostState, argument.name, given as never) ?? []),
        }));
      },
      onRun(name, given) {
        console.pop();
        const command = keymap.commands.find((candidate) => candidate.id === name);
        if (actions.some((action) => action.name === name)) {
          act(console, name, { ...argumentsAtHand(console, actionNamed(name)), ...given });
        } else if (command !== undefined) command.run(console);
      },
      onCancel: () => console.pop(),
    }),
  );
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
