/**
 * A host: the emulated machine with both its halves, hardware and kernel, built from a description. Its operations are
 * what an operator's acts become; its questions are answered from configuration space, registers, tables in memory and
 * the kernel's objects at the moment they are asked.
 */
import { disableAuxiliaryMode, enableAuxiliaryMode } from './host/auxiliary-mode.ts';
import type { MdevAttributeSetting, MdevModification } from './host/mdev-definitions.ts';
import { startDefined } from './host/mdev-start.ts';
import type {
  DmaRequest,
  GuestMapping,
  HostOperations,
  MachineOptions,
  WorkloadRequest,
} from './host/operations.ts';
import { HostQuestions } from './host/questions.ts';
import { hotReset, resetFunction } from './host/resets.ts';
import type { DmaResult, WorkloadResult } from './host/state.ts';
import { setVirtualFunctions } from './host/virtual-functions.ts';
import { runWorkload } from './host/workloads.ts';
import type { HostDescription } from './host-description.ts';
import { writeDriverOverride } from './kernel/drivers/pci-driver.ts';
import { KernelError } from './kernel/errno.ts';
import type { ProfileName } from './kernel/profile.ts';
import { finish, type Work } from './work.ts';

export interface HostOptions {
  /** Which kernel boots on it; 5.15 unless told. */
  readonly profile?: ProfileName;
}

export class Host extends HostQuestions implements HostOperations {
  // --- devices ---------------------------------------------------------------------------------------------------

  enableAuxiliaryMode(device: string): void {
    enableAuxiliaryMode(this.kernel, this.pciDevice(device));
  }

  disableAuxiliaryMode(device: string): void {
    disableAuxiliaryMode(this.kernel, this.pciDevice(device));
  }

  bindDriver(device: string, driver: string): void {
    this.kernel.drivers.bind('pci', driver, this.pciDevice(device).name);
  }

  unbindDriver(name: string): void {
    const device = this.pciDevice(name);
    if (device.driver === undefined)
      throw new KernelError('ENODEV', 'not bound', `${name} is bound to no driver`);
    const holder = this.kernel.vfio.holderOf(device);
    if (holder !== undefined) {
      const owner = this.machines.ownerOf(holder.name)?.name;
      throw new KernelError(
        'EBUSY',
        'device in use',
        `${owner ?? 'a process'} has ${holder.name} open: the write would wait until it is closed`,
        owner === undefined ? `Close ${holder.name} first.` : `Release ${holder.name} from ${owner} first.`,
      );
    }
    this.kernel.drivers.unbind('pci', device.driver.name, name);
  }

  setDriverOverride(device: string, driver: string | undefined): void {
    writeDriverOverride(this.pciDevice(device), driver ?? '\n');
  }

  setVirtualFunctions(name: string, count: number): void {
    const { pci } = this.pciDevice(name);
    if (pci !== undefined) setVirtualFunctions(this.kernel, this.machines, pci, count);
  }

  resetDevice(device: string): void {
    resetFunction(this.machines, this.pciDevice(device).name);
  }

  hotResetDevice(device: string): void {
    hotReset(this.machines, this.pciDevice(device).name);
  }

  // --- mediated devices --------------------------------------------------------------------------------------------

  createMdev(parent: string, type: string, uuid: string): void {
    this.makeMdev(parent, type, uuid);
  }

  removeMdev(uuid: string): void {
    const mdev = this.mdev(uuid);
    const owner = this.machines.ownerOf(mdev.uuid);
    if (owner !== undefined)
      throw new KernelError(
        'EBUSY',
        'mdev in use',
        `${owner.name} has ${mdev.uuid}: the write would wait until it is closed`,
        `Release it from ${owner.name} first.`,
      );
    this.kernel.mdev.remove(mdev, '1');
  }

  loadModule(name: string): void {
    this.modules.load(name);
  }

  unloadModule(name: string): void {
    this.modules.unload(name);
  }

  defineMdev(
    parent: string,
    type: string,
    uuid: string,
    autostart: boolean,
    attributes: readonly MdevAttributeSetting[] = [],
  ): void {
    this.definitions.define({ parent, type, uuid, autostart, attributes });
  }

  modifyMdev(uuid: string, change: MdevModification): void {
    this.definitions.modify(uuid, change);
  }

  startMdev(uuid: string, parent?: string): void {
    startDefined(this.kernel, this.sysfs, this.definitions.get(uuid, parent));
  }

  undefineMdev(uuid: string, parent?: string): void {
    this.definitions.undefine(uuid, parent);
  }

  // --- machines ----------------------------------------------------------------------------------------------------

  createMachine(name: string, memoryBytes: bigint, options: MachineOptions = {}): void {
    this.machines.create({
      name,
      memoryBytes,
      kind: options.kind ?? 'virtual machine',
      lockLimitBytes: options.lockLimitBytes,
      hugePages: options.hugePages ?? false,
      iommufd: options.iommufd === true || options.virtualIommu === true,
      virtualIommu: options.virtualIommu ?? false,
    });
  }

  startMachine(name: string): void {
    this.machines.start(name);
  }

  stopMachine(name: string): void {
    this.machines.get(name).stop();
  }

  killMachine(name: string): void {
    this.machines.get(name).kill();
  }

  removeMachine(name: string): void {
    this.machines.remove(name);
  }

  addMemory(machine: string, bytes: bigint): void {
    this.machines.addMemory(machine, bytes);
  }

  removeMemory(machine: string): void {
    this.machines.get(machine).removeMemory();
  }

  assign(machine: string, device: string): void {
    this.machines.assign(machine, device.toLowerCase());
  }

  release(machine: string, device: string): void {
    this.machines.release(machine, device.toLowerCase());
  }

  guestMap(machine: string, mapping: GuestMapping): void {
    const { device, iova, guestAddress, lengthBytes, writable } = mapping;
    this.machines.get(machine).guestMap(device, iova, guestAddress, lengthBytes, writable ?? true);
  }

  guestUnmap(machine: string, device: string, iova: bigint, lengthBytes: bigint): void {
    this.machines.get(machine).guestUnmap(device, iova, lengthBytes);
  }

  startDirtyTracking(machine: string): void {
    this.machines.get(machine).setDirtyTracking(true);
  }

  stopDirtyTracking(machine: string): void {
    this.machines.get(machine).setDirtyTracking(false);
  }

  queryDirtyPages(machine: string): bigint {
    return this.machines.get(machine).dirtyPages();
  }

  readMachineMemory(machine: string, guestAddress: bigint, lengthBytes: number): Uint8Array {
    return this.machines.get(machine).read(guestAddress, lengthBytes);
  }

  writeMachineMemory(machine: string, guestAddress: bigint, bytes: Uint8Array): void {
    this.machines.get(machine).write(guestAddress, bytes);
  }

  deviceDma(request: DmaRequest): DmaResult {
    return this.transfers.run(request);
  }

  runWorkload(request: WorkloadRequest): WorkloadResult {
    return finish(this.runWorkloadInSteps(request));
  }

  runWorkloadInSteps(request: WorkloadRequest): Work<WorkloadResult> {
    return runWorkload(this.transfers, this.machines, request);
  }

  clearEvents(): void {
    this.eventLog.clear();
  }

  /**
   * Writes to a file of sysfs, as echo does.
   * @throws KernelError ENOENT, EISDIR, EACCES; EBUSY where the write would wait for a user; and what the kernel answers.
   */
  writeSysfs(path: string, text: string): void {
    const holder = this.sysfs.wouldWaitFor(path, text);
    if (holder !== undefined)
      throw new KernelError(
        'EBUSY',
        'device in use',
        `the write to ${path} would wait until ${holder} is closed`,
        `Release ${holder} first.`,
      );
    this.sysfs.write(path, text);
  }
}

/** Builds the hardware and boots the kernel on it. @throws DmarError: the DMAR table can't be read. */
export function buildHost(description: HostDescription, options: HostOptions = {}): Host {
  return new Host(description, options.profile ?? '5.15');
}

/**
 * The host after a restart: hardware as at power-on, a fresh kernel. Machines are there, stopped, with the devices they are
 * to have; of the mediated devices those come back that are defined with autostart.
 */
export function rebootHost(host: Host, options: HostOptions = {}): Host {
  return new Host(host.description, options.profile ?? host.profile, host.carriedOver);
}
