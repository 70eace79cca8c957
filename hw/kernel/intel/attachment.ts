/** What the generations of the driver do differently when a device gets a domain. */
import { forEachDmaAlias } from '../pci/dma-alias.ts';
import type { DeviceInfo } from './device-info.ts';
import type { IntelDomain } from './domain.ts';

export interface IntelAttachment {
  /** The device was found. @throws KernelError ENOMEM. */
  probed(info: DeviceInfo): void;
  /** The device has its first domain. */
  finalized(info: DeviceInfo): void;
  /** The device goes. */
  released(info: DeviceInfo): void;
  /** Requests without PASID. @throws KernelError: the device then has no domain. */
  attach(info: DeviceInfo, domain: IntelDomain): void;
  detach(info: DeviceInfo): void;
  attachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number, old: IntelDomain | undefined): void;
  detachPasid(info: DeviceInfo, domain: IntelDomain, pasid: number): void;
}

/**
 * Every requester id that the device's DMA can carry, its own first.
 * @param ownOnly Leaves out the ids of bridges above, as scalable mode of 7.x does: only those that the device itself
 * puts on the bus.
 */
export function forEachAlias(
  info: DeviceInfo,
  ownOnly: boolean,
  visit: (bus: number, devfn: number) => void,
): void {
  if (info.pci === undefined) {
    visit(info.bus, info.devfn);
    return;
  }
  const seen = new Set<number>();
  forEachDmaAlias(info.pci, (_by, requesterId, kind) => {
    const above = kind === 'bridge secondary' || kind === 'bridge own';
    if (!seen.has(requesterId) && !(ownOnly && above)) visit(requesterId >>> 8, requesterId & 0xff);
    seen.add(requesterId);
    return false;
  });
}
