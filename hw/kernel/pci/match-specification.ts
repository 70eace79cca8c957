/** Devices as `pci=` options name them: pci_dev_str_match of drivers/pci/pci.c. */
import type { PciBus, PciDevice } from './pci-device.ts';

/**
 * `pci:<vendor>:<device>[:<subvendor>:<subdevice>]` with 0 for any, or `[<domain>:]<bus>:<device>.<function>` followed by
 * `/<device>.<function>` for each further step down from there.
 */
export function matchesPciSpecification(device: PciDevice, text: string): boolean {
  if (text.startsWith('pci:')) return matchesIds(device, text.slice(4).split(':'));
  const steps = text.trim().split('/');
  const first = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(steps[0]);
  if (first === null) return false;
  const path = steps.slice(1).map((step) => /^([0-9a-f]{1,2})\.([0-7])$/i.exec(step));
  if (path.some((step) => step === null)) return false;
  // From the device up: each step must name the function found there.
  let current: PciDevice | undefined = device;
  for (const step of path.reverse()) {
    if (step === null || current === undefined || current.devfn !== devfnOf(step[1], step[2])) return false;
    current = bridgeOf(current.bus);
  }
  return (
    current !== undefined &&
    current.bus.segment === Number.parseInt(first[1] ?? '0', 16) &&
    current.bus.number === Number.parseInt(first[2], 16) &&
    current.devfn === devfnOf(first[3], first[4])
  );
}

function matchesIds(device: PciDevice, ids: readonly string[]): boolean {
  const wanted = ids.map((id) => Number.parseInt(id, 16));
  if (wanted.length < 2 || wanted.some(Number.isNaN)) return false;
  const found = [device.vendorId, device.deviceId, device.subsystemVendorId, device.subsystemId];
  return wanted.slice(0, 4).every((id, index) => id === 0 || id === found[index]);
}

function devfnOf(device: string, fn: string): number {
  return (Number.parseInt(device, 16) << 3) | Number(fn);
}

function bridgeOf(bus: PciBus): PciDevice | undefined {
  return bus.bridge;
}
