/**
 * The virtual machines and processes of a host, and the whole act of giving one a device: driver binding as libvirt's
 * managed mode does it, then the VFIO calls of the machine itself.
 */
import { Machine, type MachineDefinition, type MachineSystem } from '../guest/machine.ts';
import { MEMORY_BLOCK_BYTES } from '../guest/memory-layout.ts';
import type { Device } from '../kernel/device.ts';
import { writeDriverOverride } from '../kernel/drivers/pci-driver.ts';
import { KernelError } from '../kernel/errno.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { assignmentBlockers } from './blockers.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const VFIO_PCI = 'vfio-pci';

export class Machines {
  private readonly kernel: LinuxKernel;
  private readonly byName = new Map<string, Machine>();
  /** PCI devices that were bound to vfio-pci for a machine, and the driver they had before. */
  private readonly managed = new Map<string, string | undefined>();
  private created = 0;

  constructor(kernel: LinuxKernel) {
    this.kernel = kernel;
  }

  get all(): readonly Machine[] {
    return [...this.byName.values()];
  }

  find(name: string): Machine | undefined {
    return this.byName.get(name);
  }

  /** @throws KernelError ENOENT */
  get(name: string): Machine {
    const machine = this.byName.get(name);
    if (machine === undefined)
      throw new KernelError('ENOENT', 'no such machine', `there is no virtual machine or process "${name}"`);
    return machine;
  }

  /** Who has a device, running or not. */
  ownerOf(device: string): Machine | undefined {
    return this.all.find((machine) => machine.devices.includes(device));
  }

  /** Who has a container or group open through which this domain came to be. */
  ownerOfDomain(domain: object): Machine | undefined {
    return this.all.find((machine) => machine.user?.domains.some((each) => each === domain));
  }

  /** Who has the VFIO group of this IOMMU group in a container. */
  ownerOfGroup(id: number): Machine | undefined {
    return this.all.find(
      (machine) => machine.isRunning && machine.devices.some((device) => this.groupOf(device) === id),
    );
  }

  /** Defines a machine and starts it. @throws KernelError EEXIST, EINVAL (name, size), ENOMEM. */
  create(definition: MachineDefinition): Machine {
    const { name, memoryBytes } = definition;
    if (!NAME.test(name))
      throw new KernelError(
        'EINVAL',
        'machine name',
        `"${name}" is no name: letters, digits, dot, dash and underscore, 63 at most`,
      );
    if (this.byName.has(name))
      throw new KernelError(
        'EEXIST',
        'name in use',
        `there is a machine "${name}" already`,
        'Choose another name.',
      );
    if (memoryBytes < MEMORY_BLOCK_BYTES || memoryBytes % MEMORY_BLOCK_BYTES !== 0n)
      throw new KernelError(
        'EINVAL',
        'memory size',
        `${memoryBytes} bytes: memory comes in blocks of 2 MiB, one at least`,
      );
    if (definition.iommufd && !this.kernel.profile.iommufd)
      throw new KernelError(
        'ENOENT',
        'no IOMMUFD',
        `kernel ${this.kernel.profile.version} has no /dev/iommu`,
        'Boot a kernel since 6.2, or use containers and groups.',
      );
    this.refuseMore(memoryBytes);
    const machine = new Machine(definition, this.system, this.created);
    machine.start();
    this.created += 1;
    this.byName.set(name, machine);
    return machine;
  }

  /** A machine that was defined before a boot: stopped, with the devices it is to have. */
  restore(definition: MachineDefinition, devices: readonly string[]): void {
    const machine = new Machine(definition, this.system, this.created);
    for (const device of devices) machine.assign(device);
    this.created += 1;
    this.byName.set(definition.name, machine);
  }

  /** Starts it; its PCI functions are bound to vfio-pci first. @throws KernelError: nothing has changed then. */
  /** Plugs memory into a machine. @throws KernelError ENOMEM: more than the host has; and as Machine.addMemory. */
  addMemory(name: string, bytes: bigint): void {
    const machine = this.get(name);
    this.refuseMore(machine.memoryBytes + bytes);
    machine.addMemory(bytes);
  }

  private refuseMore(memoryBytes: bigint): void {
    const most = BigInt(this.kernel.allocator.freeFrames + this.kernel.allocator.usedFrames) * 4096n;
    if (memoryBytes > most)
      throw new KernelError(
        'ENOMEM',
        'more memory than the host has',
        `${memoryBytes} bytes are more than the ${most} of the host`,
        'Give the machine less memory.',
      );
  }

  start(name: string): void {
    const machine = this.get(name);
    const bound: Device[] = [];
    try {
      for (const deviceName of machine.devices) {
        const device = this.kernel.pciDevice(deviceName);
        if (device !== undefined && this.bindForUser(device)) bound.push(device);
      }
      machine.start();
    } catch (error) {
      for (const device of bound.reverse()) this.bindBack(device);
      throw error;
    }
    for (const device of machine.devices) this.guestTakesOver(device);
  }

  /** Forgets a machine. @throws KernelError EBUSY: it runs, or has devices. */
  remove(name: string): void {
    const machine = this.get(name);
    if (machine.isRunning)
      throw new KernelError('EBUSY', 'machine runs', `${name} is running`, 'Stop it first.');
    for (const device of [...machine.devices]) this.release(name, device);
    this.byName.delete(name);
  }

  /**
   * Gives a machine a device. A PCI function is bound to vfio-pci first, if it is not.
   * @throws KernelError of the first thing in the way; nothing has changed then.
   */
  assign(name: string, deviceName: string): void {
    const machine = this.get(name);
    const [blocker] = assignmentBlockers(this.kernel, this, machine, deviceName);
    if (blocker !== undefined) throw blocker.error;
    const device = this.kernel.pciDevice(deviceName);
    if (device === undefined) {
      machine.assign(deviceName);
      return;
    }
    const bound = this.bindForUser(device);
    try {
      machine.assign(deviceName);
    } catch (error) {
      if (bound) this.bindBack(device);
      throw error;
    }
    this.guestTakesOver(deviceName);
  }

  /** Takes a device back; a PCI function returns to the driver it had. */
  release(name: string, deviceName: string): void {
    this.get(name).release(deviceName);
    const device = this.kernel.pciDevice(deviceName);
    if (device !== undefined) this.bindBack(device);
  }

  /** True when it was bound to vfio-pci here. */
  private bindForUser(device: Device): boolean {
    const before = device.driver?.name;
    if (before === VFIO_PCI) return false;
    const { drivers } = this.kernel;
    const override = device.driverOverride;
    if (before !== undefined) drivers.unbind('pci', before, device.name);
    writeDriverOverride(device, VFIO_PCI);
    try {
      drivers.bind('pci', VFIO_PCI, device.name);
    } catch (error) {
      device.driverOverride = override;
      if (before !== undefined) drivers.bind('pci', before, device.name);
      throw error;
    }
    this.managed.set(device.name, before);
    return true;
  }

  private bindBack(device: Device): void {
    if (!this.managed.has(device.name)) return;
    const before = this.managed.get(device.name);
    this.managed.delete(device.name);
    const { drivers } = this.kernel;
    if (device.driver?.name === VFIO_PCI) drivers.unbind('pci', VFIO_PCI, device.name);
    device.driverOverride = undefined;
    if (before === undefined || device.driver !== undefined) return;
    try {
      drivers.bind('pci', before, device.name);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.kernel.log.write(`${before} ${device.name}: not bound again: ${error.message}`);
    }
  }

  /** The guest's own driver takes the function over: it switches memory decoding and bus mastering on. */
  private guestTakesOver(deviceName: string): void {
    const machine = this.ownerOf(deviceName);
    const pci = this.kernel.topology.find(deviceName);
    if (machine?.isRunning !== true || pci === undefined) return;
    const command = pci.read(HeaderOffset.command, 2);
    pci.write(HeaderOffset.command, 2, command | CommandBit.memorySpace | CommandBit.busMaster);
  }

  private groupOf(name: string): number | undefined {
    const device = this.kernel.pciDevice(name) ?? this.kernel.mdev.find(name)?.device;
    return device === undefined ? undefined : this.kernel.iommu.groupOf(device)?.id;
  }

  private get system(): MachineSystem {
    const { kernel } = this;
    return {
      processes: kernel.processes,
      vfio: {
        openContainer: (process) => process.descriptors.install(kernel.vfio.openContainer()),
        openGroup: (process, id) => {
          const group = kernel.vfio.groups.find((each) => each.id === id);
          // A manager that starts machines for others hands the node over to them.
          if (group !== undefined) group.nodeUserId = process.userId;
          return process.descriptors.install(kernel.vfio.openGroup(process, id));
        },
        groupOf: (name) => {
          const id = this.groupOf(name);
          if (id === undefined)
            throw new KernelError('ENODEV', 'device without group', `${name} is in no IOMMU group`);
          return id;
        },
      },
      iommufd: {
        module: kernel.iommufd,
        vfioDevice: (name) => {
          const device = kernel.pciDevice(name) ?? kernel.mdev.find(name)?.device;
          return device === undefined ? undefined : kernel.vfio.deviceOf(device);
        },
      },
    };
  }
}
