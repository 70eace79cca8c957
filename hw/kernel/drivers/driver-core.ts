/**
 * Binding of drivers and devices: what the files in /sys/bus/<bus> do. drivers/base/{bus,dd}.c, and the DMA side of a
 * binding (bus_type.dma_configure) from drivers/pci/pci-driver.c.
 */
import { Completion } from '../completion.ts';
import type { BusName, Device, DeviceDriver } from '../device.ts';
import { Errno, KernelError } from '../errno.ts';
import type { IommuCore } from '../iommu/types.ts';
import type { KernelProfile } from '../profile.ts';

/** A driver that its bus can match against a device (bus_type.match). */
export interface BusDriver extends DeviceDriver {
  matches(device: Device): boolean;
}

export interface DriverEnvironment {
  readonly core: IommuCore;
  readonly profile: KernelProfile;
  log(line: string): void;
}

interface Bus {
  readonly drivers: BusDriver[];
  readonly devices: Device[];
  autoprobe: boolean;
}

/** The bind attempt reached the driver, and the driver's probe failed: other drivers may still be tried. */
class ProbeFailure {
  readonly error: KernelError;

  constructor(error: KernelError) {
    this.error = error;
  }
}

export class DriverCore {
  private readonly environment: DriverEnvironment;
  private readonly buses = new Map<BusName, Bus>();
  /** Devices whose driver is letting go and waits for a user (the lock of the device is held). */
  private readonly leaving = new Map<Device, { readonly driver: DeviceDriver; readonly done: Completion }>();

  constructor(environment: DriverEnvironment) {
    this.environment = environment;
  }

  /** Set while the driver of a device waits for a user to let go of it: who wants to bind it waits for that. */
  leavingOf(bus: BusName, deviceName: string): Completion | undefined {
    const device = this.device(bus, withoutNewline(deviceName));
    return device === undefined ? undefined : this.leaving.get(device)?.done;
  }

  drivers(bus: BusName): readonly BusDriver[] {
    return this.bus(bus).drivers;
  }

  devices(bus: BusName): readonly Device[] {
    return this.bus(bus).devices;
  }

  device(bus: BusName, name: string): Device | undefined {
    return this.bus(bus).devices.find((device) => device.name === name);
  }

  /** @throws KernelError ENOENT: there is no such driver, so its files don't exist. */
  driver(bus: BusName, name: string): BusDriver {
    const driver = this.bus(bus).drivers.find((each) => each.name === name);
    if (driver === undefined)
      throw new KernelError('ENOENT', 'no such driver', `/sys/bus/${bus}/drivers/${name} does not exist`);
    return driver;
  }

  /** Loads a driver: with autoprobe on, every free device it matches is bound. */
  registerDriver(driver: BusDriver): void {
    this.bus(driver.bus).drivers.push(driver);
    if (this.bus(driver.bus).autoprobe) this.attachDriver(driver);
  }

  /** Unloads a driver: its devices are unbound first. */
  unregisterDriver(driver: BusDriver): void {
    const bus = this.bus(driver.bus);
    for (const device of bus.devices) if (device.driver === driver) this.release(device);
    const index = bus.drivers.indexOf(driver);
    if (index >= 0) bus.drivers.splice(index, 1);
  }

  /** device_add: the device shows on its bus, and is bound by itself when autoprobe is on. */
  addDevice(device: Device): void {
    const bus = this.bus(device.bus);
    bus.devices.push(device);
    if (!bus.autoprobe) return;
    try {
      this.attachDevice(device);
    } catch {
      // An automatic probe that is refused leaves the device without driver.
    }
  }

  /** device_del: finished when the driver has let go and the device is off the bus. */
  removeDevice(device: Device): Completion {
    const finished = new Completion();
    this.release(device).whenDone(() => {
      const { devices } = this.bus(device.bus);
      const index = devices.indexOf(device);
      if (index >= 0) devices.splice(index, 1);
      finished.complete();
    });
    return finished;
  }

  autoprobe(bus: BusName): boolean {
    return this.bus(bus).autoprobe;
  }

  /** /sys/bus/<bus>/drivers_autoprobe. */
  setAutoprobe(bus: BusName, on: boolean): void {
    this.bus(bus).autoprobe = on;
  }

  /**
   * /sys/bus/<bus>/drivers/<driver>/bind. @throws KernelError ENOENT (no such driver), ENODEV (no such device, or no
   * match), EBUSY (bound already, or its group's DMA belongs to a user), and what the driver's probe says.
   */
  bind(bus: BusName, driverName: string, deviceName: string): void {
    const driver = this.driver(bus, driverName);
    const device = this.device(bus, withoutNewline(deviceName));
    if (device === undefined || !driver.matches(device)) {
      throw new KernelError(
        'ENODEV',
        'no match',
        device === undefined
          ? `there is no device "${deviceName}"`
          : `${driverName} does not match ${device.name}`,
        `write ${driverName} to driver_override of the device, or its ids to new_id of the driver`,
      );
    }
    this.attach(driver, device);
  }

  /** Binds without asking for a match (device_driver_attach of a bus that binds by itself). @throws KernelError */
  attach(driver: DeviceDriver, device: Device): void {
    try {
      this.probe(driver, device);
    } catch (error) {
      throw error instanceof ProbeFailure ? error.error : error;
    }
  }

  /**
   * /sys/bus/<bus>/drivers/<driver>/unbind: finished when the driver has let go.
   * @throws KernelError ENOENT (no such driver), ENODEV (no such device, or bound to something else).
   */
  unbind(bus: BusName, driverName: string, deviceName: string): Completion {
    const driver = this.driver(bus, driverName);
    const device = this.device(bus, withoutNewline(deviceName));
    const bound = device === undefined ? undefined : (this.leaving.get(device)?.driver ?? device.driver);
    if (device === undefined || bound !== driver) {
      throw new KernelError('ENODEV', 'not bound', `${deviceName} is not bound to ${driverName}`);
    }
    return this.release(device);
  }

  /**
   * /sys/bus/<bus>/drivers_probe. @throws KernelError ENODEV (no such device), EINVAL (a matching driver could not be
   * bound for a reason outside the driver, such as a group whose DMA belongs to a user).
   */
  probeByName(bus: BusName, deviceName: string): void {
    const device = this.device(bus, withoutNewline(deviceName));
    if (device === undefined)
      throw new KernelError('ENODEV', 'no such device', `there is no device "${deviceName}"`);
    try {
      this.attachDevice(device);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new KernelError('EINVAL', error.rule, error.message, error.remedy);
    }
  }

  /** driver_attach: binds every free device that the driver matches; failures are left alone. */
  attachDriver(driver: BusDriver): void {
    for (const device of [...this.bus(driver.bus).devices]) {
      if (device.driver !== undefined || this.leaving.has(device) || !driver.matches(device)) continue;
      try {
        this.probe(driver, device);
      } catch (error) {
        if (!(error instanceof ProbeFailure) && !(error instanceof KernelError)) throw error;
      }
    }
  }

  /** The first driver that matches and probes; a refusal before the probe ends the search. */
  private attachDevice(device: Device): void {
    if (device.driver !== undefined || this.leaving.has(device)) return;
    for (const driver of this.bus(device.bus).drivers) {
      if (!driver.matches(device)) continue;
      try {
        this.probe(driver, device);
        return;
      } catch (error) {
        if (!(error instanceof ProbeFailure)) throw error;
      }
    }
  }

  /** really_probe: DMA use is counted before the probe, and given back when it fails. */
  private probe(driver: DeviceDriver, device: Device): void {
    const leaving = this.leaving.get(device);
    if (leaving !== undefined)
      throw new KernelError(
        'EBUSY',
        'driver leaving',
        `${leaving.driver.name} has not let go of ${device.name} yet`,
        'close the device where it is open',
      );
    if (device.driver !== undefined)
      throw new KernelError(
        'EBUSY',
        'bound already',
        `${device.name} is bound to ${device.driver.name}`,
        'unbind it first',
      );
    const { core, profile, log } = this.environment;
    const counts =
      !driver.managesDma && profile.dmaOwnership !== 'viability' && core.groupOf(device) !== undefined;
    if (counts) core.useDefaultDomain(device);
    device.driver = driver;
    try {
      driver.probe(device);
    } catch (error) {
      device.driver = undefined;
      if (counts) core.unuseDefaultDomain(device);
      if (!(error instanceof KernelError)) throw error;
      if (error.code !== 'ENODEV' && error.code !== 'ENXIO')
        log(
          `${driver.name} ${device.name}: probe with driver ${driver.name} failed with error -${Errno[error.code]}`,
        );
      throw new ProbeFailure(error);
    }
  }

  /** device_release_driver. */
  private release(device: Device): Completion {
    const leaving = this.leaving.get(device);
    if (leaving !== undefined) return leaving.done;
    const { driver } = device;
    if (driver === undefined) return Completion.done();
    const { core, profile } = this.environment;
    device.driver = undefined;
    const finished = new Completion();
    this.leaving.set(device, { driver, done: finished });
    (driver.remove(device) ?? Completion.done()).whenDone(() => {
      this.leaving.delete(device);
      if (!driver.managesDma && profile.dmaOwnership !== 'viability' && core.groupOf(device) !== undefined)
        core.unuseDefaultDomain(device);
      finished.complete();
    });
    return finished;
  }

  private bus(name: BusName): Bus {
    let bus = this.buses.get(name);
    if (bus === undefined) {
      bus = { drivers: [], devices: [], autoprobe: true };
      this.buses.set(name, bus);
    }
    return bus;
  }
}

/** sysfs takes a value with or without its newline. */
function withoutNewline(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}
