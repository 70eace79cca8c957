/**
 * ATS, PASID and PRI of a function as the driver finds and switches them (drivers/pci/ats.c): through configuration
 * space only. A virtual function has no PASID or PRI of its own: what counts is its physical function's.
 */
import type { PciDevice } from '../pci/pci-device.ts';

const ExtendedCapability = { ats: 0x0f, pri: 0x13, pasid: 0x1b } as const;
const EXPRESS = 0x10;

/** The least size of a translation, as the driver sets it: 4 KiB. */
const SMALLEST_TRANSLATION_UNIT = 0;
/** Page requests a device may have open (PRQ_DEPTH). */
const PAGE_REQUEST_ALLOCATION = 32;

const physical = (device: PciDevice): PciDevice =>
  device.isVirtualFunction && device.physicalFunction !== undefined ? device.physicalFunction : device;

/** pci_ats_supported. */
export function atsSupported(device: PciDevice): boolean {
  return device.extendedCapability(ExtendedCapability.ats) !== undefined;
}

/** Invalidations the device queues: 1 to 32 (pci_ats_queue_depth). */
export function atsQueueDepth(device: PciDevice): number {
  const at = device.extendedCapability(ExtendedCapability.ats);
  if (at === undefined) return 0;
  const depth = device.read(at + 4, 2) & 0x1f;
  return depth === 0 ? 32 : depth;
}

/** pci_ats_page_aligned: untranslated addresses of ATS requests are page-aligned. */
export function atsPageAligned(device: PciDevice): boolean {
  const at = device.extendedCapability(ExtendedCapability.ats);
  return at !== undefined && (device.read(at + 4, 2) & 0x20) !== 0;
}

export function atsEnabled(device: PciDevice): boolean {
  const at = device.extendedCapability(ExtendedCapability.ats);
  return at !== undefined && (device.read(at + 6, 2) & 0x8000) !== 0;
}

/** pci_enable_ats. False: not there. */
export function enableAts(device: PciDevice): boolean {
  const at = device.extendedCapability(ExtendedCapability.ats);
  if (at === undefined) return false;
  // The smallest translation unit of a virtual function is the physical one's.
  device.write(at + 6, 2, device.isVirtualFunction ? 0x8000 : 0x8000 | SMALLEST_TRANSLATION_UNIT);
  return true;
}

export function disableAts(device: PciDevice): void {
  const at = device.extendedCapability(ExtendedCapability.ats);
  if (at !== undefined) device.write(at + 6, 2, device.read(at + 6, 2) & ~0x8000);
}

/** Execute (2) and privileged (4) as the capability offers them, or undefined: no PASID (pci_pasid_features). */
export function pasidFeatures(device: PciDevice): number | undefined {
  const owner = physical(device);
  const at = owner.extendedCapability(ExtendedCapability.pasid);
  return at === undefined ? undefined : owner.read(at + 4, 2) & 0x6;
}

/** 2^width of the capability (pci_max_pasids); 0 without one. */
export function maximumPasids(device: PciDevice): number {
  const owner = physical(device);
  const at = owner.extendedCapability(ExtendedCapability.pasid);
  return at === undefined ? 0 : 2 ** ((owner.read(at + 4, 2) >>> 8) & 0x1f);
}

export function pasidEnabled(device: PciDevice): boolean {
  const owner = physical(device);
  const at = owner.extendedCapability(ExtendedCapability.pasid);
  return at !== undefined && (owner.read(at + 6, 2) & 1) !== 0;
}

/**
 * pci_enable_pasid with all features that the capability offers. False where it can't be: no capability, no way for
 * TLP prefixes up to the root, a virtual function whose physical one is off.
 */
export function enablePasid(device: PciDevice): boolean {
  if (device.isVirtualFunction) return pasidEnabled(device);
  const at = device.extendedCapability(ExtendedCapability.pasid);
  if (at === undefined || !prefixPath(device)) return false;
  device.write(at + 6, 2, 1 | (device.read(at + 4, 2) & 0x6));
  return true;
}

export function disablePasid(device: PciDevice): void {
  const at = device.extendedCapability(ExtendedCapability.pasid);
  if (at !== undefined && !device.isVirtualFunction) device.write(at + 6, 2, 0);
}

export function priSupported(device: PciDevice): boolean {
  return physical(device).extendedCapability(ExtendedCapability.pri) !== undefined;
}

/** The response to a page request carries its PASID (pci_prg_resp_pasid_required). */
export function priResponseNeedsPasid(device: PciDevice): boolean {
  const owner = physical(device);
  const at = owner.extendedCapability(ExtendedCapability.pri);
  return at !== undefined && (owner.read(at + 6, 2) & 0x8000) !== 0;
}

export function priEnabled(device: PciDevice): boolean {
  const owner = physical(device);
  const at = owner.extendedCapability(ExtendedCapability.pri);
  return at !== undefined && (owner.read(at + 4, 2) & 1) !== 0;
}

/** pci_reset_pri and pci_enable_pri. False: not there, or a virtual function whose physical one is off. */
export function enablePri(device: PciDevice): boolean {
  if (device.isVirtualFunction) return priEnabled(device);
  const at = device.extendedCapability(ExtendedCapability.pri);
  if (at === undefined || (device.read(at + 4, 2) & 1) !== 0) return false;
  device.write(at + 4, 2, 2);
  const most = device.read(at + 8, 4) >>> 0;
  device.write(at + 0xc, 4, Math.min(most, PAGE_REQUEST_ALLOCATION));
  device.write(at + 4, 2, 1);
  return true;
}

export function disablePri(device: PciDevice): void {
  const at = device.extendedCapability(ExtendedCapability.pri);
  if (at !== undefined && !device.isVirtualFunction) {
    device.write(at + 4, 2, device.read(at + 4, 2) & ~1);
  }
}

/**
 * End-to-end TLP prefixes reach the root: every port on the way, and the device, report them in Device Capabilities 2
 * (pci_configure_eetlp_prefix).
 */
function prefixPath(device: PciDevice): boolean {
  const at = device.capability(EXPRESS);
  if (at === undefined || (device.read(at + 0x24, 4) & 0x200000) === 0) return false;
  if (device.portType === 'root port' || device.portType === 'root complex integrated endpoint') return true;
  const bridge = device.bus.bridge;
  return bridge !== undefined && prefixPath(bridge);
}
