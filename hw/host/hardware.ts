/** The hardware half of a host, put together from its description: memory, PCI functions, remapping units, devices. */
import { type DmarTable, type RemappingUnitStructure, remappingUnits } from '../acpi/dmar.ts';
import { readDmar } from '../acpi/dmar-reader.ts';
import type { DeviceModel } from '../devices/model.ts';
import type { HostDescription } from '../host-description.ts';
import { type MemoryRange, PhysicalMemory } from '../memory/physical-memory.ts';
import { PAGE_SIZE } from '../memory/types.ts';
import type { PciAddress } from '../pci/address.ts';
import type { ConfigurationSpace } from '../pci/configuration-space.ts';
import { buildHierarchy, bytesOfHex } from '../pci/from-description.ts';
import type { PciFunction } from '../pci/function.ts';
import type { PciHierarchy } from '../pci/hierarchy.ts';
import { HeaderOffset } from '../pci/layouts.ts';
import type { DeliveredInterrupt, HardwarePort, MmioPort } from '../port.ts';
import type { Trace } from '../trace.ts';
import { serverUnit, type UnitConfiguration, unitWithRegisters } from '../vtd/configuration.ts';
import { VtdUnit } from '../vtd/unit.ts';
import { addressOf } from './addresses.ts';
import { Fabric } from './fabric.ts';
import { makeModel, placeRegisters, regionAddress } from './models.ts';
import type { WiredUnit } from './wired-unit.ts';

/** Where memory lies on a host whose description doesn't say: below 2 GiB, and 64 GiB from 4 GiB up. */
const DEFAULT_MEMORY: readonly MemoryRange[] = [
  { start: 0, end: 0xa0000 },
  { start: 0x100000, end: 0x80000000 },
  { start: 0x100000000, end: 0x1080000000 },
];

/** Frames come from 4 GiB up, where there is memory; on a small machine from 16 MiB up, above firmware and kernel. */
const FIRST_ALLOCATED = 0x100000000;
const FIRMWARE_END = 0x1000000;

/** Bridge control, bit 6. */
const SECONDARY_BUS_RESET = 0x40;

export class Hardware {
  readonly memory: PhysicalMemory;
  readonly pci: PciHierarchy;
  /** In the order of the DMAR table. */
  readonly units: readonly WiredUnit[];
  readonly fabric: Fabric;
  readonly dmar: DmarTable | undefined;
  /** What the kernel half gets to see. */
  readonly port: HardwarePort;
  /** Functions that could not be built, and why. */
  readonly problems: readonly { readonly device: string; readonly problem: string }[];
  private readonly description: HostDescription;
  private readonly models = new Map<PciFunction, DeviceModel>();
  private interruptHandler: (interrupt: DeliveredInterrupt) => void = () => {};

  /** @throws DmarError when the description's DMAR table can't be read. */
  constructor(description: HostDescription, trace: Trace) {
    this.description = description;
    const dmarBytes = description.dmar === undefined ? undefined : bytesOfHex(description.dmar);
    this.dmar = dmarBytes === undefined ? undefined : readDmar(dmarBytes);
    this.memory = new PhysicalMemory(memoryRanges(description, this.dmar));
    const functions = [...description.functions, ...(description.formerFunctions ?? [])];
    const built = buildHierarchy({ ...description, functions });
    this.pci = built.hierarchy;
    this.problems = built.problems;
    this.units = this.makeUnits(trace);
    this.fabric = new Fabric(this.pci, this.memory, this.units);
    const models = new Map(description.functions.map((one) => [one.address, one.model]));
    let index = 0;
    for (const one of this.pci.functions) {
      if (one.isBridge) this.watchBridge(one);
      else placeRegisters(one, models.get(addressOf(one)), index);
      index += 1;
    }
    this.fabric.onInterrupt((destination, vector) => this.interruptHandler({ destination, vector }));
    this.port = {
      memory: this.memory,
      configSpace: this.pci,
      mmio: (base) => this.mmio(base),
      acpiTable: (signature) => (signature === 'DMAR' ? dmarBytes : undefined),
      onInterrupt: (handler) => {
        this.interruptHandler = handler;
      },
    };
  }

  /** The model behind a function, or undefined: bridges have none. Made at first use. */
  model(of: PciFunction): DeviceModel | undefined {
    const known = this.models.get(of);
    if (known !== undefined) return known;
    if (of.isBridge) return undefined;
    const name = addressOf(of);
    const described = this.description.functions.find((one) => one.address === name)?.model;
    const made = makeModel(of, this.fabric.busOf(of), described);
    of.onReset = () => made.reset();
    this.models.set(of, made);
    return made;
  }

  /** A function is plugged in. */
  addFunction(at: PciAddress, config: ConfigurationSpace): void {
    const added = this.pci.add(at, config);
    if (added.isBridge) this.watchBridge(added);
    this.fabric.wiring.forget();
  }

  /** Functions whose model has been in use, with it: what a digest covers. */
  get modelsInUse(): readonly { readonly address: string; readonly model: DeviceModel }[] {
    return [...this.models]
      .map(([of, model]) => ({ address: addressOf(of), model }))
      .sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** Page frames that the kernel hands out: the largest run of memory from 4 GiB up, on a small machine the largest. */
  get frames(): { readonly first: number; readonly count: number } {
    const high = this.memory.ranges.filter((range) => range.end > FIRST_ALLOCATED);
    let best = { first: FIRST_ALLOCATED / PAGE_SIZE, count: 0 };
    for (const range of high.length > 0 ? high : this.memory.ranges) {
      const first = Math.ceil(Math.max(range.start, FIRMWARE_END) / PAGE_SIZE);
      const count = Math.floor(range.end / PAGE_SIZE) - first;
      if (count > best.count) best = { first, count };
    }
    return best;
  }

  private watchBridge(bridge: PciFunction): void {
    bridge.config.watch(HeaderOffset.primaryBus, 3, () => this.fabric.wiring.forget());
    this.watchBusReset(bridge);
  }

  /** Secondary Bus Reset resets every function behind the bridge. PCI-to-PCI bridge 1.2, 3.2.5.18. */
  private watchBusReset(bridge: PciFunction): void {
    const asserted = (): boolean => (bridge.read(HeaderOffset.bridgeControl, 2) & SECONDARY_BUS_RESET) !== 0;
    let before = asserted();
    bridge.config.watch(HeaderOffset.bridgeControl, 2, () => {
      const now = asserted();
      if (now && !before) {
        for (const one of [...this.pci.functions])
          if (one !== bridge && this.fabric.wiring.pathUp(one).includes(bridge)) one.reset();
      }
      before = now;
    });
  }

  private mmio(base: bigint): MmioPort | undefined {
    const wired = this.units.find((one) => one.structure.registerBase === base);
    if (wired !== undefined) {
      return {
        read: (offset, size) => wired.unit.mmioRead(offset, size),
        write: (offset, size, value) => wired.unit.mmioWrite(offset, size, value),
      };
    }
    for (const of of this.pci.functions) {
      for (let bar = 0; bar < 6; bar += 1) {
        if (regionAddress(of, bar) === base) return this.model(of)?.region(bar);
      }
    }
    return undefined;
  }

  private makeUnits(trace: Trace): WiredUnit[] {
    if (this.dmar === undefined) return [];
    const width = this.dmar.hostAddressWidth;
    return remappingUnits(this.dmar).map((structure, index) => ({
      name: `dmar${index}`,
      structure,
      unit: new VtdUnit({
        memory: this.memory,
        configuration: this.unitConfiguration(structure, width),
        name: `dmar${index}`,
        trace,
        onInterrupt: ({ destination, vector }) => this.interruptHandler({ destination, vector }),
        onDeviceTlbInvalidation: (invalidation) =>
          this.fabric.invalidateDeviceTlb(structure.segment, invalidation),
      }),
    }));
  }

  private unitConfiguration(structure: RemappingUnitStructure, width: number): UnitConfiguration {
    const told = this.description.units?.find((one) => BigInt(one.registerBase) === structure.registerBase);
    if (told?.cap === undefined || told.ecap === undefined) return serverUnit({}, width);
    return unitWithRegisters(BigInt(told.cap), BigInt(told.ecap), width);
  }
}

/** Installed memory; reserved regions of the DMAR table are memory as well. */
function memoryRanges(description: HostDescription, dmar: DmarTable | undefined): MemoryRange[] {
  const told = description.memory?.map((range) => ({
    start: Number(BigInt(range.start)),
    end: Number(BigInt(range.end)) + 1,
  }));
  const ranges = [...(told === undefined || told.length === 0 ? DEFAULT_MEMORY : told)];
  for (const structure of dmar?.structures ?? []) {
    if (structure.kind === 'RMRR' && structure.limit >= structure.base)
      ranges.push({ start: Number(structure.base), end: Number(structure.limit) + 1 });
  }
  return mergeRanges(ranges);
}

function mergeRanges(ranges: readonly MemoryRange[]): MemoryRange[] {
  const merged: { start: number; end: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else merged.push({ ...range });
  }
  return merged;
}
