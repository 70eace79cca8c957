/**
 * Running an action from the console: what is missing is asked for, what is dangerous is shown and asked, and the
 * outcome is said. Which arguments there are, what they accept and why an action can't run all come from the registry.
 */
import { mapInSteps } from '../hw/index.ts';
import type { Action, ArgumentDescription } from '../src/actions/action.ts';
import { describeArguments, parseArguments } from '../src/actions/arguments.ts';
import { actionNamed } from '../src/actions/registry.ts';
import { toApplicationError } from '../src/errors.ts';
import type { BatchOutcome } from '../src/workspace.ts';
import { labels } from './at-hand.ts';
import type { Console } from './console.ts';
import type { Line } from './format/line.ts';
import { Confirm } from './overlays/confirm.ts';
import { Picker } from './overlays/picker.ts';
import { Prompt } from './overlays/prompt.ts';
import { pairLine } from './screens/parts.ts';

export type Given = Readonly<Record<string, unknown>>;
export type Done = (summary: string, value: unknown) => void;

export function act(console: Console, name: string, given: Given, done?: Done): void {
  const action = actionNamed(name);
  const refused = console.workspace.disabledReason(name, given);
  if (refused !== undefined) {
    console.fail(refused);
    return;
  }
  collect(console, action, given, (args) => {
    confirmed(console, action, [args], () => {
      console.session.dispatch(action.title, name, args, (outcome) => {
        if (!outcome.ok) return console.failWith(outcome.error);
        console.say(outcome.summary);
        done?.(outcome.summary, outcome.value);
      });
    });
  });
}

/** The same act for several things: asked for once, confirmed once, each with its own outcome. */
export function actOnAll(
  console: Console,
  name: string,
  argument: string,
  names: readonly string[],
  given: Given,
): void {
  const [first] = names;
  if (first === undefined) {
    console.warn('the cursor is on nothing that this applies to');
    return;
  }
  if (names.length === 1) {
    act(console, name, { ...given, [argument]: first });
    return;
  }
  const action = actionNamed(name);
  collect(console, action, { ...given, [argument]: first }, (args) => {
    const all = names.map((one) => ({ ...args, [argument]: one }));
    confirmed(console, action, all, () => {
      const { list, screen } = console;
      console.session.dispatchAll(action.title, name, all, (outcome) => {
        tellBatch(console, outcome);
        // The marks of what was not tried stay: the same key goes on there.
        const tried = new Set(names.slice(0, outcome.done + outcome.refused));
        if (tried.size === names.length) list.marks.clear();
        else
          for (const row of list.chosen())
            if (tried.has(screen.subject(row)?.name ?? '')) list.marks.delete(screen.rowId(row));
      });
    });
  });
}

function tellBatch(console: Console, { title, asked, done, refused, failure }: BatchOutcome): void {
  if (done + refused < asked) {
    const undo = console.keymap.keysFor('undo')[0];
    const back =
      done === 0 || undo === undefined ? '' : `; ${undo} takes ${done === 1 ? 'it' : 'all of them'} back`;
    const no = refused === 0 ? '' : `, ${refused} refused`;
    console.warn(`cancelled: ${done} of ${asked} done${no}${back}`);
  } else if (failure === undefined) console.say(`${title}: ${done} done`);
  else console.fail(`${done} of ${asked} done; refused: ${failure.message}`, failure.remedy);
}

function collect(console: Console, action: Action, given: Given, then: (args: Given) => void): void {
  const missing = describeArguments(action.arguments).find(
    (argument) => argument.required && given[argument.name] === undefined,
  );
  if (missing === undefined) {
    then(given);
    return;
  }
  ask(console, action, missing, given, (value) => {
    const next = { ...given, [missing.name]: value };
    const refused = console.workspace.disabledReason(action.name, next);
    if (refused !== undefined) console.fail(refused);
    else collect(console, action, next, then);
  });
}

function ask(
  console: Console,
  action: Action,
  argument: ArgumentDescription,
  given: Given,
  then: (value: string) => void,
): void {
  const answered = (value: string): void => {
    console.pop();
    then(value);
  };
  const candidates =
    argument.choices.length > 0
      ? argument.choices
      : (action.candidates?.(console.hostState, argument.name, given as never) ?? []);
  if (candidates.length > 0) {
    console.session.begin('looking up what there is', '', labels(console, candidates), (names) =>
      console.push(
        new Picker({
          title: `${action.title}: ${argument.description}`,
          titles: [argument.name],
          items: candidates.map((value, at) => ({ value, cells: [names[at]] })),
          freeText: argument.choices.length === 0,
          onPick: answered,
          onCancel: () => console.pop(),
          onRefused: (reason) => console.warn(reason),
        }),
      ),
    );
    return;
  }
  console.push(
    new Prompt({
      title: action.title,
      lines: [argument.description],
      value: argument.byDefault === undefined ? '' : String(argument.byDefault),
      check(value) {
        try {
          parseArguments(action, { ...given, [argument.name]: value });
          return undefined;
        } catch (thrown) {
          const said = toApplicationError(thrown).message;
          // Only what concerns this answer: the others are asked for next.
          return said.startsWith(argument.name) || value === '' ? said : undefined;
        }
      },
      onAnswer: answered,
      onCancel: () => console.pop(),
    }),
  );
}

function confirmed(console: Console, action: Action, all: readonly Given[], run: () => void): void {
  if (action.danger === 'none') {
    run();
    return;
  }
  const [first] = all;
  const name = action.danger === 'type the name' ? String(Object.values(first)[0] ?? '') : undefined;
  const { hostState } = console;
  const looking = mapInSteps(all, (args) => action.consequences?.(hostState, args as never) ?? [], 4);
  console.session.begin(`seeing what it takes: ${action.title}`, '', looking, (consequences) =>
    console.push(
      new Confirm({
        title: `${action.title}${all.length > 1 ? ` (${all.length} times)` : ''}?`,
        about: argumentLines(all),
        consequences: [...new Set(consequences.flat())],
        name: name === '' ? undefined : name,
        onYes: () => {
          console.pop();
          run();
        },
        onCancel: () => console.pop(),
      }),
    ),
  );
}

/** Values of one argument that are shown before an act on many. */
const MANY = 12;

/** `device  0000:6a:01.0`: each argument once, with the values it has in all of them. */
function argumentLines(all: readonly Given[]): Line[] {
  const [first] = all;
  return Object.keys(first)
    .filter((name) => first[name] !== undefined)
    .map((name) => {
      const values = [...new Set(all.map((args) => String(args[name])))];
      const more = values.length > MANY ? ` and ${values.length - MANY} more` : '';
      return pairLine(name, `${values.slice(0, MANY).join(', ')}${more}`);
    });
}
