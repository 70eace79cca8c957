/** The VFIO part of the auxiliary-domain transcripts: mediated devices of a parent, containers, groups. */
import { type BareMachine, KernelError, kernel, type Process } from '../../../hw/index.ts';
import { TEST_DEVICES } from './machine.ts';
import type { Arguments, CallResult } from './operations.ts';

const MDEV_TYPE = { sysfsName: 'aux' };

/** A parent driver that gives its mdevs the parent as iommu device, or not. */
function parentDriver(parent: kernel.Device, isolates: boolean): kernel.MdevDriver {
  return {
    name: 'auxtest',
    deviceApi: 'vfio-pci',
    maximumInstances: 16,
    types: [MDEV_TYPE],
    probe: () => new kernel.VirtualFunction({}, {}),
    removed: () => {},
    isolatingDevice: () => (isolates ? parent : undefined),
  };
}

export class VfioOperations {
  private readonly machine: BareMachine;
  private readonly process: Process;
  private readonly mdevs = new Map<string, kernel.Mdev>();
  /** Open files by the scenario's name of the container or mdev. */
  private readonly files = new Map<string, { descriptor: number; file: kernel.OpenFile }>();

  constructor(machine: BareMachine) {
    this.machine = machine;
    this.process = machine.kernel.processes.create('scenario', {
      memoryLockLimitBytes: Number.POSITIVE_INFINITY,
    });
  }

  /** Runs a call. Undefined: no such operation. @throws KernelError with the errno of the call. */
  run(op: string, args: Arguments): CallResult | undefined {
    const call = this.table[op];
    if (call === undefined) return undefined;
    return call(args) ?? {};
  }

  private readonly table: Readonly<Record<string, (args: Arguments) => CallResult | undefined>> = {
    mdev_register: (args) => this.register(args, true),
    mdev_register_noiommu: (args) => this.register(args, false),
    mdev_create: (args) => this.create(args),
    mdev_remove: (args) => {
      const name = String(args.mdev);
      this.machine.kernel.mdev.remove(this.mdev(name), '1');
      this.mdevs.delete(name);
      return undefined;
    },
    container_open: (args) => this.keep(`container ${args.container}`, this.vfio.openContainer()),
    container_close: (args) => this.close(`container ${args.container}`),
    group_open: (args) => {
      const group = this.machine.kernel.iommu.groupOf(this.mdev(String(args.mdev)).device);
      if (group === undefined) throw new KernelError('ENODEV', 'no group', `${args.mdev} has no group.`);
      return this.keep(`group ${args.mdev}`, this.vfio.openGroup(this.process, group.id));
    },
    group_close: (args) => this.close(`group ${args.mdev}`),
    group_set_container: (args) => {
      const container = this.open(`container ${args.container}`);
      this.group(args).setContainer(this.process, container.descriptor);
      return undefined;
    },
    group_unset_container: (args) => {
      this.group(args).unsetContainer();
      return undefined;
    },
    set_iommu: (args) => {
      this.container(args).setIommu(Number(args.type));
      return undefined;
    },
    dma_map: (args) => {
      const size = Number(args.size);
      const { read, write } = kernel.MapFlag;
      this.container(args).mapDma(this.process, {
        argsz: 32,
        flags: read | write,
        vaddr: BigInt(this.process.memory.mapAnonymous(size)),
        iova: BigInt(args.iova),
        size: BigInt(size),
      });
      return undefined;
    },
    dma_unmap: (args) => {
      const size = this.container(args).unmapDma(this.process, {
        argsz: 24,
        flags: 0,
        iova: BigInt(args.iova),
        size: BigInt(args.size),
      });
      return { out: { unmapped: `0x${size.toString(16)}` } };
    },
    get_device_fd: (args) => {
      const file = this.group(args).openDevice(this.mdev(String(args.mdev)).uuid);
      return this.keep(`device ${args.mdev}`, file);
    },
    device_close: (args) => this.close(`device ${args.mdev}`),
  };

  private register(args: Arguments, isolates: boolean): undefined {
    const parent = this.parent(args.dev);
    this.machine.kernel.mdev.registerParent(parent, parentDriver(parent, isolates));
    return undefined;
  }

  private create(args: Arguments): CallResult {
    const core = this.machine.kernel.mdev;
    const device = this.parent(args.parent);
    const parent = core.parentOf(device);
    if (parent === undefined)
      throw new KernelError('ENODEV', 'no parent', `${args.parent} is no mdev parent.`);
    const number = this.mdevs.size.toString(16).padStart(12, '0');
    const mdev = core.create(parent, MDEV_TYPE, `00000000-0000-4000-8000-${number}`);
    if (mdev === undefined) throw new KernelError('EINVAL', 'no mdev', 'The mdev was not made.');
    this.mdevs.set(String(args.mdev), mdev);
    const group = this.machine.kernel.iommu.groupOf(mdev.device);
    return { out: { own_group: group !== undefined && group !== this.machine.kernel.iommu.groupOf(device) } };
  }

  private keep(name: string, file: kernel.OpenFile): undefined {
    this.files.set(name, { descriptor: this.process.descriptors.install(file), file });
    return undefined;
  }

  private close(name: string): undefined {
    this.process.descriptors.close(this.open(name).descriptor);
    this.files.delete(name);
    return undefined;
  }

  private open(name: string): { descriptor: number; file: kernel.OpenFile } {
    const open = this.files.get(name);
    if (open === undefined) throw new KernelError('EBADF', 'not open', `${name} is not open.`);
    return open;
  }

  private container(args: Arguments): kernel.Container {
    return this.open(`container ${args.container}`).file.object as kernel.Container;
  }

  private group(args: Arguments): kernel.VfioGroup {
    return (this.open(`group ${args.mdev}`).file.object as kernel.GroupFile).group;
  }

  private mdev(name: string): kernel.Mdev {
    const mdev = this.mdevs.get(name);
    if (mdev === undefined) throw new KernelError('ENODEV', 'no mdev', `There is no mdev ${name}.`);
    return mdev;
  }

  private parent(name: string | number): kernel.Device {
    const device = this.machine.kernel.pciDevice(TEST_DEVICES[String(name)]?.at ?? String(name));
    if (device === undefined) throw new KernelError('ENODEV', 'no device', `There is no device ${name}.`);
    return device;
  }

  private get vfio() {
    return this.machine.kernel.vfio;
  }
}
