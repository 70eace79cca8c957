/** Operations on mediated devices: their sysfs files, and what the pinning test driver does on request. */
import { KernelError, kernel, type Process } from '../../../hw/index.ts';
import { hex, type OperationCall } from './operation.ts';
import { Pending, type ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;
type Operations = Readonly<Record<string, (world: ReplayWorld, call: Call) => number | Pending | undefined>>;

const { DeviceFile, PinningFunction, typeId } = kernel;

const PROTECTIONS: Readonly<Record<string, number>> = { r: 1, w: 2, rw: 3 };

const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

function missing(what: string): KernelError {
  return new KernelError('ENOENT', 'no such file', `${what} does not exist`);
}

function parentOf(world: ReplayWorld, { args }: Call): kernel.MdevParent {
  const name = args.text('parent') ?? '';
  const parent = world.kernel.mdev.parent(world.deviceName(name));
  if (parent === undefined) throw missing(`mdev parent ${name}`);
  return parent;
}

function mdevOf(world: ReplayWorld, { args }: Call): kernel.Mdev {
  const uuid = args.text('uuid') ?? '';
  const mdev = world.kernel.mdev.find(uuid);
  if (mdev === undefined) throw missing(`mdev ${uuid}`);
  return mdev;
}

function pinningOf({ process, args }: Call): { device: kernel.DeviceFile; pinning: kernel.PinningFunction } {
  const device = process.object(args.symbol('device_fd'), DeviceFile, 'ENOTTY');
  if (device.operations instanceof PinningFunction) return { device, pinning: device.operations };
  throw new KernelError('ENOTTY', 'unknown request', 'the device pins nothing on request');
}

function typeAttributes(parent: kernel.MdevParent): string[] {
  const description = parent.driver.description === undefined ? [] : ['description'];
  return ['available_instances', 'create', ...description, 'device_api', 'devices', 'name'];
}

function typeAttribute(world: ReplayWorld, call: Call): string {
  const { mdev } = world.kernel;
  const parent = parentOf(world, call);
  const type = mdev.type(parent, call.args.text('type') ?? '');
  const name = call.args.text('attr') ?? '';
  switch (name) {
    case 'name':
      return type.prettyName ?? type.sysfsName;
    case 'device_api':
      return parent.driver.deviceApi;
    case 'available_instances':
      return String(mdev.available(parent, type));
    case 'description': {
      const text = parent.driver.description?.(type);
      if (text !== undefined) return text;
    }
  }
  throw missing(`attribute ${name}`);
}

const sysfs: Operations = {
  mdev_supported_types(world, call) {
    const parent = parentOf(world, call);
    call.out.entries = parent.driver.types.map((type) => typeId(parent, type)).sort();
    return undefined;
  },

  mdev_type_attributes(world, call) {
    const parent = parentOf(world, call);
    world.kernel.mdev.type(parent, call.args.text('type') ?? '');
    call.out.entries = typeAttributes(parent);
    return undefined;
  },

  mdev_type_attr(world, call) {
    call.out.text = typeAttribute(world, call);
    return undefined;
  },

  mdev_type_devices(world, call) {
    const parent = parentOf(world, call);
    const type = world.kernel.mdev.type(parent, call.args.text('type') ?? '');
    call.out.entries = world.kernel.mdev.mdevs
      .filter((mdev) => mdev.parent === parent && mdev.type === type)
      .map((mdev) => mdev.uuid);
    return undefined;
  },

  mdev_create(world, call) {
    const parent = parentOf(world, call);
    const data = call.args.text('data') ?? '';
    world.kernel.mdev.create(parent, world.kernel.mdev.type(parent, call.args.text('type') ?? ''), data);
    return data.length;
  },

  mdev_remove(world, call) {
    const data = call.args.text('data') ?? '';
    return new Pending(world.kernel.mdev.remove(mdevOf(world, call), data), data.length);
  },

  mdev_list(world, { out }) {
    out.entries = world.kernel.mdev.mdevs.map((mdev) => mdev.uuid);
    return undefined;
  },

  mdev_exists(world, { args, out }) {
    out.exists = world.kernel.mdev.find(args.text('uuid') ?? '') === undefined ? 0 : 1;
    return undefined;
  },

  mdev_attributes(world, call) {
    const { device, parent } = mdevOf(world, call);
    const group = parent.driver.attributeGroup;
    call.out.entries = [
      ...(device.driver === undefined ? [] : ['driver']),
      ...(world.kernel.iommu.groupOf(device) === undefined ? [] : ['iommu_group']),
      'mdev_type',
      'power',
      'remove',
      'subsystem',
      'uevent',
      ...(group === undefined ? [] : [group]),
      ...(world.kernel.vfio.deviceOf(device) === undefined ? [] : ['vfio-dev']),
    ];
    return undefined;
  },

  mdev_link(world, call) {
    const { device, parent, type } = mdevOf(world, call);
    const name = call.args.text('link') ?? '';
    const group = world.kernel.iommu.groupOf(device);
    const links: Readonly<Record<string, string | undefined>> = {
      mdev_type: typeId(parent, type),
      driver: device.driver?.name,
      subsystem: 'mdev',
      iommu_group: group === undefined ? undefined : String(group.id),
    };
    const target = links[name];
    if (target === undefined) throw missing(`link ${name}`);
    call.out.target = target;
    return undefined;
  },

  mdev_driver_bind(world, { args }) {
    const uuid = args.text('uuid') ?? '';
    world.kernel.drivers.bind('mdev', args.text('driver') ?? '', uuid);
    return uuid.length;
  },

  mdev_driver_unbind(world, { args }) {
    const uuid = args.text('uuid') ?? '';
    return new Pending(world.kernel.drivers.unbind('mdev', args.text('driver') ?? '', uuid), uuid.length);
  },

  mdev_drivers_probe(world, { args }) {
    const uuid = args.text('uuid') ?? '';
    world.kernel.drivers.probeByName('mdev', uuid);
    return uuid.length;
  },

  rmmod: (world, { args }) => new Pending(world.samples.unload(args.text('module') ?? ''), 0),

  insmod(world, { args }) {
    world.samples.load(args.text('module') ?? '');
    return undefined;
  },
};

const pinning: Operations = {
  mdev_pin_pages(_world, call) {
    const { args } = call;
    const prot = PROTECTIONS[args.text('prot') ?? ''] ?? 0;
    return pinningOf(call).pinning.pin(args.wide('iova'), args.number('npage'), prot);
  },

  mdev_unpin_pages(_world, call) {
    return pinningOf(call).pinning.unpin(call.args.wide('iova'), call.args.number('npage'));
  },

  mdev_read_pinned(_world, call) {
    const { args, out } = call;
    out.hex = toHex(pinningOf(call).pinning.readPinned(args.wide('iova'), args.number('len')));
    return undefined;
  },

  mdev_dma_read(_world, call) {
    const { args, out } = call;
    const bytes = new Uint8Array(args.number('len'));
    out.hex = toHex(pinningOf(call).device.device.accessMemory(args.wide('iova'), bytes, false));
    return undefined;
  },

  mdev_dma_write(_world, call) {
    const { args } = call;
    const bytes = new Uint8Array(args.number('len')).fill(args.number('byte'));
    pinningOf(call).device.device.accessMemory(args.wide('iova'), bytes, true);
    return undefined;
  },

  mdev_unmap_log(_world, call) {
    const { pinning: of } = pinningOf(call);
    call.out.pinned = of.pinned;
    call.out.dma_unmap_calls = of
      .takeNotices()
      .map(({ iova, size, unpinned }) => ({ iova: hex(iova), size: hex(size), unpinned }));
    return undefined;
  },
};

export const mdevOperations: Operations = { ...sysfs, ...pinning };
