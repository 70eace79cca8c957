/** Which drivers a booted kernel has, and which devices they hold: those of the description where it says so. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { nativeDrivers, portDriver, stubDriver } from '../kernel/drivers/native.ts';
import { PciDriver, type PciId } from '../kernel/drivers/pci-driver.ts';
import { KernelError } from '../kernel/errno.ts';
import type { Kernel } from './kernel.ts';

/** Loads the drivers. Those that a description names and nobody declares match the ids of the devices they held. */
export function registerDrivers(kernel: Kernel, vfioPci: PciDriver, description: HostDescription): void {
  const log = (line: string): void => kernel.log.write(line);
  const known = [portDriver(), ...nativeDrivers(), stubDriver(log), vfioPci];
  const names = new Set(known.map((driver) => driver.name));
  for (const driver of known) kernel.drivers.registerDriver(driver);
  const described = new Map<string, PciId[]>();
  for (const one of description.functions) {
    if (typeof one.driver !== 'string' || names.has(one.driver)) continue;
    const pci = kernel.topology.find(one.address);
    if (pci === undefined) continue;
    const ids = described.get(one.driver) ?? [];
    ids.push({ vendor: pci.vendorId, device: pci.deviceId });
    described.set(one.driver, ids);
  }
  for (const [name, ids] of described) kernel.drivers.registerDriver(new PciDriver(name, ids));
}

/**
 * Binds each device to the driver that the description names. Where it says nothing about any device, every device is
 * probed as at boot.
 */
export function bindAsDescribed(kernel: Kernel, description: HostDescription): void {
  const told = description.functions.filter((one) => one.driver !== undefined);
  if (told.length === 0) {
    for (const driver of kernel.drivers.drivers('pci')) kernel.drivers.attachDriver(driver);
    return;
  }
  for (const one of told) bindOne(kernel, one);
}

function bindOne(kernel: Kernel, one: FunctionDescription): void {
  if (typeof one.driver !== 'string') return;
  const device = kernel.device(one.address);
  if (device === undefined) return;
  try {
    // A device that was given to vfio-pci or pci-stub got there by driver_override.
    const driver = kernel.drivers.driver('pci', one.driver);
    if (!driver.matches(device)) device.driverOverride = one.driver;
    kernel.drivers.bind('pci', one.driver, one.address);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    device.driverOverride = undefined;
    kernel.log.write(`${one.driver} ${one.address}: not bound: ${error.message}`);
  }
}
