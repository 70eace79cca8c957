/**
 * A host: the emulated machine with both its halves, hardware and kernel, built from a description. Its operations are
 * what an operator's acts become; its questions are answered from configuration space, registers, tables in memory and
 * the kernel's objects at the moment they are asked.
 */
import type { MachineDefinition } from './guest/machine.ts';
import {
  auxiliaryModeState,
  auxiliaryRequirements,
  disableAuxiliaryMode,
  enableAuxiliaryMode,
} from './host/auxiliary-mode.ts';
import { assignmentBlockers } from './host/blockers.ts';
import { type DeviceFacts, deviceNode, deviceTree } from './host/device-tree.ts';
import { digestOf } from './host/digest.ts';
import { domainStates, functionWith, pasidEntryStates } from './host/domain-state.ts';
import { EventLog } from './host/event-log.ts';
import { groupState } from './host/group-state.ts';
import { Hardware } from './host/hardware.ts';
import { isolationMatrix } from './host/isolation-matrix.ts';
import { bindAsDescribed, registerAccelerators, registerDescribedDrivers } from './host/kernel-drivers.ts';
import { machineState, mdevParentState, mdevState } from './host/machine-state.ts';
import { Machines } from './host/machines.ts';
import { MdevDefinitions } from './host/mdev-definitions.ts';
import type {
  DmaRequest,
  HostOperations,
  HostQueries,
  MachineOptions,
  WalkRequest,
  WorkloadRequest,
} from './host/operations.ts';
import { capabilityStates, headerState } from './host/pci-state.ts';
import { hotReset, resetFunction, resetSetState } from './host/resets.ts';
import type * as State from './host/state.ts';
import { Transfers } from './host/transfers.ts';
import { unitState } from './host/unit-state.ts';
import { setVirtualFunctions } from './host/virtual-functions.ts';
import { runWorkload } from './host/workloads.ts';
import type { HostDescription } from './host-description.ts';
import { rootBuses } from './isolation/machine.ts';
import type { Device } from './kernel/device.ts';
import { writeDriverOverride } from './kernel/drivers/pci-driver.ts';
import { KernelError } from './kernel/errno.ts';
import type { FaultReport } from './kernel/intel/fault-handler.ts';
import { LinuxKernel } from './kernel/kernel.ts';
import type { Mdev } from './kernel/mdev/mdev-driver.ts';
import { PageAllocator } from './kernel/page-allocator.ts';
import { KERNEL_PROFILES, type ProfileName } from './kernel/profile.ts';
import { Sysfs, type SysfsEntry } from './kernel/sysfs/sysfs.ts';
import type { Frame } from './memory/types.ts';
import type { PciFunction } from './pci/function.ts';
import { Trace } from './trace.ts';

export interface HostOptions {
  /** Which kernel boots on it; 5.15 unless told. */
  readonly profile?: ProfileName;
}

export class Host implements HostOperations, HostQueries {
  readonly description: HostDescription;
  readonly profile: ProfileName;
  readonly trace = new Trace();
  readonly hardware: Hardware;
  readonly kernel: LinuxKernel;
  readonly machines: Machines;
  private readonly eventLog = new EventLog();
  private readonly definitions = new MdevDefinitions();
  private readonly transfers: Transfers;
  private readonly facts: DeviceFacts;
  private readonly sysfs: Sysfs;

  constructor(description: HostDescription, profile: ProfileName) {
    this.description = description;
    this.profile = profile;
    this.hardware = new Hardware(description, this.trace);
    const { port, pci, frames } = this.hardware;
    const off = description.iommu?.state === 'off' ? ' intel_iommu=off' : '';
    this.kernel = new LinuxKernel({
      port,
      profile: KERNEL_PROFILES[profile],
      trace: this.trace,
      commandLine: `${description.kernelCommandLine ?? ''}${off}`,
      rootBuses: rootBuses(description, pci),
      allocator: new PageAllocator(frames.first as Frame, frames.count),
      autoprobe: false,
    });
    this.kernel.intel?.faults.onFault((fault) => this.reportFault(fault));
    registerAccelerators(this.kernel);
    registerDescribedDrivers(this.kernel, description);
    this.kernel.mdev.onRegistered((parent) => this.startDefined(parent.device.name));
    bindAsDescribed(this.kernel, description);
    this.kernel.drivers.setAutoprobe('pci', true);
    this.machines = new Machines(this.kernel);
    this.transfers = new Transfers(this.hardware, this.kernel, this.eventLog);
    this.facts = this.makeFacts();
    this.sysfs = new Sysfs(this.kernel, {
      setVirtualFunctions: (physical, count) =>
        setVirtualFunctions(this.kernel, this.machines, physical, count),
    });
  }

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
    const owner = this.machines.ownerOf(name);
    if (owner?.isRunning === true)
      throw new KernelError(
        'EBUSY',
        'device in use',
        `${owner.name} has ${name} open: the write would wait until it is closed`,
        `Release it from ${owner.name} first.`,
      );
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
    resetFunction(this.kernel, this.machines, device);
  }

  hotResetDevice(device: string): void {
    hotReset(this.kernel, this.machines, this.pciDevice(device));
  }

  // --- mediated devices --------------------------------------------------------------------------------------------

  createMdev(parentName: string, typeName: string, uuid: string): void {
    const parent = this.kernel.mdev.parent(parentName);
    if (parent === undefined)
      throw new KernelError(
        'ENOENT',
        'no mdev parent',
        `${parentName} offers no mdev types`,
        'Choose a device whose driver offers some.',
      );
    this.kernel.mdev.create(parent, this.kernel.mdev.type(parent, typeName), uuid);
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

  defineMdev(parent: string, type: string, uuid: string, autostart: boolean): void {
    this.definitions.define({ parent, type, uuid, autostart });
  }

  undefineMdev(uuid: string): void {
    this.definitions.undefine(uuid);
  }

  // --- machines ----------------------------------------------------------------------------------------------------

  createMachine(name: string, memoryBytes: bigint, options: MachineOptions = {}): void {
    const definition: MachineDefinition = {
      name,
      memoryBytes,
      kind: options.kind ?? 'virtual machine',
      lockLimitBytes: options.lockLimitBytes,
      hugePages: options.hugePages ?? false,
    };
    this.machines.create(definition);
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
    this.machines.get(machine).addMemory(bytes);
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

  deviceDma(request: DmaRequest): State.DmaResult {
    return this.transfers.run(request);
  }

  runWorkload(request: WorkloadRequest): State.WorkloadResult {
    return runWorkload(this.transfers, this.machines, request);
  }

  clearEvents(): void {
    this.eventLog.clear();
  }

  // --- questions ---------------------------------------------------------------------------------------------------

  deviceTree(): State.RootBusNode[] {
    return deviceTree(this.kernel.topology, this.facts);
  }

  device(name: string): State.DeviceNode | undefined {
    const pci = this.kernel.topology.find(name);
    return pci === undefined ? undefined : deviceNode(pci, this.kernel.topology, this.facts);
  }

  capabilities(device: string): State.CapabilityState[] {
    return capabilityStates(this.function(device));
  }

  configurationHeader(device: string): State.DecodedHeader {
    return headerState(this.function(device));
  }

  configurationBytes(device: string): Uint8Array {
    return this.function(device).config.snapshot();
  }

  /** Content of a file of sysfs. @throws KernelError ENOENT, EISDIR, EACCES. */
  readSysfs(path: string): string {
    return this.sysfs.read(path);
  }

  /** What a directory of sysfs holds, in order of names. @throws KernelError ENOENT, ENOTDIR. */
  listSysfs(path: string): SysfsEntry[] {
    return this.sysfs.list(path);
  }

  groups(): State.GroupState[] {
    return this.kernel.iommu.groups.map((group) => groupState(this.kernel, this.machines, group));
  }

  group(id: number): State.GroupState | undefined {
    const group = this.kernel.iommu.groups.find((one) => one.id === id);
    return group === undefined ? undefined : groupState(this.kernel, this.machines, group);
  }

  mdevParents(): State.MdevParentState[] {
    return this.kernel.mdev.parents.map((parent) => mdevParentState(this.kernel, parent));
  }

  mdevs(): State.MdevState[] {
    return this.kernel.mdev.mdevs.map((mdev) => mdevState(this.kernel, this.machines, mdev));
  }

  mdevDefinitions(): State.MdevDefinitionState[] {
    return this.definitions.all.map((definition) => ({
      ...definition,
      active: this.kernel.mdev.find(definition.uuid)?.parent.device.name === definition.parent,
    }));
  }

  machineStates(): State.MachineState[] {
    return this.machines.all.map((machine) => machineState(this.kernel, machine));
  }

  machineState(name: string): State.MachineState | undefined {
    const machine = this.machines.find(name);
    return machine === undefined ? undefined : machineState(this.kernel, machine);
  }

  domains(): State.DomainState[] {
    return domainStates(this.kernel, this.machines);
  }

  pasidEntries(): State.PasidEntryState[] {
    return pasidEntryStates(this.hardware, this.kernel);
  }

  unitStates(): State.UnitState[] {
    return this.hardware.units.map((wired) => unitState(wired, this.hardware));
  }

  events(): readonly State.ReportedEvent[] {
    return this.eventLog.events;
  }

  auxiliaryModeRequirements(device: string): State.Requirement[] {
    return auxiliaryRequirements(this.kernel, this.pciDevice(device));
  }

  assignmentBlockers(machine: string, device: string): State.Requirement[] {
    const blockers = assignmentBlockers(this.kernel, this.machines, this.machines.get(machine), device);
    return blockers.map(({ requirement, met, where }) => ({ requirement, met, where }));
  }

  resetSet(device: string): State.ResetSetState {
    return resetSetState(this.kernel, this.machines, this.pciDevice(device));
  }

  driversFor(name: string): string[] {
    const device = this.pciDevice(name);
    return this.kernel.drivers
      .drivers('pci')
      .filter((driver) => driver.matches(device))
      .map((driver) => driver.name);
  }

  explainTranslation(request: WalkRequest): State.WalkState {
    return this.transfers.explain(request);
  }

  deviceTlb(device: string): State.HeldTranslationState[] {
    return this.transfers.deviceTlb(this.pciDevice(device).name);
  }

  isolationMatrix(): State.ReachCell[] {
    return isolationMatrix(this.hardware, this.kernel, this.machines.all);
  }

  digest(): string {
    const { pages } = this.kernel.processes;
    return digestOf(this.hardware, (frame) => pages.references(frame as Frame) > 0);
  }

  // --- wiring ------------------------------------------------------------------------------------------------------

  private reportFault(fault: FaultReport): void {
    const segment = this.kernel.intel?.units.find((unit) => unit.name === fault.unit)?.segment ?? 0;
    this.eventLog.addFault(fault, functionWith(this.kernel, segment, fault.requesterId));
  }

  /** Definitions with autostart come up when their parent registers; what fails is left for the log. */
  private startDefined(parent: string): void {
    for (const definition of this.definitions.autostartOf(parent)) {
      try {
        this.createMdev(parent, definition.type, definition.uuid);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        this.kernel.log.write(`mdevctl: ${definition.uuid} was not started: ${error.message}`);
      }
    }
  }

  private makeFacts(): DeviceFacts {
    const described = new Map(this.description.functions.map((one) => [one.address, one]));
    const { kernel } = this;
    return {
      describe: (pci) => {
        const one = described.get(pci.name);
        return { name: one?.name, className: one?.className, numaNode: one?.numaNode };
      },
      driver: (pci) => kernel.deviceOf(pci)?.driver?.name,
      group: (pci) => {
        const device = kernel.deviceOf(pci);
        return device === undefined ? undefined : kernel.iommu.groupOf(device)?.id;
      },
      unit: (pci) => kernel.lookup?.unitOf(pci)?.name,
      auxiliaryMode: (pci) => {
        const device = kernel.deviceOf(pci);
        return device === undefined ? 'unsupported' : auxiliaryModeState(kernel, device);
      },
      mdevs: (pci) =>
        kernel.mdev.mdevs.filter((mdev) => mdev.parent.device.pci === pci).map((mdev) => mdev.uuid),
      assignedTo: (pci) => this.machines.ownerOf(pci.name)?.name,
    };
  }

  private pciDevice(name: string): Device {
    const device = this.kernel.pciDevice(name);
    if (device === undefined)
      throw new KernelError('ENODEV', 'no such device', `there is no PCI device ${name}`);
    return device;
  }

  private function(name: string): PciFunction {
    return this.transfers.functionOf(this.pciDevice(name).name);
  }

  private mdev(uuid: string): Mdev {
    const mdev = this.kernel.mdev.find(uuid);
    if (mdev === undefined) throw new KernelError('ENOENT', 'no such mdev', `there is no mdev ${uuid}`);
    return mdev;
  }
}

/** Builds the hardware and boots the kernel on it. @throws DmarError: the DMAR table can't be read. */
export function buildHost(description: HostDescription, options: HostOptions = {}): Host {
  return new Host(description, options.profile ?? '5.15');
}
