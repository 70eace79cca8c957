/**
 * Phantom functions: unclaimed function numbers that a function may put in its requester id to have more requests under
 * way. PCIe 7.5.3.3, device capabilities bits 4:3; device control bit 9 allows them.
 */
import type { PciDevice } from './pci-device.ts';

export interface PhantomFunctions {
  /** How many of the function number's high bits may be used: 0 to 3. */
  readonly bits: number;
  readonly enabled: boolean;
  /** Requester ids that requests may carry then, besides the function's own. */
  readonly requesterIds: readonly number[];
}

/**
 * What a function may do. Linux leaves them off: the IOMMU has no context entry for such an id, so with them on its
 * requests are refused.
 */
export function phantomFunctions(device: PciDevice): PhantomFunctions {
  const express = device.capability(0x10);
  const bits = express === undefined ? 0 : (device.read(express + 4, 4) >>> 3) & 3;
  const enabled = express !== undefined && (device.read(express + 8, 2) & 0x200) !== 0;
  const own = (device.bus.number << 8) | device.devfn;
  const step = 8 >> bits;
  const requesterIds: number[] = [];
  if (bits > 0) {
    for (let fn = device.devfn % step; fn < 8; fn += step) {
      const id = (own & ~7) | fn;
      if (id !== own) requesterIds.push(id);
    }
  }
  return { bits, enabled, requesterIds };
}
