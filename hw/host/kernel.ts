/**
 * The kernel half of a host, booted on a hardware port: bus scan, remapping units, groups with their default domains,
 * drivers, VFIO, mediated devices, processes. The order is that of a boot: units are started before any driver binds.
 */
import { readDmar } from '../acpi/dmar-reader.ts';
import type { HostDescription } from '../host-description.ts';
import { Device } from '../kernel/device.ts';
import { DriverCore } from '../kernel/drivers/driver-core.ts';
import { vfioPciDriver } from '../kernel/drivers/vfio-pci.ts';
import { IntelAuxiliaryDomains } from '../kernel/intel/auxiliary.ts';
import { IntelDriver } from '../kernel/intel/driver.ts';
import { LinuxIommuCore } from '../kernel/iommu/core.ts';
import { type GroupingDecision, pciDeviceGroup } from '../kernel/iommu/grouping.ts';
import { systemDefaultType } from '../kernel/iommu/grouping-default-type.ts';
import { commandLineWords, iommuOptions } from '../kernel/iommu/grouping-options.ts';
import { UnitLookup, type UnitRegisters } from '../kernel/iommu/grouping-units.ts';
import { PasidSpace } from '../kernel/iommu/pasid-space.ts';
import { KernelLog } from '../kernel/kernel-log.ts';
import { MdevCore } from '../kernel/mdev/mdev-core.ts';
import { PageAllocator } from '../kernel/page-allocator.ts';
import type { AcsContext } from '../kernel/pci/acs.ts';
import type { PciDevice } from '../kernel/pci/pci-device.ts';
import { type PciTopology, type RootBus, scanPci } from '../kernel/pci/scan.ts';
import { ProcessTable } from '../kernel/process/process.ts';
import { UserPages } from '../kernel/process/user-pages.ts';
import type { KernelProfile } from '../kernel/profile.ts';
import type { Type1Environment } from '../kernel/vfio/type1/state.ts';
import { Vfio } from '../kernel/vfio/vfio.ts';
import type { MemoryRange } from '../memory/physical-memory.ts';
import type { Frame } from '../memory/types.ts';
import { formatPciAddress, type PciAddress } from '../pci/address.ts';
import type { HardwarePort } from '../port.ts';
import type { Trace } from '../trace.ts';
import { registers } from '../vtd/registers.ts';
import { bindAsDescribed, registerDrivers } from './kernel-drivers.ts';

export interface KernelOptions {
  readonly port: HardwarePort;
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly description: HostDescription;
  readonly rootBuses: readonly RootBus[];
  /** Installed memory, ascending. */
  readonly memory: readonly MemoryRange[];
}

/** Memory below is firmware's and the kernel image's; frames are handed out above. */
const FIRST_ALLOCATED = 0x100000000;
const PAGE_BYTES = 4096;

export class Kernel {
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log = new KernelLog();
  readonly allocator: PageAllocator;
  readonly pages: UserPages;
  readonly processes: ProcessTable;
  readonly topology: PciTopology;
  readonly core: LinuxIommuCore;
  /** Undefined: no unit, or the command line switched it off. */
  readonly intel: IntelDriver | undefined;
  readonly auxiliary: IntelAuxiliaryDomains | undefined;
  /** The system's PASID numbers. */
  readonly pasids: PasidSpace;
  readonly drivers: DriverCore;
  readonly vfio: Vfio;
  readonly mdev: MdevCore;
  readonly acs: AcsContext = { amdIommu: false };
  private readonly port: HardwarePort;
  private readonly byPci = new Map<PciDevice, Device>();
  private readonly decisions = new Map<PciDevice, GroupingDecision>();

  constructor(options: KernelOptions) {
    const { port, profile, trace, description } = options;
    this.port = port;
    this.profile = profile;
    this.trace = trace;
    const frames = allocatableFrames(options.memory);
    this.allocator = new PageAllocator(frames.first as Frame, frames.count);
    this.pages = new UserPages(port.memory, this.allocator);
    this.processes = new ProcessTable(this.pages);
    this.topology = scanPci(port.configSpace, options.rootBuses);
    const boot = iommuOptions(description.kernelCommandLine);
    const lookup =
      boot.intelEnabled && description.iommu?.state !== 'off' ? this.findUnits(boot.graphicsOff) : undefined;
    const unitRegisters = (lookup?.units ?? []).flatMap((unit) => unit.registers ?? []);
    this.core = new LinuxIommuCore({
      profile,
      trace,
      log: this.log,
      defaultType: systemDefaultType(boot, unitRegisters),
      interruptRemapping: remapsInterrupts(lookup),
    });
    if (lookup !== undefined) {
      this.intel = new IntelDriver({
        port,
        allocator: this.allocator,
        profile,
        trace,
        log: this.log,
        lookup,
        scalableMode: wantedScalableMode(description.kernelCommandLine),
      });
      this.intel.start();
    }
    this.pasids = new PasidSpace(this.log);
    this.auxiliary =
      this.intel !== undefined && profile.auxiliaryDomains
        ? new IntelAuxiliaryDomains(this.intel, this.pasids)
        : undefined;
    const log = (line: string): void => this.log.write(line);
    this.drivers = new DriverCore({ core: this.core, profile, log });
    const environment: Type1Environment = {
      core: this.core,
      auxiliary: this.auxiliary,
      profile,
      parameters: { dmaEntryLimit: 65535, allowUnsafeInterrupts: false, disableHugepages: false },
      log,
    };
    this.vfio = new Vfio(environment);
    this.mdev = new MdevCore({ vfio: this.vfio, drivers: this.drivers, profile, log });
    this.drivers.setAutoprobe('pci', false);
    this.probeAll(lookup);
    this.intel?.enableTranslation();
    registerDrivers(this, vfioPciDriver(this.vfio), description);
    bindAsDescribed(this, description);
  }

  /** The device object of a PCI function, or undefined: the scan did not find it. */
  deviceOf(pci: PciDevice): Device | undefined {
    return this.byPci.get(pci);
  }

  /** A device by its sysfs name: a PCI address, or the UUID of an mdev. */
  device(name: string): Device | undefined {
    const pci = this.topology.find(name);
    if (pci !== undefined) return this.byPci.get(pci);
    return this.mdev.find(name)?.device ?? this.drivers.device('platform', name);
  }

  /** What decided on the group of a function, or undefined: it is in none. */
  decisionOf(pci: PciDevice): GroupingDecision | undefined {
    return this.decisions.get(pci);
  }

  /** A function that appeared after boot: it gets its group and shows on its bus. */
  addFunction(pci: PciDevice): Device {
    const device = this.makeDevice(pci);
    this.probeIommu(device, pci);
    this.drivers.addDevice(device);
    return device;
  }

  /** A function that is gone (virtual functions switched off): its driver lets go, its group loses it. */
  removeFunction(pci: PciDevice): void {
    const device = this.byPci.get(pci);
    if (device === undefined) return;
    this.drivers.removeDevice(device).whenDone(() => this.core.removeDevice(device));
    this.byPci.delete(pci);
    this.decisions.delete(pci);
    this.topology.remove(pci);
  }

  private findUnits(graphicsOff: boolean): UnitLookup | undefined {
    const bytes = this.port.acpiTable('DMAR');
    if (bytes === undefined) return undefined;
    return new UnitLookup(readDmar(bytes), this.topology, {
      registers: (base) => this.unitRegisters(base),
      graphicsOff,
    });
  }

  private unitRegisters(base: bigint): UnitRegisters | undefined {
    const mmio = this.port.mmio(base);
    if (mmio === undefined) return undefined;
    return { cap: mmio.read(registers.CAP.offset, 8), ecap: mmio.read(registers.ECAP.offset, 8) };
  }

  /** iommu_device_register for each unit in turn: each takes its own devices, in the order of the scan. */
  private probeAll(lookup: UnitLookup | undefined): void {
    for (const pci of this.topology.devices) this.makeDevice(pci);
    for (const unit of lookup?.units ?? []) {
      for (const pci of this.topology.devices) {
        if (lookup?.unitOf(pci) === unit) this.probeIommu(this.makeDevice(pci), pci);
      }
    }
    for (const device of this.byPci.values()) this.drivers.addDevice(device);
  }

  private makeDevice(pci: PciDevice): Device {
    const known = this.byPci.get(pci);
    if (known !== undefined) return known;
    const made = new Device(pci.name, 'pci', { pci });
    this.byPci.set(pci, made);
    return made;
  }

  private probeIommu(device: Device, pci: PciDevice): void {
    if (this.intel?.unitOf(device) === undefined) return;
    const { group, decision } = pciDeviceGroup(
      pci,
      (other) => {
        const known = this.byPci.get(other);
        return known === undefined ? undefined : this.core.groupOf(known);
      },
      this.acs,
    );
    this.core.probeDevice(device, this.intel, group);
    this.decisions.set(pci, decision);
  }
}

/** The largest run of memory from 4 GiB up; on a small machine the largest there is. */
function allocatableFrames(memory: readonly MemoryRange[]): { first: number; count: number } {
  const high = memory.filter((range) => range.end > FIRST_ALLOCATED);
  let best = { first: 0x1000, count: 0 };
  for (const range of high.length > 0 ? high : memory) {
    const first = Math.ceil(Math.max(range.start, 0x1000000) / PAGE_BYTES);
    const count = Math.floor(range.end / PAGE_BYTES) - first;
    if (count > best.count) best = { first, count };
  }
  return best;
}

function remapsInterrupts(lookup: UnitLookup | undefined): boolean {
  if (lookup === undefined || !lookup.table.interruptRemapping) return false;
  return lookup.units.every((unit) => unit.registers !== undefined && (unit.registers.ecap & 8n) !== 0n);
}

/** intel_iommu=sm_on or sm_off, the last word wins; undefined: not told. */
function wantedScalableMode(commandLine: string | undefined): boolean | undefined {
  let wanted: boolean | undefined;
  for (const word of commandLineWords(commandLine ?? '')) {
    if (!word.startsWith('intel_iommu=')) continue;
    for (const part of word.slice('intel_iommu='.length).split(',')) {
      if (part.startsWith('sm_on')) wanted = true;
      if (part.startsWith('sm_off')) wanted = false;
    }
  }
  return wanted;
}

/** `0000:6a:01.0` of an address. */
export function nameOf(at: PciAddress): string {
  return formatPciAddress(at);
}
