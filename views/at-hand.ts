/** What the row under the cursor already answers, and candidates as a person knows them. */
import { mapInSteps, type Work } from '../hw/index.ts';
import type { Action } from '../src/actions/action.ts';
import { describeArguments } from '../src/actions/arguments.ts';
import type { Console } from './console.ts';
import type { Subject } from './screens/screen.ts';

/** Arguments of an action that the row under the cursor already answers. */
export function argumentsAtHand(console: Console, action: Action): Record<string, string> {
  const subject = console.subject();
  const given: Record<string, string> = {};
  if (subject === undefined) return given;
  const answers: Partial<Record<Subject['kind'], readonly string[]>> = {
    device: ['device', 'parent'],
    mdev: ['uuid', 'device'],
    machine: ['vm'],
    definition: ['uuid'],
  };
  for (const argument of describeArguments(action.arguments)) {
    if (answers[subject.kind]?.includes(argument.name) === true) {
      const candidates = action.candidates?.(console.hostState, argument.name, {}) ?? [];
      if (candidates.length === 0 || candidates.includes(subject.name)) given[argument.name] = subject.name;
    } else if (subject.kind === 'mdev type' && argument.name === 'parent') given.parent = subject.parent;
    else if (subject.kind === 'mdev type' && argument.name === 'type') given.type = subject.type;
  }
  return given;
}

/** Candidates as a person knows them, the name beside the address; in steps, there may be thousands. */
export function* labels(console: Console, values: readonly string[]): Work<string[]> {
  const { hostState } = console;
  const mdevs = new Map(hostState.mdevs().map((mdev) => [mdev.uuid, mdev]));
  return yield* mapInSteps(values, (value) => {
    const node = hostState.device(value);
    if (node !== undefined) return `${value}  ${node.name ?? node.className}`;
    const mdev = mdevs.get(value);
    return mdev === undefined ? value : `${value}  ${mdev.type} on ${mdev.parent}`;
  });
}
