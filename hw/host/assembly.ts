/**
 * How a host is put together: hardware from the description, a kernel booted on it, drivers bound as the description says,
 * and what stands on both (machines, transfers, sysfs, the log of events).
 */
import type { MachineDefinition } from '../guest/machine.ts';
import type { HostDescription } from '../host-description.ts';
import { bootFacts } from '../isolation/boot-facts.ts';
import { rootBuses } from '../isolation/machine.ts';
import type { Device } from '../kernel/device.ts';
import { KernelError } from '../kernel/errno.ts';
import type { FaultReport } from '../kernel/intel/fault-handler.ts';
import { LinuxKernel } from '../kernel/kernel.ts';
import type { Mdev } from '../kernel/mdev/mdev-driver.ts';
import { SampleModules } from '../kernel/mdev/sample-modules.ts';
import { PageAllocator } from '../kernel/page-allocator.ts';
import { KERNEL_PROFILES, type ProfileName } from '../kernel/profile.ts';
import { Sysfs } from '../kernel/sysfs/sysfs.ts';
import type { Frame } from '../memory/types.ts';
import type { PciFunction } from '../pci/function.ts';
import { Trace } from '../trace.ts';
import { auxiliaryModeState } from './auxiliary-mode.ts';
import type { DeviceFacts } from './device-tree.ts';
import { functionWith } from './domain-state.ts';
import { EventLog } from './event-log.ts';
import { Hardware } from './hardware.ts';
import { History } from './history.ts';
import { bindAsDescribed, registerDescribedDrivers, registerParentDrivers } from './kernel-drivers.ts';
import { Machines } from './machines.ts';
import { type MdevDefinition, MdevDefinitions } from './mdev-definitions.ts';
import { noParent, startDefined } from './mdev-start.ts';
import { Transfers } from './transfers.ts';
import { setVirtualFunctions } from './virtual-functions.ts';

/** What outlives a boot: files on the host's disk. */
export interface CarriedOver {
  readonly mdevs: readonly MdevDefinition[];
  readonly machines: readonly {
    readonly definition: MachineDefinition;
    readonly devices: readonly string[];
  }[];
}

export abstract class HostAssembly {
  readonly description: HostDescription;
  readonly profile: ProfileName;
  readonly trace = new Trace();
  readonly hardware: Hardware;
  readonly kernel: LinuxKernel;
  readonly machines: Machines;
  protected readonly eventLog = new EventLog();
  protected readonly definitions = new MdevDefinitions();
  protected readonly transfers: Transfers;
  protected readonly facts: DeviceFacts;
  protected readonly sysfs: Sysfs;
  protected readonly modules: SampleModules;

  constructor(description: HostDescription, profile: ProfileName, carriedOver?: CarriedOver) {
    this.description = description;
    this.profile = profile;
    for (const definition of carriedOver?.mdevs ?? []) this.definitions.define(definition);
    const facts = bootFacts(description);
    this.hardware = new Hardware(facts.description, this.trace);
    const { port, pci, frames } = this.hardware;
    const history = new History(this.hardware, description);
    history.prepare();
    const off = description.iommu?.state === 'off' ? ' intel_iommu=off' : '';
    this.kernel = new LinuxKernel({
      port,
      profile: KERNEL_PROFILES[profile],
      trace: this.trace,
      commandLine: `${description.kernelCommandLine ?? ''}${off}`,
      rootBuses: rootBuses(description, pci),
      allocator: new PageAllocator(frames.first as Frame, frames.count),
      autoprobe: false,
      listed: facts.listed,
      unreadable: facts.unreadable,
      asFirmwareLeft: facts.asFirmwareLeft,
    });
    this.kernel.intel?.faults.onFault((fault) => this.reportFault(fault));
    this.kernel.intel?.quirks.onSighting((sighting) => this.eventLog.addQuirk(sighting));
    history.replay(this.kernel);
    this.sysfs = new Sysfs(this.kernel, {
      setVirtualFunctions: (physical, count) =>
        setVirtualFunctions(this.kernel, this.machines, physical, count),
    });
    registerParentDrivers(this.kernel);
    registerDescribedDrivers(this.kernel, description);
    this.kernel.mdev.onRegistered((parent) => this.startAutomatic(parent.device.name));
    bindAsDescribed(this.kernel, description);
    this.kernel.drivers.setAutoprobe('pci', true);
    this.machines = new Machines(this.kernel);
    for (const { definition, devices } of carriedOver?.machines ?? [])
      this.machines.restore(definition, devices);
    this.transfers = new Transfers(this.hardware, this.kernel, this.eventLog);
    this.facts = this.makeFacts();
    this.modules = new SampleModules(this.kernel);
  }

  /** What a boot leaves: definitions of mediated devices and of machines. */
  get carriedOver(): CarriedOver {
    return {
      mdevs: this.definitions.all,
      machines: this.machines.all.map((machine) => ({
        definition: machine.definition,
        devices: [...machine.devices],
      })),
    };
  }

  /** A write of a UUID to `create` of a type. @throws KernelError ENOENT: no such parent or type; or what the core says. */
  protected makeMdev(parentName: string, typeName: string, uuid: string): void {
    const parent = this.kernel.mdev.parent(parentName);
    if (parent === undefined) throw noParent(this.kernel, parentName);
    this.kernel.mdev.create(parent, this.kernel.mdev.type(parent, typeName), uuid);
  }

  private reportFault(fault: FaultReport): void {
    const segment = this.kernel.intel?.units.find((unit) => unit.name === fault.unit)?.segment ?? 0;
    this.eventLog.addFault(fault, functionWith(this.kernel, segment, fault.requesterId));
  }

  /** Definitions with autostart come up when their parent registers; what fails is left for the log. */
  private startAutomatic(parent: string): void {
    for (const definition of this.definitions.autostartOf(parent)) {
      try {
        startDefined(this.kernel, this.sysfs, definition);
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
      mdevs: (pci) => {
        const device = kernel.deviceOf(pci);
        if (device === undefined || kernel.mdev.parentOf(device) === undefined) return [];
        return kernel.mdev.mdevs.filter((mdev) => mdev.parent.device === device).map((mdev) => mdev.uuid);
      },
      assignedTo: (pci) => this.machines.ownerOf(pci.name)?.name,
    };
  }

  protected pciDevice(name: string): Device {
    const device = this.kernel.pciDevice(name);
    if (device === undefined)
      throw new KernelError('ENODEV', 'no such device', `there is no PCI device ${name}`);
    return device;
  }

  protected function(name: string): PciFunction {
    return this.transfers.functionOf(this.pciDevice(name).name);
  }

  protected mdev(uuid: string): Mdev {
    const mdev = this.kernel.mdev.find(uuid);
    if (mdev === undefined) throw new KernelError('ENOENT', 'no such mdev', `there is no mdev ${uuid}`);
    return mdev;
  }
}
