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

/** Control words of capabilities that the kernel saves over a reset: id, offset, list. */
const SAVED: readonly (readonly [id: number, offset: number, extended: boolean])[] = [
  [0x05, 2, false],
  [0x11, 2, false],
  [0x1b, 6, true],
  [0x13, 12, true],
  [0x13, 4, true],
  [0x0f, 6, true],
];
const COMMAND = 0x04;
const BUS_MASTER = 4;
const BRIDGE_CONTROL = 0x3e;
const SECONDARY_BUS_RESET = 0x40;
const INITIATE_FUNCTION_RESET = 0x8000;
const POWER_STATE = 3;

/** pci_save_state, pci_dev_disable, the reset, pci_restore_state. */
function keepingState(pci: PciDevice, reset: () => void): void {
  const command = pci.read(COMMAND, 2);
  const saved = SAVED.flatMap(([id, offset, extended]) => {
    const at = extended ? pci.extendedCapability(id) : pci.capability(id);
    return at === undefined ? [] : [{ at: at + offset, value: pci.read(at + offset, 2) }];
  });
  pci.write(COMMAND, 2, command & ~BUS_MASTER);
  reset();
  for (const { at, value } of saved) pci.write(at, 2, value);
  pci.write(COMMAND, 2, command);
}

/** Secondary Bus Reset of a bridge, on and off. */
function pulseBus(bridge: PciDevice): void {
  const control = bridge.read(BRIDGE_CONTROL, 2);
  bridge.write(BRIDGE_CONTROL, 2, control | SECONDARY_BUS_RESET);
  bridge.write(BRIDGE_CONTROL, 2, control);
}

/** pci_reset_function: the first method that the function has; what software had set up comes back. */
export function resetFunction(pci: PciDevice): void {
  const [method] = resetMethods(pci);
  keepingState(pci, () => {
    const express = pci.capability(CAPABILITY_EXPRESS);
    const advanced = pci.capability(CAPABILITY_ADVANCED_FEATURES);
    const power = pci.capability(CAPABILITY_POWER);
    if (method === 'flr' && express !== undefined)
      pci.write(express + 8, 2, pci.read(express + 8, 2) | INITIATE_FUNCTION_RESET);
    else if (method === 'af_flr' && advanced !== undefined) pci.write(advanced + 4, 1, 1);
    else if (method === 'pm' && power !== undefined) {
      const control = pci.read(power + 4, 2) & ~POWER_STATE;
      pci.write(power + 4, 2, control | POWER_STATE);
      pci.write(power + 4, 2, control);
    } else if (method === 'bus' && pci.bus.bridge !== undefined) pulseBus(pci.bus.bridge);
  });
}

/** pci_reset_bus: everything behind the bridge above; what software had set up comes back. */
export function resetBusOf(pci: PciDevice): void {
  const { bridge } = pci.bus;
  if (bridge === undefined) return;
  const around = (left: readonly PciDevice[]): void => {
    const [first, ...rest] = left;
    if (first === undefined) pulseBus(bridge);
    else keepingState(first, () => around(rest));
  };
  around(hotResetSet(pci));
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
