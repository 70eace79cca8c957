/** Operations on device nodes: bind, attach, detach; and what debugfs shows of a device's page table. */
import { iommufd, KernelError, type Process } from '../../../hw/index.ts';
import { hex, type Operation, type OperationCall } from './operation.ts';
import type { ReplayWorld } from './world.ts';

type Call = OperationCall<Process>;

/** Sizes the recorder passes when an operation names none. */
const BIND_BYTES = 24;
const ATTACH_BYTES = 16;
const DETACH_BYTES = 12;

function node({ process, args }: Call): iommufd.DeviceNodeFile {
  return process.object(args.symbol('device_fd'), iommufd.DeviceNodeFile, 'ENOTTY');
}

function remember(call: Call, value: number): void {
  const name = call.args.text('as');
  if (name !== undefined) call.symbols.set(name, value);
}

export const deviceNodeOperations: Readonly<Record<string, Operation<ReplayWorld, Process>>> = {
  open_device_node(world, call) {
    const { args, process } = call;
    const uuid = args.text('mdev');
    const device =
      uuid === undefined
        ? world.kernel.pciDevice(world.deviceName(args.text('device') ?? ''))
        : world.kernel.mdev.find(uuid)?.device;
    const offered = device === undefined ? undefined : world.kernel.vfio.deviceOf(device);
    remember(call, process.descriptors.install(iommufd.openDeviceNode(offered, process)));
    call.out.fd = args.text('as');
    return undefined;
  },

  device_bind_iommufd(_world, call) {
    const { args, process, out } = call;
    // The recorder's token pointer is null.
    const id = node(call).bind(process, {
      argsz: args.number('argsz', BIND_BYTES),
      flags: args.number('flags'),
      descriptor: args.symbol('iommufd'),
    });
    remember(call, id);
    out.id = args.text('as') ?? hex(id);
    return undefined;
  },

  device_attach_pt(_world, call) {
    const { args, out } = call;
    const pageTable = args.symbol('pt') >>> 0;
    const attached = node(call).attach({
      argsz: args.number('argsz', ATTACH_BYTES),
      flags: args.number('flags'),
      pageTable,
      pasid: args.number('pasid'),
    });
    remember(call, attached);
    out.pt = args.text('as') ?? (attached === pageTable ? 'same' : 'new');
    return undefined;
  },

  device_detach_pt(_world, call) {
    const { args } = call;
    node(call).detach({
      argsz: args.number('argsz', DETACH_BYTES),
      flags: args.number('flags'),
      pasid: args.number('pasid'),
    });
    return undefined;
  },

  dump_page_table(world, call) {
    const { intel, port } = world.kernel;
    const device = world.kernel.pciDevice(world.deviceName(call.args.text('device') ?? ''));
    const info = device === undefined ? undefined : intel?.infoOf(device);
    if (intel === undefined || info === undefined)
      throw new KernelError('ENOENT', 'no translation to show', 'debugfs has no file for the device');
    const { kind, leaves } = iommufd.dumpTranslation(info, intel.entries, port.memory);
    call.out.kind = kind;
    call.out.leaves = leaves.map(({ page, size, count, bits }) => ({
      iova: hex(page * 4096),
      page: size,
      count,
      bits: hex(bits),
    }));
    return undefined;
  },
};
