/** The palette of this console: what there is to run by name, and how a line of it is completed and run. */
import { describeArguments } from '../../src/actions/arguments.ts';
import { actionNamed, actions } from '../../src/actions/registry.ts';
import { act } from '../act.ts';
import { argumentsAtHand } from '../at-hand.ts';
import type { Console } from '../console.ts';
import { Palette, type PaletteArgument, type PaletteEntry } from '../overlays/palette.ts';
import type { Subject } from '../screens/screen.ts';

const isAction = (name: string): boolean => actions.some((action) => action.name === name);

/** @param line What stands in it to begin with. */
export function openPalette(console: Console, line = ''): void {
  const known = new Map<string, readonly PaletteArgument[]>();
  console.push(
    new Palette({
      line,
      entries: entriesOf(console),
      argumentsOf(name) {
        const made = known.get(name) ?? (isAction(name) ? argumentsOf(console, name) : []);
        known.set(name, made);
        return made;
      },
      onRun(name, given) {
        console.pop();
        if (isAction(name))
          return act(console, name, { ...argumentsAtHand(console, actionNamed(name)), ...given });
        const command = console.keymap.commands.find((candidate) => candidate.id === name);
        if (command === undefined) return;
        if (console.applies(command)) command.run(console);
        else console.note(console.keymap.elsewhere(command));
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** The palette with an action and what the row answers of it, for those whose other arguments are a choice of many. */
export function beginInPalette(action: string): (console: Console) => void {
  return (console) => {
    const given = Object.entries(argumentsAtHand(console, actionNamed(action)));
    openPalette(console, `${[action, ...given.map(([name, value]) => `${name}=${value}`)].join(' ')} `);
  };
}

/** The same for an action on rows of these kinds, whose name goes into `argument`. */
export function beginOn(
  action: string,
  argument: string,
  ...kinds: readonly Subject['kind'][]
): (console: Console) => void {
  return (console) => {
    const [name] = console.chosenNames(kinds);
    if (name !== undefined) openPalette(console, `${action} ${argument}=${name} `);
  };
}

function entriesOf(console: Console): PaletteEntry[] {
  const { keymap } = console;
  const keysOf = (id: string): string => {
    const command = keymap.commands.find((candidate) => candidate.id === id);
    return command === undefined ? '' : keymap.keysOf(command).join(' ');
  };
  return [
    ...actions.map((action) => ({
      name: action.name,
      title: action.title,
      keys: keysOf(action.name),
      disabled: console.workspace.disabledReason(action.name, {}),
    })),
    ...keymap.commands
      .filter((command) => !command.id.startsWith('move.') && !isAction(command.id))
      .map((command) => ({
        name: command.id,
        title: command.title,
        keys: keysOf(command.id),
        disabled: console.applies(command) ? undefined : 'not on this screen or row',
      })),
  ];
}

function argumentsOf(console: Console, name: string): PaletteArgument[] {
  const action = actionNamed(name);
  // On a large host a list of candidates is long: it is made once, not at each letter.
  const made = new Map<string, readonly string[]>();
  return describeArguments(action.arguments).map((argument) => ({
    name: argument.name,
    description: argument.description,
    required: argument.required,
    candidates(given) {
      if (argument.choices.length > 0) return argument.choices;
      if (argument.kind === 'yes-no') return ['yes', 'no'];
      const key = JSON.stringify([argument.name, given]);
      const known = made.get(key);
      if (known !== undefined) return known;
      const candidates = action.candidates?.(console.hostState, argument.name, given as never) ?? [];
      made.set(key, candidates);
      return candidates;
    },
  }));
}
