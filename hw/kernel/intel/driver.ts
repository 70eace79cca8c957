/**
 * The VT-d driver (drivers/iommu/intel/iommu.c): finds the units that the DMAR table names, starts them, and makes in
 * their tables what the IOMMU core decides.
 */
import type { RemappingUnitStructure } from '../../acpi/dmar.ts';
import type { HardwarePort } from '../../port.ts';
import type { Trace } from '../../trace.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { DomainOptions, DriverDomain, IommuDriver } from '../iommu/driver.ts';
import { deviceReservedRegions } from '../iommu/grouping-reserved.ts';
import type { UnitLookup } from '../iommu/grouping-units.ts';
import type { ReservedRegion } from '../iommu/types.ts';
import type { KernelLog } from '../kernel-log.ts';
import type { PageAllocator } from '../page-allocator.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { KernelProfile } from '../profile.ts';
import { QuirkLog } from '../quirk-log.ts';
import { atsAllowed } from './ats-path.ts';
import { LegacyAttachment } from './attach-legacy.ts';
import { ModernAttachment } from './attach-modern.ts';
import type { IntelAttachment } from './attachment.ts';
import { DeviceInfo } from './device-info.ts';
import { IntelDomain } from './domain.ts';
import { allocatePaging } from './domain-shape.ts';
import { EntryWriter, NO_PASID } from './entries.ts';
import { FaultHandler } from './fault-handler.ts';
import { InterruptRemapping } from './interrupt-remapping.ts';
import { PageRequestHandler } from './page-request-handler.ts';
import { TableWriter } from './table-writer.ts';
import { IntelUnit } from './unit.ts';

export interface IntelDriverOptions {
  readonly port: HardwarePort;
  readonly allocator: PageAllocator;
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log: KernelLog;
  readonly lookup: UnitLookup;
  /** intel_iommu=sm_on or sm_off; absent: on. */
  readonly scalableMode?: boolean;
  /** Interrupts are remapped: every unit can, and firmware agrees. */
  readonly interruptRemapping?: boolean;
}

export class IntelDriver implements IommuDriver {
  readonly name = 'intel-iommu';
  readonly attachesPasids = true;
  readonly profile: KernelProfile;
  readonly trace: Trace;
  readonly log: KernelLog;
  readonly lookup: UnitLookup;
  readonly tables: TableWriter;
  readonly entries: EntryWriter;
  /** Units in use, in the order in which the driver starts them. */
  readonly units: readonly IntelUnit[];
  /** The identity domain of all devices (si_domain, identity_domain). */
  readonly identity: IntelDomain;
  readonly blockingDomain: IntelDomain | undefined;
  readonly refusesBlockingDirect: boolean;
  readonly attachment: IntelAttachment;
  readonly faults: FaultHandler;
  /** Where defects of this generation showed. */
  readonly quirks: QuirkLog;
  readonly pageRequests: PageRequestHandler;
  readonly interrupts: InterruptRemapping;
  private readonly port: HardwarePort;
  private readonly remapsInterrupts: boolean;
  private readonly infos = new Map<Device, DeviceInfo>();
  private readonly paging = new Set<IntelDomain>();
  private domainCount = 0;

  /** Finds the units; `start` sets them going. */
  constructor(options: IntelDriverOptions) {
    const { port, profile, trace, log, lookup } = options;
    this.port = port;
    this.profile = profile;
    this.trace = trace;
    this.log = log;
    this.lookup = lookup;
    this.tables = new TableWriter(port, options.allocator, trace);
    this.quirks = new QuirkLog(profile);
    this.entries = new EntryWriter(this.tables, profile, log, this.quirks);
    this.faults = new FaultHandler(log, trace);
    this.interrupts = new InterruptRemapping(this.tables);
    this.remapsInterrupts = options.interruptRemapping ?? false;
    this.pageRequests = new PageRequestHandler(this.tables, log);
    this.units = lookup.units
      .filter((unit) => unit.ignored === undefined)
      .flatMap(({ structure, name }) => this.makeUnit(options, structure, name));
    this.identity = new IntelDomain(this, 'identity', 'identity', profile, undefined);
    this.blockingDomain = profile.staticDomains
      ? new IntelDomain(this, 'blocked', 'blocked', profile, undefined)
      : undefined;
    this.refusesBlockingDirect = profile.reservedMemoryRefusal === 'at-blocking';
    this.attachment =
      profile.deviceFeaturesAt === 'probe'
        ? new ModernAttachment(this.tables, this.entries, () => this.maximumPasid)
        : new LegacyAttachment(this.tables, this.entries, log, this.quirks, () => this.units, profile);
  }

  /** alloc_iommu: a unit that the driver can't use is told of and left alone, and so are the devices behind it. */
  private makeUnit(
    options: IntelDriverOptions,
    structure: RemappingUnitStructure,
    name: string,
  ): IntelUnit[] {
    try {
      return [
        new IntelUnit({
          port: options.port,
          tables: this.tables,
          trace: this.trace,
          profile: this.profile,
          registerBase: structure.registerBase,
          segment: structure.segment,
          index: Number(name.slice('dmar'.length)),
          scalableWanted: options.scalableMode ?? true,
        }),
      ];
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.log.write(`DMAR: ${error.message}`);
      return [];
    }
  }

  /** init_dmars: queues, root tables, flushes, interrupts; translation starts with `enableTranslation`. */
  start(): void {
    for (const unit of this.units) unit.startQueue();
    for (const unit of this.units)
      if (this.remapsInterrupts && unit.queue !== undefined) this.interrupts.enable(unit);
    for (const unit of this.units) unit.setRootTable(this.profile);
    for (const unit of this.units) {
      this.pageRequests.program(unit);
      this.faults.program(unit);
    }
  }

  /** After the devices have their domains: from here on the units translate. */
  enableTranslation(): void {
    for (const unit of this.units) unit.enableTranslation();
  }

  /** iommu_suspend: everything cached goes, translation stops. The tables stay in memory. */
  suspend(): void {
    for (const unit of this.units) {
      unit.flush.allContexts();
      unit.flush.everything();
    }
    for (const unit of this.units) {
      unit.disableTranslation();
      this.faults.mask(unit);
      this.pageRequests.mask(unit);
    }
  }

  /** iommu_resume: the registers are at reset; queues and root tables are set again, then translation starts. */
  resume(): void {
    for (const unit of this.units) unit.forgetRegisters();
    this.start();
    this.enableTranslation();
  }

  /** An interrupt of the CPU. False: it belongs to no unit. */
  handleInterrupt(vector: number): boolean {
    return this.faults.handle(vector) || this.pageRequests.handle(vector);
  }

  /** Every unit can pass requests through untranslated: needed for identity domains. */
  get passThrough(): boolean {
    return this.units.every(({ capabilities }) => capabilities.passThrough === 1);
  }

  /** Scalable mode on every unit (scalable_mode_support). */
  get allScalable(): boolean {
    return this.units.length > 0 && this.units.every((unit) => unit.scalable);
  }

  /** Requests with PASID on every unit (pasid_mode_support). */
  get allPasid(): boolean {
    return this.allScalable && this.units.every((unit) => unit.pasidSupported);
  }

  /** intel_pasid_max_id: PASIDs that every unit with PASIDs takes. */
  get maximumPasid(): number {
    let most = 2 ** 20;
    for (const unit of this.units) {
      if (unit.pasidSupported) most = Math.min(most, 2 ** (unit.capabilities.pasidSize + 1));
    }
    return most;
  }

  /** Paging domains that exist. */
  get domains(): readonly IntelDomain[] {
    return [...this.paging];
  }

  get devices(): readonly DeviceInfo[] {
    return [...this.infos.values()];
  }

  infoOf(device: Device): DeviceInfo | undefined {
    return this.infos.get(device);
  }

  /** The unit that a device's requests reach. */
  unitOf(device: Device): IntelUnit | undefined {
    const known = this.infos.get(device);
    if (known !== undefined) return known.unit;
    const base =
      device.pci === undefined ? undefined : this.lookup.unitOf(device.pci)?.structure.registerBase;
    return this.units.find((unit) => unit.registerBase === base);
  }

  probe(device: Device): void {
    const unit = this.unitOf(device);
    const pci = device.pci;
    if (unit === undefined || pci === undefined) {
      throw new KernelError(
        'ENODEV',
        'no remapping unit for the device',
        pci === undefined
          ? `${device.name} is not a PCI device, and no unit names it.`
          : `${device.name}: ${this.lookup.whyNone(pci)}.`,
      );
    }
    const info = new DeviceInfo(
      device,
      unit,
      requesterIdOf(pci),
      atsAllowed(this.lookup, pci, unit.scalable),
    );
    this.attachment.probed(info);
    this.infos.set(device, info);
  }

  finalize(device: Device): void {
    const info = this.infos.get(device);
    if (info !== undefined) this.attachment.finalized(info);
  }

  release(device: Device): void {
    const info = this.infos.get(device);
    if (info === undefined) return;
    this.attachment.detach(info);
    this.attachment.released(info);
    this.infos.delete(device);
  }

  /** Without pass-through in hardware there is no identity domain. */
  requiredDomainType(_device: Device): 'identity' | 'DMA' | undefined {
    return this.passThrough ? undefined : 'DMA';
  }

  allocate(device: Device, options: DomainOptions): IntelDomain {
    const type = options.type ?? 'unmanaged';
    if (type === 'identity') return this.identity;
    const unit = this.unitOf(device);
    if (unit === undefined) {
      throw new KernelError(
        'ENODEV',
        'no remapping unit for the device',
        `No unit translates for ${device.name}, so no domain can be made for it.`,
      );
    }
    this.domainCount += 1;
    const name = `domain ${this.domainCount}`;
    const shape = allocatePaging(this, unit, type, options, this.port.memory);
    const domain = new IntelDomain(this, type, name, this.profile, shape);
    this.paging.add(domain);
    return domain;
  }

  /** @throws KernelError EPERM: an unmanaged domain for a device with a reserved region, before 7.x; ENOSPC; EINVAL. */
  attach(domain: DriverDomain, device: Device): void {
    const own = this.ownDomain(domain);
    const info = this.infoFor(device);
    if (!this.refusesBlockingDirect && own.type === 'unmanaged' && this.requiresDirect(device)) {
      this.log.write(
        `${device.driver?.name ?? device.bus} ${device.name}: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.`,
      );
      throw new KernelError(
        'EPERM',
        'reserved memory region',
        `${device.name} is ineligible: firmware reserves memory for it (RMRR) that a user's domain would take away.`,
        'There is none short of other firmware: contact the vendor of the platform.',
      );
    }
    if (info.auxiliary && own.type === 'unmanaged') {
      throw new KernelError(
        'EPERM',
        'device is in auxiliary mode',
        `${device.name} is in auxiliary mode: a user's domain can be attached to a PASID of it, not to the whole device.`,
        'Switch auxiliary mode off first.',
      );
    }
    this.attachment.attach(info, own);
  }

  detach(_domain: DriverDomain, device: Device): void {
    this.attachment.detach(this.infoFor(device));
  }

  maximumPasids(device: Device): number {
    const info = this.infos.get(device);
    return info?.pasidSupported ? info.maximumPasids : 0;
  }

  attachPasid(domain: DriverDomain, device: Device, pasid: number, old: DriverDomain | undefined): void {
    const before = old === undefined ? undefined : this.ownDomain(old);
    this.attachment.attachPasid(this.infoFor(device), this.ownDomain(domain), pasid, before);
  }

  detachPasid(domain: DriverDomain, device: Device, pasid: number): void {
    this.attachment.detachPasid(this.infoFor(device), this.ownDomain(domain), pasid);
  }

  /**
   * intel_iommu_domain_free. Devices that are still attached lose their domain; what is attached in auxiliary mode
   * keeps its entries (5.15). From 7.x on the core lets nobody get here with attachments.
   */
  freeDomain(domain: DriverDomain): void {
    const own = this.ownDomain(domain);
    if (own.table === undefined || own.freed) return;
    const attached = own.devices.size + own.pasidAttachments.size;
    if (attached > 0 && !this.profile.freeDetaches) {
      throw new KernelError(
        'EBUSY',
        'domain still attached',
        `${own.name} is still attached to ${attached} device${attached === 1 ? '' : 's'}.`,
        'Detach it everywhere first.',
      );
    }
    // Its list of devices is newest first.
    for (const info of [...own.devices].reverse()) this.attachment.detach(info);
    if (own.auxiliaryRecords.length > 0) {
      this.quirks.show(
        'aux-free-while-attached',
        `${own.name} is freed; PASID ${own.defaultPasid} still leads to its table`,
      );
    }
    own.freed = true;
    own.table.free();
    this.paging.delete(own);
  }

  /** Units behind the domain that can force snooping; before 7.x and without devices: all units. */
  canSnoop(domain: IntelDomain): boolean {
    const units = this.profile.dmaOwnership === 'viability' ? this.units : domain.unitUses.keys();
    for (const unit of units) {
      const inScalable = this.profile.pageSnoop === 'unmanaged' && unit.scalable;
      if (unit.capabilities.snoopControl === 0 && !inScalable) return false;
    }
    return true;
  }

  /** intel_pasid_setup_page_snoop_control on everything that leads to the domain. */
  setPageSnoop(domain: IntelDomain): void {
    for (const info of domain.devices) this.entries.setPageSnoop(info, NO_PASID);
    for (const [info, pasids] of domain.pasidAttachments) {
      for (const pasid of pasids) this.entries.setPageSnoop(info, pasid);
    }
  }

  reservedRegions(device: Device): readonly ReservedRegion[] {
    const { pci } = device;
    return pci === undefined ? [] : deviceReservedRegions(pci, this.lookup.reservedMemory(pci));
  }

  requiresDirect(device: Device): boolean {
    if (device.pci === undefined || this.lookup.reservedMemory(device.pci).length === 0) return false;
    return this.reservedRegions(device).some(({ type }) => type === 'direct');
  }

  private infoFor(device: Device): DeviceInfo {
    const info = this.infos.get(device);
    if (info === undefined) {
      throw new KernelError(
        'ENODEV',
        'device without IOMMU',
        `${device.name} is behind no unit of this driver.`,
      );
    }
    return info;
  }

  private ownDomain(domain: DriverDomain): IntelDomain {
    if (domain instanceof IntelDomain && domain.driver === this) return domain;
    throw new KernelError(
      'EINVAL',
      'domain of another driver',
      `${domain.name} was not made by ${this.name}.`,
    );
  }
}

function requesterIdOf(device: PciDevice): number {
  const real = device.realDmaDevice;
  return (real.bus.number << 8) | real.devfn;
}
