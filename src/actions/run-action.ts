import type { Host, Work } from '../../hw/index.ts';
import type { Action, ActionResult, ArgumentValues } from './action.ts';

/** What takes longer in one piece is announced before. Milliseconds. */
export const LONG_PIECE = 200;

/**
 * Runs an action; whatever it changes can say later that this act did it. The live act and its replay both go through
 * here, so that they count alike. One long kernel call stands between two pauses: a cancellation that came meanwhile
 * finds the act done but not yet taken for done.
 * @throws KernelError when the emulated kernel refuses.
 */
export function* runAction(action: Action, host: Host, args: ArgumentValues): Work<ActionResult> {
  const told = Object.values(args).filter((value) => value !== undefined);
  host.kernel.iommu.acts.begin([action.name, ...told].join(' '));
  if (action.runInSteps !== undefined) return yield* action.runInSteps(host, args);
  const long = (action.cost?.(host, args) ?? 0) >= LONG_PIECE;
  if (long) yield { done: 0, total: undefined, indivisible: true };
  const result = action.run(host, args);
  if (long) yield { done: 1, total: undefined };
  return result;
}
