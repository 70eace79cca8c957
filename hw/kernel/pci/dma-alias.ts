/** Which requester ids the IOMMU may see for a device: pci_for_each_dma_alias of drivers/pci/search.c. */
import {
  behavesLikePcieBridge,
  isTranslationRoot,
  passesRequesterIdsOn,
  quirkAliases,
} from './dma-alias-quirks.ts';
import type { PciBus, PciDevice } from './pci-device.ts';

/** Why a requester id is among a device's aliases. */
export type AliasKind = 'own' | 'real dma device' | 'quirk' | 'bridge secondary' | 'bridge own';

/**
 * Calls `visit` for each alias, the device's own requester id first, up to the topmost bridge that changes ids. `by` is
 * the device that answers for the id. Stops when `visit` returns true, and returns that.
 */
export function forEachDmaAlias(
  device: PciDevice,
  visit: (by: PciDevice, requesterId: number, kind: AliasKind) => boolean,
): boolean {
  const real = device.realDmaDevice;
  const base = real.bus.number << 8;
  if (visit(real, base | real.devfn, real === device ? 'own' : 'real dma device')) return true;
  for (const devfn of quirkAliases(real)) {
    if (devfn !== real.devfn && visit(real, base | devfn, 'quirk')) return true;
  }
  for (let bus: PciBus | undefined = real.bus; bus?.parent !== undefined; bus = bus.parent) {
    const bridge = bus.bridge;
    if (bridge === undefined) continue;
    if (isTranslationRoot(bridge)) return false;
    const secondary = bus.number << 8;
    const own = (bridge.bus.number << 8) | bridge.devfn;
    if (bridge.isExpress) {
      if (bridge.portType === 'pcie-to-pci bridge') {
        if (!passesRequesterIdsOn(bridge) && visit(bridge, secondary, 'bridge secondary')) return true;
      } else if (bridge.portType === 'pci-to-pcie bridge') {
        if (visit(bridge, own, 'bridge own')) return true;
      }
    } else if (behavesLikePcieBridge(bridge)) {
      if (visit(bridge, secondary, 'bridge secondary')) return true;
    } else if (visit(bridge, own, 'bridge own')) {
      return true;
    }
  }
  return false;
}

/** The requester ids alone, each once, the device's own first. */
export function dmaAliasesOf(device: PciDevice): number[] {
  const found: number[] = [];
  forEachDmaAlias(device, (_by, requesterId) => {
    if (!found.includes(requesterId)) found.push(requesterId);
    return false;
  });
  return found;
}

/**
 * pci_devs_are_dma_aliases: either may appear with the other's devfn, or one stands for the other. Compares devfns only,
 * so both must sit on one bus.
 */
export function areDmaAliases(one: PciDevice, other: PciDevice): boolean {
  return (
    quirkAliases(one).includes(other.devfn) ||
    quirkAliases(other).includes(one.devfn) ||
    (one.realDmaDevice === other && one !== other) ||
    (other.realDmaDevice === one && one !== other)
  );
}

/** Whether any device of a bus may stand for another, remembered as long as the bus holds the same number of devices. */
const aliasing = new WeakMap<PciBus, { count: number; any: boolean }>();

/** False for nearly every bus: then no two of its devices are aliases of each other. */
export function busHasAliases(bus: PciBus): boolean {
  const known = aliasing.get(bus);
  if (known !== undefined && known.count === bus.devices.length) return known.any;
  const any = bus.devices.some(
    (device) => device.realDmaDevice !== device || quirkAliases(device).length > 0,
  );
  aliasing.set(bus, { count: bus.devices.length, any });
  return any;
}
