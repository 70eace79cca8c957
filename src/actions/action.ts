/**
 * What an operator can do, as data. A screen, `vtdeck do`, a script, a demo and a test all go through the same
 * actions; the palette, the help, the command line and its completion are made from them.
 */
import type { z } from 'zod';
import type { Host, Work } from '../../hw/index.ts';

/** Values of arguments as they are journalled: plain JSON. */
export type ArgumentValue = string | number | boolean | readonly string[] | undefined;
export type ArgumentValues = Readonly<Record<string, ArgumentValue>>;

/** How much is asked before it runs: nothing; a yes; the name of the thing typed. */
export type Danger = 'none' | 'confirm' | 'type the name';

/** What an action leaves for the reader. `value` is plain JSON. */
export interface ActionResult {
  /** One sentence: what happened. */
  readonly summary: string;
  readonly value?: unknown;
  /** The host from now on, where the act made another one of it (a boot). */
  readonly host?: Host;
}

/** Where chance comes from: only before an act is journalled, never in the engine. */
export interface Chance {
  uuid(): string;
}

export interface Action<Args extends ArgumentValues = ArgumentValues> {
  /** `mdev.create` */
  readonly name: string;
  /** `Create a mediated device` */
  readonly title: string;
  readonly arguments: z.ZodType<Args>;
  readonly danger: Danger;
  /** Why it can't run now, in one sentence; undefined when it can. Called with what is known of the arguments so far. */
  disabledReason(host: Host, args: Partial<Args>): string | undefined;
  /** What else it takes or loses, one line each: shown before a dangerous act. */
  consequences?(host: Host, args: Args): string[];
  /** Fills in what chance decides (a made uuid), so that the journal holds the outcome. */
  resolve?(host: Host, args: Args, chance: Chance): Args;
  /** @throws KernelError when the emulated kernel refuses. */
  run(host: Host, args: Args): ActionResult;
  /** The same in steps, for what may take long. */
  runInSteps?(host: Host, args: Args): Work<ActionResult>;
  /** About how long it takes in one piece, milliseconds; absent: not to be felt. */
  cost?(host: Host, args: Args): number;
  /** What an operator of a real machine would type. */
  linuxCommand(host: Host, args: Args): string[];
  /** Candidates for an argument on this host: for completion and pickers. */
  candidates?(host: Host, argument: keyof Args & string, args: Partial<Args>): string[];
}

/** Keeps the type of the arguments while the registry holds actions of all kinds. */
export function defineAction<Args extends ArgumentValues>(action: Action<Args>): Action {
  return action as unknown as Action;
}

/** One argument as command line, palette and help show it. */
export interface ArgumentDescription {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly kind: 'text' | 'number' | 'yes-no' | 'choice' | 'list';
  readonly choices: readonly string[];
  readonly byDefault: ArgumentValue;
}
