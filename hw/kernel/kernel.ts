/**
 * The kernel half put together: what boots from the port, in the order Linux brings it up. Scan the buses, find the
 * remapping units, make groups and default domains, switch translation on, then drivers, VFIO and mediated devices.
 */
import { readDmar } from '../acpi/dmar-reader.ts';
import type { PciAddress } from '../pci/address.ts';
import type { HardwarePort } from '../port.ts';
import type { Trace } from '../trace.ts';
import { AmdDriver } from './amd/driver.ts';
import { KernelCalls } from './calls/kernel-calls.ts';
import { Completion } from './completion.ts';
import { Device } from './device.ts';
import { DriverCore } from './drivers/driver-core.ts';
import { nativeDrivers, portDriver, stubDriver } from './drivers/native.ts';
import { vfioPciDriver } from './drivers/vfio-pci.ts';
import { KernelError } from './errno.ts';
import { IntelAuxiliaryDomains } from './intel/auxiliary.ts';
import { IntelDriver } from './intel/driver.ts';
import { LinuxIommuCore } from './iommu/core.ts';
import type { IommuDriver } from './iommu/driver.ts';
import { DriverMdevGroups } from './iommu/driver-mdev-groups.ts';
import { graphicsQuirks } from './iommu/graphics-quirks.ts';
import type { Group } from './iommu/group.ts';
import { type GroupingDecision, pciDeviceGroup } from './iommu/grouping.ts';
import { systemDefaultType } from './iommu/grouping-default-type.ts';
import { commandLineWords, type IommuOptions, iommuOptions } from './iommu/grouping-options.ts';
import { UnitLookup } from './iommu/grouping-units.ts';
import { ParentPasids } from './iommu/parent-pasids.ts';
import { PasidSpace } from './iommu/pasid-space.ts';
import { ProposedOwnership } from './iommu/proposed-ownership.ts';
import { IommufdModule } from './iommufd/context.ts';
import { CoreIommu } from './iommufd/core-iommu.ts';
import { IntelHardware } from './iommufd/intel-hardware.ts';
import { KernelLog } from './kernel-log.ts';
import { MdevCore } from './mdev/mdev-core.ts';
import type { PageAllocator } from './page-allocator.ts';
import type { AcsContext } from './pci/acs.ts';
import { acsOptions, enableAcs } from './pci/acs-enable.ts';
import { isAmdIommu } from './pci/acs-quirks.ts';
import type { PciDevice } from './pci/pci-device.ts';
import { type PciTopology, type RootBus, scanPci } from './pci/scan.ts';
import { disableVirtualFunctions } from './pci/sriov.ts';
import { ProcessTable } from './process/process.ts';
import { UserPages } from './process/user-pages.ts';
import type { KernelProfile } from './profile.ts';
import { unsafeNoIommu } from './vfio/no-iommu.ts';
import type { Type1Environment, Type1Parameters, VfioParameters } from './vfio/type1/state.ts';
import { Vfio } from './vfio/vfio.ts';

export interface BootOptions {
  readonly port: HardwarePort;
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly commandLine?: string;
  readonly rootBuses: readonly RootBus[];
  /** Frames for translation tables and user memory. */
  readonly allocator: PageAllocator;
  /** An AMD IOMMU over everything, where the machine has one in place of DMAR units. */
  readonly amdIommu?: boolean;
  /** Whether that one remaps interrupts; it does unless told. */
  readonly interruptRemapping?: boolean;
  /** Functions that are known to be there although the scan may not reach them. */
  readonly listed?: readonly PciAddress[];
  /** Functions whose device-specific registers are not known (a host read from text). */
  readonly unreadable?: ReadonlySet<string>;
  /** Configuration space is as firmware left it: enumeration switches ACS on where an IOMMU asks for it. */
  readonly asFirmwareLeft?: boolean;
  /** /sys/bus/pci/drivers_autoprobe at boot; off: nothing binds by itself. On unless told. */
  readonly autoprobe?: boolean;
}

export class LinuxKernel {
  readonly port: HardwarePort;
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log = new KernelLog();
  readonly allocator: PageAllocator;
  readonly commandLine: string;
  readonly topology: PciTopology;
  readonly options: IommuOptions;
  readonly lookup: UnitLookup | undefined;
  readonly intel: IntelDriver | undefined;
  /** Drives an AMD IOMMU, where the machine has one in place of DMAR units. */
  readonly amd: AmdDriver | undefined;
  readonly iommu: LinuxIommuCore;
  /** The system's PASID numbers. */
  readonly pasids: PasidSpace;
  /** Auxiliary domains, for generations that have them. */
  readonly auxiliary: IntelAuxiliaryDomains | undefined;
  /** DMA ownership as it was proposed, on the same groups. */
  readonly proposedOwnership: ProposedOwnership;
  /** PASIDs on the parent, as it was proposed. */
  readonly parentPasids: ParentPasids;
  /** Groups that the IOMMU driver would make for mdevs: the abandoned idea. */
  readonly mdevGroups: DriverMdevGroups;
  /** Its calls by name. */
  readonly calls: KernelCalls;
  readonly drivers: DriverCore;
  readonly type1Parameters: Type1Parameters = {
    dmaEntryLimit: 65535,
    allowUnsafeInterrupts: false,
    disableHugepages: false,
  };
  readonly vfioParameters: VfioParameters;
  readonly vfio: Vfio;
  /** What stands behind /dev/iommu; generations without it refuse to open it. */
  readonly iommufd: IommufdModule;
  readonly mdev: MdevCore;
  readonly processes: ProcessTable;
  private readonly iommuDriver: IommuDriver | undefined;
  private readonly unreadable: ReadonlySet<string>;
  private readonly acsEnumerated: boolean;
  private readonly devices = new Map<PciDevice, Device>();
  private readonly decisions = new Map<PciDevice, GroupingDecision>();

  constructor(options: BootOptions) {
    const { port, profile, trace, allocator } = options;
    this.port = port;
    this.profile = profile;
    this.trace = trace;
    this.allocator = allocator;
    this.commandLine = options.commandLine ?? '';
    this.topology = scanPci(port.configSpace, options.rootBuses, { listed: options.listed });
    this.unreadable = options.unreadable ?? new Set();
    const hidden = (pci: PciDevice): boolean => this.unreadable.has(pci.name);
    this.options = graphicsQuirks(this.topology.devices, iommuOptions(this.commandLine), hidden).options;
    this.acsEnumerated = options.asFirmwareLeft === true;
    if (this.acsEnumerated) this.switchAcsOn(this.topology.devices);
    this.lookup = this.findUnits();
    this.intel = this.startIntel(options);
    this.amd = options.amdIommu === true && this.options.amdEnabled ? new AmdDriver() : undefined;
    this.iommuDriver = this.intel ?? this.amd;
    this.iommu = new LinuxIommuCore({
      profile,
      trace,
      log: this.log,
      defaultType: systemDefaultType(
        this.amd?.cachesNonPresent === true ? { ...this.options, strict: true } : this.options,
        this.lookup?.units.flatMap(({ registers }) => registers ?? []) ?? [],
        profile.cachingModeStrict,
      ),
      interruptRemapping: this.interruptsRemapped(options),
    });
    this.pasids = new PasidSpace(this.log);
    this.auxiliary =
      profile.auxiliaryDomains && this.intel !== undefined
        ? new IntelAuxiliaryDomains(this.intel, this.pasids, this.iommu.acts)
        : undefined;
    this.proposedOwnership = new ProposedOwnership(this.iommu);
    this.parentPasids = new ParentPasids(this.iommu, this.pasids);
    this.mdevGroups = new DriverMdevGroups(this.iommu);
    this.calls = new KernelCalls(this);
    const log = (line: string): void => this.log.write(line);
    this.drivers = new DriverCore({ core: this.iommu, profile, log });
    this.vfioParameters = { unsafeNoIommu: unsafeNoIommu(this.commandLine) };
    const environment: Type1Environment = {
      core: this.iommu,
      auxiliary: this.auxiliary,
      profile,
      parameters: this.type1Parameters,
      vfioParameters: this.vfioParameters,
      iommuPresent: this.iommuDriver !== undefined,
      log,
    };
    this.vfio = new Vfio(environment);
    this.iommufd = new IommufdModule({
      available: profile.iommufd,
      trace,
      iommu: new CoreIommu(this.iommu, this.intel === undefined ? undefined : new IntelHardware(this.intel)),
    });
    this.mdev = new MdevCore({ vfio: this.vfio, drivers: this.drivers, profile, log });
    this.processes = new ProcessTable(new UserPages(port.memory, allocator));
    this.groupDevices();
    this.intel?.enableTranslation();
    this.registerDrivers(options.autoprobe ?? true);
  }

  /** The kernel's object for a PCI device. */
  deviceOf(pci: PciDevice): Device | undefined {
    return this.devices.get(pci);
  }

  /** A PCI device by its name `0000:6a:01.0`. */
  pciDevice(name: string): Device | undefined {
    const pci = this.topology.find(name);
    return pci === undefined ? undefined : this.devices.get(pci);
  }

  /**
   * A write to `remove` of a PCI device: it, its virtual functions and all behind it leave their drivers and groups. Finished
   * when the last user has let go. @throws KernelError ENOENT: there is no such device.
   */
  removePci(name: string): Completion {
    const pci = this.topology.find(name);
    if (pci === undefined) throw new KernelError('ENOENT', 'no such device', `${name} does not exist`);
    const below = (device: PciDevice): PciDevice[] => [
      ...(device.subordinate?.devices.flatMap(below) ?? []),
      ...this.topology.devices.filter((one) => one.physicalFunction === device),
      device,
    ];
    const leaving = below(pci);
    const finished = new Completion();
    let left = leaving.length;
    for (const each of leaving) {
      const device = this.devices.get(each);
      (device === undefined ? Completion.done() : this.drivers.removeDevice(device)).whenDone(() => {
        if (device !== undefined) this.forget(device, each);
        disableVirtualFunctions(each);
        left -= 1;
        if (left > 0) return;
        this.topology.remove(pci);
        finished.complete();
      });
    }
    return finished;
  }

  /** A write to /sys/bus/pci/rescan, or to the `rescan` of one bus; the devices that appeared. */
  rescanPci(buses = this.topology.roots): Device[] {
    return buses.flatMap((bus) => this.topology.rescan(bus)).map((pci) => this.appear(pci));
  }

  /** Takes a PCI device on that the scan found (hot plug, virtual functions): group, default domain, driver. */
  appear(pci: PciDevice): Device {
    const device = new Device(pci.name, 'pci', { pci });
    this.devices.set(pci, device);
    this.lookup?.refresh();
    this.switchAcsOn([pci]);
    this.joinGroup(device, pci);
    this.drivers.addDevice(device);
    return device;
  }

  /** What isolation depends on besides the devices themselves. */
  get acs(): AcsContext {
    return {
      amdIommu: this.intel === undefined || this.topology.devices.some((pci) => isAmdIommu(pci)),
      unreadable: (pci) => this.unreadable.has(pci.name),
    };
  }

  /** pci_enable_acs, before the devices join groups. */
  private switchAcsOn(devices: readonly PciDevice[]): void {
    const requested = this.options.intelEnabled && this.port.acpiTable('DMAR') !== undefined;
    const options = acsOptions(commandLineWords(this.commandLine));
    for (const pci of devices) enableAcs(pci, requested, options);
  }

  /** What decided on the group of a device, or undefined: it is in none. */
  decisionOf(pci: PciDevice): GroupingDecision | undefined {
    return this.decisions.get(pci);
  }

  /** Functions that the hardware took away (virtual functions switched off): driver and group let go of them. */
  disappear(pci: PciDevice): void {
    const device = this.devices.get(pci);
    if (device === undefined) return;
    this.drivers.removeDevice(device).whenDone(() => this.forget(device, pci));
    this.topology.remove(pci);
  }

  private forget(device: Device, pci: PciDevice): void {
    this.iommu.removeDevice(device);
    this.devices.delete(pci);
    this.decisions.delete(pci);
  }

  private findUnits(): UnitLookup | undefined {
    const table = this.port.acpiTable('DMAR');
    if (table === undefined || !this.options.intelEnabled) return undefined;
    const lookup = new UnitLookup(readDmar(table), this.topology, {
      registers: (base) => {
        const mmio = this.port.mmio(base);
        return mmio === undefined ? undefined : { cap: mmio.read(0x08, 8), ecap: mmio.read(0x10, 8) };
      },
      graphicsOff: this.options.graphicsOff,
      scalableMode: this.options.scalableMode,
      passThrough: this.options.passThrough,
    });
    if (lookup.refused === undefined) return lookup;
    this.log.write(`DMAR: ${lookup.refused}`);
    return undefined;
  }

  private startIntel(options: BootOptions): IntelDriver | undefined {
    if (this.lookup === undefined) return undefined;
    const words = commandLineWords(this.commandLine).filter((word) => word.startsWith('intel_iommu='));
    const modes = words
      .flatMap((word) => word.slice('intel_iommu='.length).split(','))
      .filter((part) => part.startsWith('sm_'));
    const mode = modes.at(-1);
    const driver = new IntelDriver({
      port: this.port,
      allocator: this.allocator,
      profile: this.profile,
      trace: this.trace,
      log: this.log,
      lookup: this.lookup,
      scalableMode: mode === undefined ? undefined : mode === 'sm_on',
      interruptRemapping: this.interruptsRemapped(options),
    });
    this.port.onInterrupt(({ vector }) => driver.handleInterrupt(vector));
    driver.start();
    return driver;
  }

  /** ECAP.IR of every unit, and the DMAR table says that the platform remaps (flags bit 0). */
  private interruptsRemapped(options: BootOptions): boolean {
    if (this.lookup === undefined) return options.amdIommu === true && options.interruptRemapping !== false;
    const units = this.lookup.units.filter((unit) => unit.ignored === undefined);
    const offered = units.every(
      ({ registers }) => registers !== undefined && ((registers.ecap >> 3n) & 1n) === 1n,
    );
    return offered && units.length > 0 && !commandLineWords(this.commandLine).includes('nointremap');
  }

  /** iommu_device_register: each unit in turn takes its devices, in the order of the scan. */
  private groupDevices(): void {
    for (const pci of this.topology.devices) this.devices.set(pci, new Device(pci.name, 'pci', { pci }));
    const order = new Map(this.lookup?.units.map((unit, index) => [unit, index]));
    const rank = (pci: PciDevice): number => {
      const unit = this.lookup?.unitOf(pci);
      return unit === undefined ? 0 : (order.get(unit) ?? 0);
    };
    const sorted = [...this.devices].map(([pci, device]) => ({ pci, device, rank: rank(pci) }));
    sorted.sort((a, b) => a.rank - b.rank);
    for (const { pci, device } of sorted) this.joinGroup(device, pci);
  }

  private joinGroup(device: Device, pci: PciDevice): void {
    if (this.iommuDriver === undefined) return;
    const groupOf = (other: PciDevice): Group | undefined => {
      const known = this.devices.get(other);
      return known === undefined ? undefined : this.iommu.groupOf(known);
    };
    const { group, decision } = pciDeviceGroup(pci, groupOf, this.acs);
    this.decisions.set(pci, decision);
    try {
      const joined = this.iommu.probeDevice(device, this.iommuDriver, group);
      this.log.write(`${device.bus} ${device.name}: Adding to iommu group ${joined.id}`);
    } catch (error) {
      // A device that no unit is responsible for stays without group.
      if (!(error instanceof KernelError)) throw error;
    }
  }

  private registerDrivers(autoprobe: boolean): void {
    const log = (line: string): void => this.log.write(line);
    this.drivers.setAutoprobe('pci', autoprobe);
    const vfioPci = vfioPciDriver(this.vfio, (pci) => this.devices.get(pci));
    for (const driver of [portDriver(), ...nativeDrivers(), stubDriver(log), vfioPci])
      this.drivers.registerDriver(driver);
    for (const pci of this.topology.devices) {
      const device = this.devices.get(pci);
      if (device !== undefined) this.drivers.addDevice(device);
    }
  }
}
