/**
 * struct device and struct device_driver, as far as binding and IOMMU groups need them. Who may bind what is decided
 * in drivers/; these are the nouns.
 */
import type { Completion } from './completion.ts';
import type { PciDevice } from './pci/pci-device.ts';

/** A bus name as in /sys/bus. */
export type BusName = 'pci' | 'mdev' | 'platform' | 'acpi' | 'vdpa' | 'auxiliary';

export class Device {
  /** Name in sysfs: `0000:6a:01.0`, a UUID, `idxd.0`. */
  readonly name: string;
  readonly bus: BusName;
  readonly parent: Device | undefined;
  /** Set for devices of the PCI bus. */
  readonly pci: PciDevice | undefined;
  /** The bound driver, or undefined. Changed by the driver core only. */
  driver: DeviceDriver | undefined;
  /** Content of driver_override, or undefined for "(null)". */
  driverOverride: string | undefined;

  constructor(name: string, bus: BusName, options: { parent?: Device; pci?: PciDevice } = {}) {
    this.name = name;
    this.bus = bus;
    this.parent = options.parent;
    this.pci = options.pci;
  }
}

/** struct device_driver with its bus wrapper. */
export interface DeviceDriver {
  readonly name: string;
  readonly bus: BusName;
  /** driver_managed_dma: the driver claims DMA ownership itself and does not count as kernel use. */
  readonly managesDma: boolean;
  /** @throws KernelError: the probe failed and the device stays unbound. */
  probe(device: Device): void;
  /** Lets go of the device; undefined when that is done at once, else finished when the last user is gone. */
  remove(device: Device): Completion | undefined;
}
