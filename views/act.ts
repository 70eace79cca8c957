/**
 * Running an action from the console: what is missing is asked for, what is dangerous is shown and asked, and the
 * outcome is said. Which arguments there are, what they accept and why an action can't run all come from the registry.
 */
import type { Action, ArgumentDescription } from '../src/actions/action.ts';
import { describeArguments, parseArguments } from '../src/actions/arguments.ts';
import { actionNamed } from '../src/actions/registry.ts';
import { toApplicationError } from '../src/errors.ts';
import { label } from './at-hand.ts';
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
      const outcome = console.dispatch(name, args);
      if (!outcome.ok) console.failWith(outcome.error);
      else if (done === undefined) console.say(outcome.summary);
      else {
        console.say(outcome.summary);
        done(outcome.summary, outcome.value);
      }
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
      const outcomes = all.map((one) => console.dispatch(name, one));
      const failures = outcomes.filter((outcome) => !outcome.ok);
      console.clearMarks();
      if (failures.length === 0) console.say(`${action.title}: ${outcomes.length} done`);
      else {
        const [failure] = failures;
        console.failWith(
          failure.error,
          `${outcomes.length - failures.length} of ${outcomes.length} done; refused: `,
        );
      }
    });
  });
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
    console.push(
      new Picker({
        title: `${action.title}: ${argument.description}`,
        titles: [argument.name],
        items: candidates.map((value) => ({ value, cells: [label(console, value)] })),
        freeText: argument.choices.length === 0,
        onPick: answered,
        onCancel: () => console.pop(),
        onRefused: (reason) => console.warn(reason),
      }),
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
  const consequences = all.flatMap((args) => action.consequences?.(console.hostState, args as never) ?? []);
  const [first] = all;
  const name = action.danger === 'type the name' ? String(Object.values(first)[0] ?? '') : undefined;
  console.push(
    new Confirm({
      title: `${action.title}${all.length > 1 ? ` (${all.length} times)` : ''}?`,
      about: argumentLines(all),
      consequences: [...new Set(consequences)],
      name: name === '' ? undefined : name,
      onYes: () => {
        console.pop();
        run();
      },
      onCancel: () => console.pop(),
    }),
  );
}

/** `device  0000:6a:01.0`: each argument once, with the values it has in all of them. */
function argumentLines(all: readonly Given[]): Line[] {
  const [first] = all;
  return Object.keys(first)
    .filter((name) => first[name] !== undefined)
    .map((name) => pairLine(name, [...new Set(all.map((args) => String(args[name])))].join(', ')));
}
