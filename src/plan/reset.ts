/**
 * How a function can be put back into a known state between two owners, and what else such a reset touches
 * (pci_reset_fn_methods, VFIO_DEVICE_PCI_HOT_RESET).
 */
import { Capability, type PlanFunction, type PlanView } from './view.ts';

export type ResetMethod = 'function level reset' | 'power state reset' | 'bus reset';

export interface ResetFacts {
  readonly methods: readonly ResetMethod[];
  /** Functions that a bus reset hits together with this one, itself included. */
  readonly busResetSet: readonly string[];
  /** The capture does not show the capabilities that decide. */
  readonly unknown: boolean;
}

/** The reset methods of a function, best first. */
export function resetFacts(view: PlanView, address: string): ResetFacts {
  const found = view.functions.get(address);
  if (found === undefined) return { methods: [], busResetSet: [], unknown: true };
  const methods: ResetMethod[] = [];
  const flr =
    found.field(Capability.express, 'functionLevelReset') === 1n ||
    found.field(Capability.advancedFeatures, 'functionLevelReset') === 1n;
  if (flr) methods.push('function level reset');
  // D3hot to D0 resets a function unless it says "no soft reset" (pci_pm_reset).
  if (found.field(Capability.power, 'noSoftReset') === 0n) methods.push('power state reset');
  const busResetSet = found.parent === undefined ? [] : below(view, found.parent);
  // The kernel resets by the bus only when the function is alone on it; VFIO can for a whole set.
  if (busResetSet.length === 1) methods.push('bus reset');
  const unknown = found.unknown.length > 0;
  return { methods, busResetSet, unknown };
}

/** Every function below a bridge: what a secondary bus reset of it hits. */
function below(view: PlanView, bridge: string): string[] {
  const set: string[] = [];
  for (const [address, found] of view.functions) {
    for (
      let at: PlanFunction | undefined = found;
      at?.parent !== undefined;
      at = view.functions.get(at.parent)
    ) {
      if (at.parent === bridge) {
        set.push(address);
        break;
      }
    }
  }
  return set.sort();
}
