/** Which drivers a booted kernel has, and which devices they hold: those of the description where it says so. */
import type { FunctionDescription, HostDescription } from '../host-description.ts';
import { idxdDriver } from '../kernel/drivers/idxd.ts';
import { nvidiaDriver } from '../kernel/drivers/nvidia.ts';
import { PciDriver, type PciId } from '../kernel/drivers/pci-driver.ts';
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';

/** Loads the drivers whose devices can be cut into mediated devices. */
export function registerParentDrivers(kernel: LinuxKernel): void {
  const { port, profile, mdev, vfio, auxiliary } = kernel;
  kernel.drivers.registerDriver(nvidiaDriver({ port, mdev, vfio }));
  kernel.drivers.registerDriver(idxdDriver({ port, profile, mdev, vfio, auxiliary }));
}

/** Loads drivers that a description names and the kernel has none of: each matches the ids of the devices it held. */
export function registerDescribedDrivers(kernel: LinuxKernel, description: HostDescription): void {
  const names = new Set(kernel.drivers.drivers('pci').map((driver) => driver.name));
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
export function bindAsDescribed(kernel: LinuxKernel, description: HostDescription): void {
  const told = description.functions.filter((one) => one.driver !== undefined);
  if (told.length === 0) {
    for (const driver of kernel.drivers.drivers('pci')) kernel.drivers.attachDriver(driver);
    return;
  }
  for (const one of told) bindOne(kernel, one);
}

function bindOne(kernel: LinuxKernel, one: FunctionDescription): void {
  if (typeof one.driver !== 'string') return;
  const device = kernel.pciDevice(one.address);
  if (device === undefined) return;
  try {
    // A device that was given to vfio-pci or pci-stub got there by driver_override.
    const driver = kernel.drivers.driver('pci', one.driver);
    if (!driver.matches(device)) device.driverOverride = one.driver;
    kernel.drivers.attach(driver, device);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    device.driverOverride = undefined;
    kernel.log.write(`${one.driver} ${one.address}: not bound: ${error.message}`);
  }
}
