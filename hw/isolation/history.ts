/** Replays what happened after boot on the groups of a machine. */
import type { HostDescription, HostEvent } from '../host-description.ts';
import type { FormedGroup, GroupFormation } from '../kernel/iommu/grouping-formation.ts';
import type { PciBus, PciDevice } from '../kernel/pci/pci-device.ts';
import { disableVirtualFunctions } from '../kernel/pci/sriov.ts';
import { parsePciAddress } from '../pci/address.ts';
import { usesKernelDma } from './kernel-dma.ts';
import type { ScannedMachine } from './machine.ts';

const SRIOV = 0x10;

/** Boots the groups, then lets the events happen, then the virtual functions that nobody mentioned. */
export function formWithHistory(
  machine: ScannedMachine,
  description: HostDescription,
  formation: GroupFormation,
  beforeUnit?: (unitOrder: number) => void,
): void {
  new Replay(machine, description, formation).run(description.history ?? [], beforeUnit);
}

class Replay {
  private readonly machine: ScannedMachine;
  private readonly description: HostDescription;
  private readonly formation: GroupFormation;
  private readonly absent = new Set<PciDevice>();
  /** Taken out through sysfs: a rescan brings them back. */
  private readonly removed = new Set<PciDevice>();
  /** Whose drivers were unbound; what comes back is bound again. */
  private readonly unbound = new Set<PciDevice>();

  constructor(machine: ScannedMachine, description: HostDescription, formation: GroupFormation) {
    this.machine = machine;
    this.description = description;
    this.formation = formation;
  }

  run(events: readonly HostEvent[], beforeUnit?: (unitOrder: number) => void): void {
    const { topology } = this.machine;
    for (const event of events) {
      if (event.kind === 'virtual-functions') this.setVirtualFunctions(event.device, 0);
    }
    for (const name of firstPlugged(events)) {
      for (const device of this.wholeSlot(name)) this.absent.add(device);
    }
    this.formation.boot(
      topology.devices.filter((device) => !this.absent.has(device)),
      beforeUnit,
    );
    for (const event of events) this.apply(event);
    const mentioned = new Set(
      events.flatMap((event) => (event.kind === 'virtual-functions' ? [event.device] : [])),
    );
    for (const device of [...topology.devices]) {
      if (device.isVirtualFunction || mentioned.has(device.name)) continue;
      for (const virtual of topology.addVirtualFunctions(device)) this.formation.add(virtual);
    }
  }

  private apply(event: HostEvent): void {
    switch (event.kind) {
      case 'virtual-functions': {
        const physical = this.machine.topology.find(event.device);
        if (physical === undefined || !this.acceptsCount(physical, event.count)) return;
        this.setVirtualFunctions(event.device, event.count);
        for (const virtual of this.machine.topology.addVirtualFunctions(physical))
          this.formation.add(virtual);
        return;
      }
      case 'remove':
      case 'unplug': {
        // sysfs has no `remove` for a virtual function (pci_dev_hp_attrs_are_visible of drivers/pci/pci-sysfs.c).
        if (this.machine.topology.find(event.device)?.isVirtualFunction === true) return;
        const gone =
          event.kind === 'remove' ? this.withAllBehind(event.device) : this.wholeSlot(event.device);
        for (const device of gone.reverse()) {
          if (event.kind === 'unplug') this.removed.delete(device);
          if (this.absent.has(device)) continue;
          this.formation.remove(device);
          // The physical function's driver switches its virtual ones off: no rescan finds them again.
          if (device.isVirtualFunction) this.machine.topology.remove(device);
          else {
            this.absent.add(device);
            disableVirtualFunctions(device);
          }
          if (event.kind === 'remove' && !device.isVirtualFunction) this.removed.add(device);
        }
        return;
      }
      case 'plug': {
        const gone = goneFunctions(this.description);
        const plugged = new Set(
          this.wholeSlot(event.device).filter((one) => one.name === event.device || !gone.has(one.name)),
        );
        const bus = this.machine.topology.find(event.device)?.bus;
        if (bus !== undefined) this.rescan(bus, (device) => plugged.has(device));
        return;
      }
      case 'rescan':
        for (const bus of this.busesOf(event.bus)) this.rescan(bus, (device) => this.removed.has(device));
        return;
      case 'group-type':
        this.setType(event.device, event.type, event.unbound === true);
        return;
    }
  }

  private busesOf(name: string | undefined): readonly PciBus[] {
    if (name === undefined) return this.machine.topology.roots;
    const at = parsePciAddress(`${name}:00.0`);
    const bus = at === undefined ? undefined : this.machine.topology.bus(at.segment, at.bus);
    return bus === undefined ? [] : [bus];
  }

  /**
   * pci_rescan_bus: what is new on the bus goes to the end of its list, then each bridge of the list is followed, those that
   * were there before first.
   */
  private rescan(bus: PciBus, finds: (device: PciDevice) => boolean): void {
    const list = bus.devices as PciDevice[];
    const found = list.filter((device) => this.absent.has(device) && finds(device));
    for (const device of found.sort((a, b) => a.devfn - b.devfn)) {
      list.push(...list.splice(list.indexOf(device), 1));
      this.absent.delete(device);
      this.removed.delete(device);
      this.unbound.delete(device);
      this.formation.add(device);
    }
    for (const device of [...list]) {
      if (device.subordinate !== undefined && !this.absent.has(device))
        this.rescan(device.subordinate, finds);
    }
  }

  /**
   * iommu_group_store_type: only DMA to DMA-FQ is possible while a driver does DMA of its own in the group; anything else is
   * refused and changes nothing.
   */
  private setType(of: string | number, type: string, unbound: boolean): void {
    const group =
      typeof of === 'number' ? this.formation.groups.find((one) => one.id === of) : this.groupOf(of);
    if (group === undefined) return;
    const toLazy = type === 'DMA-FQ' && this.formation.typeOf(group) === 'DMA';
    if (unbound) for (const member of group.members) this.unbound.add(member);
    const inUse = group.members.some(
      (member) => !this.unbound.has(member) && usesKernelDma(this.machine.described.get(member.name)?.driver),
    );
    if (inUse && !toLazy) return;
    if (type === 'auto') group.chosenType = undefined;
    else if (type === 'DMA' || type === 'DMA-FQ' || type === 'identity') group.chosenType = type;
  }

  private groupOf(name: string): FormedGroup | undefined {
    const device = this.machine.topology.find(name);
    return device === undefined ? undefined : this.formation.groupOf(device);
  }

  /** sriov_numvfs_store: EBUSY while some are on, ERANGE beyond what the function can make. */
  private acceptsCount(physical: PciDevice, count: number): boolean {
    if (count === 0) return true;
    const capability = physical.extendedCapability(SRIOV);
    if (capability === undefined || count > physical.read(capability + 0x0e, 2)) return false;
    return !this.machine.topology.devices.some((one) => one.physicalFunction === physical);
  }

  /** sriov_numvfs: off first, then the count and on. Hardware makes the functions. */
  private setVirtualFunctions(name: string, count: number): void {
    const physical = this.machine.topology.find(name);
    const capability = physical?.extendedCapability(SRIOV);
    if (physical === undefined || capability === undefined) return;
    const known = this.machine.topology.devices.filter((one) => one.physicalFunction === physical);
    if (count === 0) {
      for (const virtual of known) {
        this.formation.remove(virtual);
        this.machine.topology.remove(virtual);
      }
      disableVirtualFunctions(physical);
      return;
    }
    physical.write(capability + 0x10, 2, count);
    physical.write(capability + 8, 2, physical.read(capability + 8, 2) | 9);
  }

  /** Hot plug knows slots: all functions of one come and go together, with what is behind them. */
  private wholeSlot(name: string): PciDevice[] {
    const device = this.machine.topology.find(name);
    const mates = device?.bus.devices.filter((other) => other.devfn >>> 3 === device.devfn >>> 3) ?? [];
    return mates
      .filter((other) => !other.isVirtualFunction)
      .flatMap((other) => this.withAllBehind(other.name));
  }

  private withAllBehind(name: string): PciDevice[] {
    const found: PciDevice[] = [];
    const take = (device: PciDevice | undefined): void => {
      if (device === undefined) return;
      found.push(device);
      for (const below of device.subordinate?.devices ?? []) take(below);
      for (const other of this.machine.topology.devices)
        if (other.physicalFunction === device) found.push(other);
    };
    take(this.machine.topology.find(name));
    return found;
  }
}

/**
 * Functions that were pulled out for good: no event plugs them in, also where their slot was filled again. What hangs on a
 * bridge comes with the bridge.
 */
export function goneFunctions(description: HostDescription): ReadonlySet<string> {
  const events = description.history ?? [];
  const pulled = new Set(events.flatMap((one) => (one.kind === 'unplug' ? [slotName(one.device)] : [])));
  const plugged = new Set(events.flatMap((one) => (one.kind === 'plug' ? [one.device] : [])));
  const former = description.formerFunctions?.map((one) => one.address) ?? [];
  return new Set(former.filter((name) => pulled.has(slotName(name)) && !plugged.has(name)));
}

function slotName(address: string): string {
  return address.slice(0, address.lastIndexOf('.'));
}

/** Devices whose first mention is that they were plugged in: they were not there at boot. */
function firstPlugged(events: readonly HostEvent[]): string[] {
  const seen = new Set<string>();
  const plugged: string[] = [];
  for (const event of events) {
    if (event.kind === 'rescan' || event.kind === 'group-type' || seen.has(event.device)) continue;
    seen.add(event.device);
    if (event.kind === 'plug') plugged.push(event.device);
  }
  return plugged;
}
