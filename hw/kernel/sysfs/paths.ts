/** Where devices sit in /sys/devices. */
import type { Device } from '../device.ts';
import type { PciDevice } from '../pci/pci-device.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** `/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0`; virtual functions sit beside their physical one. */
export function pciPath(pci: PciDevice): string {
  const { bridge } = pci.bus;
  if (bridge !== undefined) return `${pciPath(bridge)}/${pci.name}`;
  const physical = pci.physicalFunction;
  if (physical !== undefined) return `${pciPath(physical).replace(/\/[^/]+$/, '')}/${pci.name}`;
  return `/sys/devices/pci${hex(pci.bus.segment, 4)}:${hex(pci.bus.number, 2)}/${pci.name}`;
}

export function devicePath(device: Device): string {
  if (device.pci !== undefined) return pciPath(device.pci);
  if (device.parent !== undefined) return `${devicePath(device.parent)}/${device.name}`;
  return `/sys/devices/virtual/${device.name}/${device.name}`;
}
