/** PCI drivers: how they match by id, and what can be written to their sysfs files. drivers/pci/pci-driver.c. */
import type { Completion } from '../completion.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { BusDriver } from './driver-core.ts';

/** PCI_ANY_ID. */
export const ANY = 0xffffffff;

/** struct pci_device_id. `overrideOnly`: matches only a device whose driver_override names this driver. */
export interface PciId {
  readonly vendor: number;
  readonly device: number;
  readonly subvendor?: number;
  readonly subdevice?: number;
  readonly class?: number;
  readonly classMask?: number;
  readonly overrideOnly?: boolean;
}

/** What a PCI driver does when it takes a device and gives it up. */
export interface PciDriverOperations {
  probe?(device: Device, pci: PciDevice): void;
  remove?(device: Device, pci: PciDevice): Completion | undefined;
}

type IdFields = Pick<PciDevice, 'vendorId' | 'deviceId' | 'subsystemVendorId' | 'subsystemId' | 'classCode'>;

function idMatches(id: PciId, of: IdFields): boolean {
  return (
    (id.vendor === ANY || id.vendor === of.vendorId) &&
    (id.device === ANY || id.device === of.deviceId) &&
    ((id.subvendor ?? ANY) === ANY || id.subvendor === of.subsystemVendorId) &&
    ((id.subdevice ?? ANY) === ANY || id.subdevice === of.subsystemId) &&
    (((id.class ?? 0) ^ of.classCode) & (id.classMask ?? 0)) === 0
  );
}

export class PciDriver implements BusDriver {
  readonly name: string;
  readonly bus = 'pci';
  readonly managesDma: boolean;
  private readonly table: readonly PciId[];
  private readonly operations: PciDriverOperations;
  private readonly dynamic: PciId[] = [];
  private readonly driverData: readonly number[];

  /** @param options `driverData`: the values in the driver's own table; 0 unless told. */
  constructor(
    name: string,
    table: readonly PciId[],
    operations: PciDriverOperations = {},
    options: { managesDma?: boolean; driverData?: readonly number[] } = {},
  ) {
    this.name = name;
    this.table = table;
    this.operations = operations;
    this.managesDma = options.managesDma ?? false;
    this.driverData = options.driverData ?? [0];
  }

  /** pci_match_device: driver_override decides when it is set; else ids written to new_id, then the driver's own. */
  matches(device: Device): boolean {
    if (device.pci === undefined) return false;
    const override = device.driverOverride;
    if (override !== undefined) return override === this.name;
    return this.matchesIds(device.pci);
  }

  probe(device: Device): void {
    if (device.pci === undefined)
      throw new KernelError('ENODEV', 'not PCI', `${device.name} is no PCI device`);
    this.operations.probe?.(device, device.pci);
  }

  remove(device: Device): Completion | undefined {
    return device.pci === undefined ? undefined : this.operations.remove?.(device, device.pci);
  }

  /** Ids added by new_id, newest last. */
  get dynamicIds(): readonly PciId[] {
    return this.dynamic;
  }

  /**
   * /sys/bus/pci/drivers/<driver>/new_id: "vendor device [subvendor subdevice class class_mask driver_data]" in hex. The
   * caller then lets the driver core look for devices.
   * @throws KernelError EINVAL (fewer than two numbers, or driver data that no id of the driver's own table has), EEXIST
   * (an id covers it already).
   */
  addId(text: string): void {
    const numbers = hexNumbers(text);
    if (numbers.length < 2)
      throw new KernelError('EINVAL', 'new_id syntax', `"${text}": vendor and device in hex`);
    const [vendor, device, subvendor = ANY, subdevice = ANY, deviceClass = 0, classMask = 0, driverData = 0] =
      numbers;
    if (numbers.length !== 7) {
      const probe = {
        vendorId: vendor,
        deviceId: device,
        subsystemVendorId: subvendor,
        subsystemId: subdevice,
        classCode: deviceClass,
      };
      if (this.matchesIds(probe))
        throw new KernelError('EEXIST', 'id known', `an id of ${this.name} covers ${text.trim()} already`);
    }
    // A driver without a table of its own (pci-stub) takes any data.
    if (this.table.length > 0 && !this.driverData.includes(driverData))
      throw new KernelError(
        'EINVAL',
        'driver data',
        `no id of ${this.name}'s own has driver data 0x${driverData.toString(16)}`,
      );
    this.dynamic.push({ vendor, device, subvendor, subdevice, class: deviceClass, classMask });
  }

  /** /sys/bus/pci/drivers/<driver>/remove_id. @throws KernelError EINVAL, ENODEV (no such dynamic id). */
  removeId(text: string): void {
    const numbers = hexNumbers(text);
    if (numbers.length < 2)
      throw new KernelError('EINVAL', 'remove_id syntax', `"${text}": vendor and device in hex`);
    const [vendor, device, subvendor = ANY, subdevice = ANY, deviceClass = 0, classMask = 0] = numbers;
    const index = this.dynamic.findIndex(
      (id) =>
        id.vendor === vendor &&
        id.device === device &&
        (subvendor === ANY || id.subvendor === subvendor) &&
        (subdevice === ANY || id.subdevice === subdevice) &&
        (((id.class ?? 0) ^ deviceClass) & classMask) === 0,
    );
    if (index < 0)
      throw new KernelError('ENODEV', 'id unknown', `${this.name} has no dynamic id ${text.trim()}`);
    this.dynamic.splice(index, 1);
  }

  private matchesIds(of: IdFields): boolean {
    return (
      this.dynamic.some((id) => idMatches(id, of)) ||
      this.table.some((id) => id.overrideOnly !== true && idMatches(id, of))
    );
  }
}

/** Up to seven hex numbers as sscanf("%x %x …") reads them: stops at the first that is none. */
function hexNumbers(text: string): number[] {
  const numbers: number[] = [];
  for (const word of text.trim().split(/\s+/)) {
    const match = /^(?:0[xX])?([0-9a-fA-F]+)/.exec(word);
    if (match === null || numbers.length === 7) break;
    numbers.push(Number.parseInt(match[1].slice(-8), 16));
    if (match[0].length !== word.length) break;
  }
  return numbers;
}

/** sysfs limit of driver_override: a page, less a newline. */
const OVERRIDE_BYTES = 4095;

/**
 * Writes driver_override of a device; a lone newline clears it, and what follows a newline is ignored.
 * @throws KernelError EINVAL: longer than a page.
 */
export function writeDriverOverride(device: Device, text: string): void {
  if (text.length >= OVERRIDE_BYTES)
    throw new KernelError(
      'EINVAL',
      'driver_override length',
      `${text.length} characters: at most ${OVERRIDE_BYTES - 1}`,
    );
  // A write of nothing never reaches the file's handler.
  if (text.length === 0) return;
  const end = text.indexOf('\n');
  const value = end < 0 ? text : text.slice(0, end);
  device.driverOverride = value === '' ? undefined : value;
}
