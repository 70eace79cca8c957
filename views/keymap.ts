/**
 * Which key does what. Commands are data: what they are called, which keys they have, where they apply. Help, palette
 * and the hints in the bottom line are made from them, and so is what the operator remaps.
 */
import type { Console } from './console.ts';
import type { ScreenId, Subject } from './screens/screen.ts';

export interface Command {
  /** `device.walk`: what a key is mapped to in the preferences. */
  readonly id: string;
  readonly keys: readonly string[];
  /** What it does, for help and palette. */
  readonly title: string;
  /** Only on these screens. */
  readonly screens?: readonly ScreenId[];
  /** Only when the row under the cursor stands for one of these. */
  readonly subjects?: readonly Subject['kind'][];
  /** It changes the session, or prepares to: not while other work on it goes on. */
  readonly changes?: true;
  /** A word for the bottom line; absent: not shown there. */
  readonly hint?: string;
  run(console: Console): void;
}

/** Names that the preferences may give to keys, as the input parser does. */
const KEY =
  /^(?:(?:Ctrl-|Alt-|Shift-)*(?:[!-~]|Enter|Esc|Tab|Space|Backspace|Delete|Insert|Up|Down|Left|Right|PageUp|PageDown|Home|End|F[0-9]{1,2}))$/;

export class KeyMap {
  readonly commands: readonly Command[];
  /** What the preferences said that makes no sense, one line each. */
  readonly problems: readonly string[];
  private readonly keysById = new Map<string, readonly string[]>();
  private readonly byKey = new Map<string, Command[]>();

  /** @param changed Keys by command id, in place of the built-in ones. */
  constructor(commands: readonly Command[], changed: Readonly<Record<string, readonly string[]>> = {}) {
    this.commands = commands;
    const problems: string[] = [];
    for (const [id, keys] of Object.entries(changed)) {
      if (!commands.some((command) => command.id === id)) problems.push(`keys: there is no command "${id}"`);
      else if (!Array.isArray(keys)) problems.push(`keys: ${id} wants a list of keys`);
      else {
        const good = keys.filter((key) => typeof key === 'string' && KEY.test(key));
        for (const key of keys)
          if (!good.includes(key)) problems.push(`keys: "${String(key)}" of ${id} is no key`);
        // With no key left the command keeps its own: quitting must not be lost to a slip.
        if (good.length > 0 || keys.length === 0) this.keysById.set(id, good);
      }
    }
    this.problems = problems;
    const taken = new Map<string, string>();
    for (const [id, keys] of this.keysById) for (const key of keys) taken.set(key, id);
    for (const command of commands) {
      for (const key of this.keysOf(command)) {
        // A key that the operator gave to a command is no longer its old owner's in the same place.
        const owner = taken.get(key);
        if (
          owner !== undefined &&
          owner !== command.id &&
          specificity(command) <= specificity(commandOf(commands, owner))
        )
          continue;
        const list = this.byKey.get(key) ?? [];
        list.push(command);
        this.byKey.set(key, list);
      }
    }
    for (const list of this.byKey.values()) list.sort((a, b) => specificity(b) - specificity(a));
  }

  keysOf(command: Command): readonly string[] {
    return this.keysById.get(command.id) ?? command.keys;
  }

  /** Keys of a command by its id. */
  keysFor(id: string): readonly string[] {
    return this.keysOf(commandOf(this.commands, id));
  }

  /** The command of a key here; the most specific wins. */
  find(key: string, screen: ScreenId, subject: Subject['kind'] | undefined): Command | undefined {
    return this.byKey.get(key)?.find((command) => applies(command, screen, subject));
  }

  /** Why a key does nothing here: what it would do, and where. */
  nowhere(key: string): string {
    const [command] = this.byKey.get(key) ?? [];
    if (command === undefined) return `${key} does nothing; ? shows the keys`;
    return `${key}: ${this.elsewhere(command)}`;
  }

  /** What a command would do, and where it can. */
  elsewhere(command: Command): string {
    const kinds = command.subjects?.map((kind) => (/^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`));
    const where = [
      ...(kinds === undefined ? [] : [kinds.join(', ')]),
      ...(command.screens?.map((screen) => `screen ${screen}`) ?? []),
    ];
    return `${command.title}; that is for ${where.join(' on ')}`;
  }

  /** Commands that apply here and have something to show in the bottom line. */
  hints(screen: ScreenId, subject: Subject['kind'] | undefined): Command[] {
    return this.commands
      .filter((command) => command.hint !== undefined)
      .filter((command) => this.keysOf(command).some((key) => this.find(key, screen, subject) === command))
      .sort((a, b) => specificity(b) - specificity(a));
  }
}

export function applies(command: Command, screen: ScreenId, subject: Subject['kind'] | undefined): boolean {
  if (command.screens !== undefined && !command.screens.includes(screen)) return false;
  return command.subjects === undefined || (subject !== undefined && command.subjects.includes(subject));
}

function commandOf(commands: readonly Command[], id: string): Command {
  return commands.find((command) => command.id === id) as Command;
}

function specificity(command: Command): number {
  return (command.screens === undefined ? 0 : 2) + (command.subjects === undefined ? 0 : 1);
}
