/** User-space processes that calls by name are made for, and what each has open. */
import { KernelError } from '../errno.ts';
import type { IommufdContext } from '../iommufd/context.ts';
import { DeviceNodeFile, openDeviceNode } from '../iommufd/device-node.ts';
import type { Process } from '../process/process.ts';
import { GroupFile } from '../vfio/group.ts';
import type { CallContext } from './call.ts';

interface OpenNode {
  readonly descriptor: number;
  readonly node: DeviceNodeFile;
  /** Number in the user's descriptor. */
  readonly id: number;
}

/** One process: a DPDK program, a QEMU, a shell. */
export class NamedUser {
  readonly process: Process;
  readonly nodes = new Map<string, OpenNode>();
  /** Descriptors of groups by their numbers, and of devices that were opened by way of them. */
  private readonly groups = new Map<
    number,
    { readonly descriptor: number; readonly devices: Map<string, number> }
  >();
  private iommu: { readonly descriptor: number; readonly context: IommufdContext } | undefined;

  constructor(process: Process) {
    this.process = process;
  }

  /**
   * Opens /dev/iommu, or the VFIO container node where the kernel gives that to IOMMUFD.
   * @throws KernelError EBUSY: it is open; ENOENT, EACCES
   */
  openIommu(call: CallContext, node?: '/dev/vfio/vfio'): void {
    if (this.iommu !== undefined)
      throw new KernelError('EBUSY', '/dev/iommu open', `${this.process.name} has /dev/iommu open already.`);
    const context = call.kernel.iommufd.open(this.process, node);
    this.iommu = { descriptor: this.process.descriptors.install(context.file), context };
  }

  /** @throws KernelError EBADF */
  get context(): IommufdContext {
    return this.opened.context;
  }

  private get opened(): { readonly descriptor: number; readonly context: IommufdContext } {
    if (this.iommu !== undefined) return this.iommu;
    throw new KernelError(
      'EBADF',
      '/dev/iommu not open',
      `${this.process.name} has not opened /dev/iommu.`,
      'Call open_iommu first.',
    );
  }

  closeIommu(): void {
    this.process.descriptors.close(this.opened.descriptor);
    this.iommu = undefined;
  }

  /** Opens the node of a device and binds it. @returns its number. @throws KernelError */
  bind(call: CallContext, name: string): number {
    const { descriptor: iommu } = this.opened;
    const device = call.kernel.vfio.deviceOf(call.device(name));
    const descriptor = this.process.descriptors.install(openDeviceNode(device, this.process));
    const node = this.process.object(descriptor, DeviceNodeFile);
    try {
      const id = node.bind(this.process, { argsz: 16, flags: 0, descriptor: iommu });
      this.nodes.set(name, { descriptor, node, id });
      return id;
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  /** Opens a group and sets the descriptor as its container. @throws KernelError */
  joinGroup(call: CallContext, number: number): void {
    const { descriptor: iommu } = this.opened;
    const descriptor = this.process.descriptors.install(call.kernel.vfio.openGroup(this.process, number));
    try {
      this.process.object(descriptor, GroupFile).group.setContainer(this.process, iommu);
      this.groups.set(number, { descriptor, devices: new Map() });
    } catch (error) {
      this.process.descriptors.close(descriptor);
      throw error;
    }
  }

  /** Closes the devices of a group, then the group. @throws KernelError ENOENT */
  leaveGroup(number: number): void {
    const { descriptor, devices } = this.group(number);
    for (const device of devices.values()) this.process.descriptors.close(device);
    this.process.object(descriptor, GroupFile).group.unsetContainer();
    this.process.descriptors.close(descriptor);
    this.groups.delete(number);
  }

  /** Opens a device by way of its group. @throws KernelError */
  openByGroup(number: number, device: string): void {
    const { descriptor, devices } = this.group(number);
    const file = this.process.object(descriptor, GroupFile).group.openDevice(device);
    devices.set(device, this.process.descriptors.install(file));
  }

  private group(number: number): { readonly descriptor: number; readonly devices: Map<string, number> } {
    const found = this.groups.get(number);
    if (found !== undefined) return found;
    throw new KernelError(
      'ENOENT',
      'group not open',
      `${this.process.name} has not opened group ${number}.`,
      'Call VFIO_GROUP_SET_CONTAINER first.',
    );
  }

  /** @throws KernelError ENODEV */
  node(name: string): OpenNode {
    const found = this.nodes.get(name);
    if (found !== undefined) return found;
    throw new KernelError(
      'ENODEV',
      'device not bound',
      `${this.process.name} has not bound ${name}.`,
      'Call VFIO_DEVICE_BIND_IOMMUFD first.',
    );
  }

  closeDevice(name: string): void {
    const { descriptor } = this.node(name);
    this.nodes.delete(name);
    this.process.descriptors.close(descriptor);
  }
}

const known = new WeakMap<CallContext, Map<string, NamedUser>>();

function usersOf(call: CallContext): Map<string, NamedUser> {
  let users = known.get(call);
  if (users === undefined) {
    users = new Map();
    known.set(call, users);
  }
  return users;
}

/** A user by name: made when first named. */
export function userNamed(call: CallContext, name: string, options: { userId?: number } = {}): NamedUser {
  const users = usersOf(call);
  let user = users.get(name);
  if (user === undefined) {
    user = new NamedUser(call.kernel.processes.create(name, options));
    users.set(name, user);
  }
  return user;
}

/** The process ends: everything that it had open is closed, in the order of descriptors. */
export function endUser(call: CallContext, name: string): void {
  const user = usersOf(call).get(name);
  if (user === undefined) throw new KernelError('ENOENT', 'no such process', `No process is called ${name}.`);
  call.kernel.processes.end(user.process);
  usersOf(call).delete(name);
}
