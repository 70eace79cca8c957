/**
 * The mdev core: parents, their types, and mediated devices, as the files in sysfs make and remove them.
 * drivers/vfio/mdev/{mdev_core,mdev_sysfs,mdev_driver}.c.
 */
import { Completion } from '../completion.ts';
import { Device } from '../device.ts';
import type { BusDriver, DriverCore } from '../drivers/driver-core.ts';
import { KernelError } from '../errno.ts';
import type { KernelProfile } from '../profile.ts';
import { VfioDevice } from '../vfio/device.ts';
import type { Vfio } from '../vfio/vfio.ts';
import { type Mdev, type MdevDriver, type MdevParent, type MdevType, typeId } from './mdev-driver.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UUID_LENGTH = 36;

export interface MdevEnvironment {
  readonly vfio: Vfio;
  readonly drivers: DriverCore;
  readonly profile: KernelProfile;
  log(line: string): void;
}

/** The bus side of a parent driver: mediated devices never match by themselves, the core binds them. */
class MdevBusDriver implements BusDriver {
  readonly name: string;
  readonly bus = 'mdev';
  readonly managesDma = true;
  private readonly core: MdevCore;

  constructor(name: string, core: MdevCore) {
    this.name = name;
    this.core = core;
  }

  matches(): boolean {
    return false;
  }

  probe(device: Device): void {
    this.core.probe(device);
  }

  remove(device: Device): Completion | undefined {
    return this.core.unbound(device);
  }
}

export class MdevCore {
  private readonly environment: MdevEnvironment;
  private readonly byDevice = new Map<Device, MdevParent>();
  private readonly byUuid = new Map<string, Mdev>();
  private readonly byMdevDevice = new Map<Device, Mdev>();
  private readonly registered = new Set<(parent: MdevParent) => void>();

  constructor(environment: MdevEnvironment) {
    this.environment = environment;
  }

  get parents(): readonly MdevParent[] {
    return [...this.byDevice.values()];
  }

  /** Mediated devices that sysfs shows, by UUID. */
  get mdevs(): readonly Mdev[] {
    return [...this.byUuid.values()].filter((mdev) => mdev.active).sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
  }

  parentOf(device: Device): MdevParent | undefined {
    return this.byDevice.get(device);
  }

  parent(name: string): MdevParent | undefined {
    return this.parents.find((parent) => parent.device.name === name);
  }

  find(uuid: string): Mdev | undefined {
    const mdev = this.byUuid.get(uuid.toLowerCase());
    return mdev?.active === true ? mdev : undefined;
  }

  /** @throws KernelError ENOENT: the parent has no such type directory. */
  type(parent: MdevParent, id: string): MdevType {
    const type = parent.driver.types.find((each) => typeId(parent, each) === id);
    if (type === undefined)
      throw new KernelError('ENOENT', 'no such type', `${parent.device.name} has no mdev type "${id}"`);
    return type;
  }

  /** Tells of every parent that registers from now on (the MDEV_STATE=registered event). */
  onRegistered(listener: (parent: MdevParent) => void): void {
    this.registered.add(listener);
  }

  /** mdev_register_parent. @throws KernelError EEXIST: registered already; EINVAL: no types. */
  registerParent(device: Device, driver: MdevDriver): MdevParent {
    if (this.byDevice.has(device))
      throw new KernelError('EEXIST', 'parent registered', `${device.name} is an mdev parent already`);
    if (driver.types.length === 0)
      throw new KernelError('EINVAL', 'no types', `${driver.name} offers no mdev type`);
    const parent: MdevParent = {
      device,
      driver,
      instancesLeft: driver.maximumInstances,
      unregistering: false,
    };
    this.byDevice.set(device, parent);
    const { drivers, log } = this.environment;
    if (!drivers.drivers('mdev').some((each) => each.name === driver.name))
      drivers.registerDriver(new MdevBusDriver(driver.name, this));
    log(`${device.driver?.name ?? driver.name} ${device.name}: MDEV: Registered`);
    for (const listener of this.registered) listener(parent);
    return parent;
  }

  /** mdev_unregister_parent: every child goes first; finished when the last user of one is gone. */
  unregisterParent(parent: MdevParent): Completion {
    const { log, drivers } = this.environment;
    parent.unregistering = true;
    log(`${parent.device.driver?.name ?? parent.driver.name} ${parent.device.name}: MDEV: Unregistering`);
    const finished = new Completion();
    const children = [...this.byUuid.values()].filter((mdev) => mdev.parent === parent && mdev.active);
    let left = children.length + 1;
    const oneDone = (): void => {
      left -= 1;
      if (left > 0) return;
      this.byDevice.delete(parent.device);
      if (!this.parents.some((other) => other.driver.name === parent.driver.name))
        drivers.unregisterDriver(drivers.driver('mdev', parent.driver.name));
      finished.complete();
    };
    for (const child of children) this.takeDown(child).whenDone(oneDone);
    oneDone();
    return finished;
  }

  /** Attribute available_instances. */
  available(parent: MdevParent, type: MdevType): number {
    if (parent.driver.available !== undefined) return parent.driver.available(type);
    if (this.environment.profile.mdevInstanceCount === 'core') return parent.instancesLeft;
    return parent.driver.maximumInstances - this.childrenOf(parent);
  }

  /**
   * A write to `create` of a type: a UUID, with one further character at most.
   * @throws KernelError EINVAL (length, syntax), EEXIST (UUID in use anywhere), EUSERS (no instance left, counted by
   * the core), ENODEV (parent going), and what the driver's probe says.
   */
  create(parent: MdevParent, type: MdevType, text: string): Mdev | undefined {
    if (text.length === 0) return undefined;
    if (text.length !== UUID_LENGTH && text.length !== UUID_LENGTH + 1)
      throw new KernelError('EINVAL', 'UUID length', `${text.length} characters: a UUID has ${UUID_LENGTH}`);
    const uuid = text.slice(0, UUID_LENGTH).toLowerCase();
    if (!UUID.test(uuid)) throw new KernelError('EINVAL', 'UUID syntax', `"${uuid}" is no UUID`);
    if (this.byUuid.has(uuid))
      throw new KernelError(
        'EEXIST',
        'UUID in use',
        `there is a mediated device ${uuid} already`,
        'use another UUID',
      );
    this.takeInstance(parent);
    const mdev: Mdev = {
      uuid,
      device: new Device(uuid, 'mdev', { parent: parent.device }),
      parent,
      type,
      active: false,
    };
    this.byUuid.set(uuid, mdev);
    this.byMdevDevice.set(mdev.device, mdev);
    try {
      if (parent.unregistering)
        throw new KernelError('ENODEV', 'parent going', `${parent.device.name} is being unregistered`);
      const { drivers } = this.environment;
      drivers.addDevice(mdev.device);
      try {
        drivers.attach(drivers.driver('mdev', parent.driver.name), mdev.device);
      } catch (error) {
        drivers.removeDevice(mdev.device);
        throw error;
      }
    } catch (error) {
      this.forget(mdev);
      throw error;
    }
    mdev.active = true;
    return mdev;
  }

  /**
   * A write to `remove`: any number but 0 removes. Finished when the user, if there is one, has closed it.
   * @throws KernelError EINVAL (no number).
   */
  remove(mdev: Mdev, text: string): Completion {
    if (text.length === 0) return Completion.done();
    const number = parseUnsigned(text);
    if (number === undefined)
      throw new KernelError('EINVAL', 'remove value', `"${text.trim()}" is no number`);
    return number === 0n ? Completion.done() : this.takeDown(mdev);
  }

  /** Bus probe: the driver takes the device, and VFIO offers it. */
  probe(device: Device): void {
    const mdev = this.mdevOf(device);
    const { vfio, profile, log } = this.environment;
    const { core } = vfio.environment;
    // Until 6.x the mdev bus makes the group, before the driver sees the device.
    if (profile.mdevIommuDevice) {
      const group = core.allocateGroup();
      core.addDevice(group, device);
      log(`vfio_mdev ${device.name}: Adding to iommu group ${group.id}`);
      log(`vfio_mdev ${device.name}: MDEV: group_id = ${group.id}`);
    }
    try {
      const operations = mdev.parent.driver.probe(mdev);
      const offered = new VfioDevice(device, 'emulated', mdev.parent.driver.name, operations);
      if (profile.mdevIommuDevice) offered.isolatingDevice = mdev.parent.driver.isolatingDevice?.(mdev);
      try {
        vfio.register(offered);
      } catch (error) {
        mdev.parent.driver.removed(mdev);
        throw error;
      }
    } catch (error) {
      if (profile.mdevIommuDevice) core.removeDevice(device);
      throw error;
    }
  }

  /** Bus remove: VFIO waits for the user, then the driver gives its resources back. */
  unbound(device: Device): Completion {
    const mdev = this.mdevOf(device);
    const { vfio } = this.environment;
    const offered = vfio.deviceOf(device);
    const finished = new Completion();
    (offered === undefined ? Completion.done() : vfio.unregister(offered)).whenDone(() => {
      mdev.parent.driver.removed(mdev);
      finished.complete();
    });
    return finished;
  }

  private takeDown(mdev: Mdev): Completion {
    mdev.active = false;
    return this.environment.drivers.removeDevice(mdev.device).whenDone(() => this.forget(mdev));
  }

  /** 6.x: the core counts for drivers that don't. Before, such a driver refused by itself when it was full. */
  private takeInstance(parent: MdevParent): void {
    const { driver } = parent;
    if (driver.available !== undefined) return;
    const counts = this.environment.profile.mdevInstanceCount === 'core';
    const left = counts ? parent.instancesLeft : driver.maximumInstances - this.childrenOf(parent);
    if (left <= 0) {
      throw new KernelError(
        counts ? 'EUSERS' : 'ENOMEM',
        'no instance left',
        `${parent.device.name} gives out at most ${driver.maximumInstances} mediated devices`,
        'remove one of them',
      );
    }
    if (counts) parent.instancesLeft -= 1;
  }

  /** Mediated devices of a parent, those being removed included. */
  private childrenOf(parent: MdevParent): number {
    let count = 0;
    for (const mdev of this.byUuid.values()) if (mdev.parent === parent) count += 1;
    return count;
  }

  /** The last reference is gone: the UUID is free, and the instance goes back. */
  private forget(mdev: Mdev): void {
    this.byUuid.delete(mdev.uuid);
    this.byMdevDevice.delete(mdev.device);
    if (this.environment.profile.mdevInstanceCount === 'core' && mdev.parent.driver.available === undefined)
      mdev.parent.instancesLeft += 1;
  }

  private mdevOf(device: Device): Mdev {
    const mdev = this.byMdevDevice.get(device);
    if (mdev === undefined)
      throw new KernelError('ENODEV', 'no mdev', `${device.name} is no mediated device`);
    return mdev;
  }
}

/** kstrtoul with base 0: decimal, 0x, octal with a leading 0; one newline at the end. */
export function parseUnsigned(text: string): bigint | undefined {
  const digits = /^\+?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\n?$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return value < 1n << 64n ? value : undefined;
}
