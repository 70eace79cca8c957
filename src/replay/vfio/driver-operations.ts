/** Operations on the sysfs files of the PCI bus and of IOMMU groups. */
import { KernelError, kernel, type Process } from '../../../hw/index.ts';
import type { OperationCall } from './operation.ts';
import { Pending, type ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, (world: ReplayWorld, call: Call) => number | Pending | undefined>>;

const { PciDriver, writeDriverOverride } = kernel;

const nameOf = (world: ReplayWorld, { args }: Call): string => world.deviceName(args.text('device') ?? '');

/** @throws KernelError ENOENT: the device has no directory. */
function deviceOf(world: ReplayWorld, call: Call): kernel.Device {
  const device = world.kernel.pciDevice(nameOf(world, call));
  if (device === undefined)
    throw new KernelError(
      'ENOENT',
      'no such device',
      `/sys/bus/pci/devices/${nameOf(world, call)} does not exist`,
    );
  return device;
}

function pciDriverOf(world: ReplayWorld, { args }: Call): kernel.PciDriver {
  const driver = world.kernel.drivers.driver('pci', args.text('driver') ?? '');
  if (driver instanceof PciDriver) return driver;
  throw new KernelError('ENOENT', 'no such file', `${driver.name} has no ids`);
}

/** The group an operation names by its symbol or by a mediated device. @throws KernelError ENOENT */
function groupOf(world: ReplayWorld, { args }: Call): kernel.IommuGroup {
  const uuid = args.text('group_of_mdev');
  const group = uuid === undefined ? world.group(args.text('group') ?? '') : world.groupOfMdev(uuid);
  if (group === undefined)
    throw new KernelError('ENOENT', 'no such group', 'the group has no directory in sysfs');
  return group;
}

const wide = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

function groupAttribute(world: ReplayWorld, group: kernel.IommuGroup, name: string): string {
  switch (name) {
    case 'type':
      return group.defaultDomain?.type ?? 'unknown';
    case 'reserved_regions':
      return world.kernel.iommu
        .reservedRegions(group)
        .map(({ start, end, type }) => `${wide(start)} ${wide(end)} ${type}`)
        .join('\n');
    case 'name':
      if (group.name !== undefined) return group.name;
      break;
  }
  throw new KernelError('ENOENT', 'no such attribute', `group ${group.id} has no file ${name}`);
}

/** A write to a file of sysfs: one of nothing never reaches the file's handler. Returns the bytes written. */
function write(text: string, handler: () => void): number {
  if (text.length > 0) handler();
  return text.length;
}

export const driverOperations: Operations = {
  driver_bind(world, call) {
    const name = nameOf(world, call);
    const driver = call.args.text('driver') ?? '';
    world.kernel.drivers.driver('pci', driver);
    const bind = (): number => write(name, () => world.kernel.drivers.bind('pci', driver, name));
    const leaving = world.kernel.drivers.leavingOf('pci', name);
    try {
      return bind();
    } catch (error) {
      const waits = leaving !== undefined && error instanceof KernelError && error.code === 'EBUSY';
      if (waits) return new Pending(leaving, bind);
      throw error;
    }
  },

  driver_unbind(world, call) {
    const name = nameOf(world, call);
    return new Pending(world.kernel.drivers.unbind('pci', call.args.text('driver') ?? '', name), name.length);
  },

  drivers_probe(world, call) {
    const name = nameOf(world, call);
    return write(name, () => world.kernel.drivers.probeByName('pci', name));
  },

  read_driver_link(world, call) {
    const { driver } = deviceOf(world, call);
    if (driver === undefined)
      throw new KernelError('ENOENT', 'no driver', `${nameOf(world, call)} has no driver`);
    call.out.target = driver.name;
    return undefined;
  },

  write_driver_override(world, call) {
    const text = call.args.text('value') ?? '';
    writeDriverOverride(deviceOf(world, call), text);
    return text.length;
  },

  read_driver_override(world, call) {
    call.out.text = deviceOf(world, call).driverOverride ?? '(null)';
    return undefined;
  },

  driver_new_id(world, call) {
    const driver = pciDriverOf(world, call);
    const text = call.args.text('ids') ?? '';
    return write(text, () => {
      driver.addId(text);
      world.kernel.drivers.attachDriver(driver);
    });
  },

  driver_remove_id(world, call) {
    const text = call.args.text('ids') ?? '';
    const driver = pciDriverOf(world, call);
    return write(text, () => driver.removeId(text));
  },

  set_drivers_autoprobe(world, { args }) {
    world.kernel.drivers.setAutoprobe('pci', args.boolean('on'));
    return 1;
  },

  pci_remove: (world, call) => new Pending(world.kernel.removePci(nameOf(world, call)), 1),

  pci_rescan(world) {
    world.kernel.rescanPci();
    return 1;
  },

  path_exists(world, { args, out }) {
    const path = args.text('path') ?? '';
    const parent = /^parent (.+)$/.exec(path)?.[1];
    const there =
      parent === undefined
        ? world.kernel.pciDevice(world.deviceName(path)) !== undefined
        : world.kernel.mdev.parent(parent) !== undefined;
    out.exists = there ? 1 : 0;
    return undefined;
  },

  iommu_group_members(world, call) {
    const names = groupOf(world, call).devices.map((device) => device.name);
    call.out.entries = names.sort().map((name) => world.deviceSymbol(name));
    return undefined;
  },

  iommu_group_attr_read(world, call) {
    call.out.text = groupAttribute(world, groupOf(world, call), call.args.text('attr') ?? '');
    return undefined;
  },

  iommu_group_attr_write(world, call) {
    const data = call.args.text('data') ?? '';
    const group = groupOf(world, call);
    if (call.args.text('attr') !== 'type')
      throw new KernelError('EACCES', 'read-only attribute', 'only the type of a group can be written');
    return write(data, () => world.kernel.iommu.setDefaultType(group, data));
  },
};
