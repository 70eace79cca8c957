import type { Host } from '../../hw/index.ts';
import type { Action, ActionResult, ArgumentValues } from './action.ts';

/**
 * Runs an action; whatever it changes can say later that this act did it. The live act and its replay both go through
 * here, so that they count alike.
 * @throws KernelError when the emulated kernel refuses.
 */
export function runAction(action: Action, host: Host, args: ArgumentValues): ActionResult {
  const told = Object.values(args).filter((value) => value !== undefined);
  host.kernel.iommu.acts.begin([action.name, ...told].join(' '));
  return action.run(host, args);
}
