/**
 * How a PCI function can be reset, and which others are reset with it. drivers/pci/pci.c: the methods in the order the
 * kernel tries them; the sets are what VFIO_DEVICE_GET_PCI_HOT_RESET_INFO lists.
 */
import type { PciDevice } from '../pci/pci-device.ts';

export type ResetMethod = 'flr' | 'af_flr' | 'pm' | 'bus';

const CAPABILITY_POWER = 0x01;
const CAPABILITY_EXPRESS = 0x10;
const CAPABILITY_ADVANCED_FEATURES = 0x13;

/** PCIe function level reset: Device Capabilities bit 28. */
function hasFunctionReset(device: PciDevice): boolean {
  const express = device.capability(CAPABILITY_EXPRESS);
  return express !== undefined && (device.read(express + 4, 4) & 0x10000000) !== 0;
}

/** Advanced Features: transactions pending (bit 0) and FLR (bit 1) must both be there. */
function hasAdvancedFeaturesReset(device: PciDevice): boolean {
  const at = device.capability(CAPABILITY_ADVANCED_FEATURES);
  return at !== undefined && (device.read(at + 3, 1) & 3) === 3;
}

/** D3hot and back, unless the function keeps its state over that (No_Soft_Reset). */
function hasPowerReset(device: PciDevice): boolean {
  const power = device.capability(CAPABILITY_POWER);
  return power !== undefined && (device.read(power + 4, 2) & 8) === 0;
}

/** Reset of the bus it sits on, allowed when nothing else sits there. */
function hasBusReset(device: PciDevice): boolean {
  return (
    device.bus.bridge !== undefined && device.subordinate === undefined && device.bus.devices.length === 1
  );
}

/** Methods that reset this function and nothing else, in the order they are tried. */
export function resetMethods(device: PciDevice): ResetMethod[] {
  const methods: ResetMethod[] = [];
  if (hasFunctionReset(device)) methods.push('flr');
  if (hasAdvancedFeaturesReset(device)) methods.push('af_flr');
  if (hasPowerReset(device)) methods.push('pm');
  if (hasBusReset(device)) methods.push('bus');
  return methods;
}

/** Everything behind a bus, bridges included. */
function below(bus: PciDevice['bus']): PciDevice[] {
  return bus.devices.flatMap((device) => [
    device,
    ...(device.subordinate === undefined ? [] : below(device.subordinate)),
  ]);
}

/**
 * Functions that a hot reset of this one (its bus) resets with it, itself included; empty when its bus can't be reset
 * because it is a root bus.
 */
export function hotResetSet(device: PciDevice): PciDevice[] {
  return device.bus.bridge === undefined ? [] : below(device.bus);
}
