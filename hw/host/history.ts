/**
 * What happened on a captured machine between its boot and the capture, done again on the booted kernel: it decides on
 * the numbers and types of groups. What was plugged in later is taken out before the boot, and comes back in its turn.
 */
import type { HostDescription, HostEvent } from '../host-description.ts';
import { goneFunctions } from '../isolation/history.ts';
import { usesKernelDma } from '../isolation/kernel-dma.ts';
import { KernelError } from '../kernel/errno.ts';
import type { Group } from '../kernel/iommu/group.ts';
import type { LinuxKernel } from '../kernel/kernel.ts';
import { formatPciAddress, type PciAddress, parsePciAddress } from '../pci/address.ts';
import { Sriov } from '../pci/capabilities/sriov.ts';
import type { ConfigurationSpace } from '../pci/configuration-space.ts';
import type { PciFunction } from '../pci/function.ts';
import type { Hardware } from './hardware.ts';
import { switchVirtualFunctions } from './virtual-functions.ts';

interface Unplugged {
  readonly at: PciAddress;
  readonly config: ConfigurationSpace;
}

/** VF enable and VF memory space enable. */
const SRIOV_ENABLE = 0x09;

export class History {
  private readonly hardware: Hardware;
  private readonly events: readonly HostEvent[];
  private readonly gone: ReadonlySet<string>;
  private readonly drivers: ReadonlyMap<string, string | null | undefined>;
  /** Functions that are out now, by the device whose plugging brings them. */
  private readonly out = new Map<string, Unplugged[]>();

  constructor(hardware: Hardware, description: HostDescription) {
    this.hardware = hardware;
    this.events = description.history ?? [];
    this.gone = goneFunctions(description);
    this.drivers = new Map(description.functions.map((one) => [one.address, one.driver]));
  }

  /** Before the boot: virtual functions that an event switches are off, what is plugged in later is out. */
  prepare(): void {
    const seen = new Set<string>();
    for (const event of this.events) {
      if (event.kind === 'rescan' || event.kind === 'group-type') continue;
      const first = !seen.has(event.device);
      seen.add(event.device);
      if (event.kind === 'virtual-functions') this.switchOff(event.device);
      else if (event.kind === 'plug' && first) this.takeOut(event.device);
    }
  }

  /** After the boot, before drivers bind. What the kernel refuses is left in its log. */
  replay(kernel: LinuxKernel): void {
    for (const event of this.events) {
      try {
        this.apply(kernel, event);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        kernel.log.write(`history: ${event.kind}: ${error.message}`);
      }
    }
  }

  private apply(kernel: LinuxKernel, event: HostEvent): void {
    switch (event.kind) {
      case 'virtual-functions': {
        const pci = kernel.topology.find(event.device);
        if (pci === undefined) return;
        // sriov_numvfs_store refuses another count while some are on.
        const some = kernel.topology.devices.some((one) => one.physicalFunction === pci);
        if (event.count === 0 || !some) switchVirtualFunctions(kernel, pci, event.count);
        return;
      }
      case 'remove':
        // sysfs has no `remove` for a virtual function.
        if (kernel.topology.find(event.device)?.isVirtualFunction !== true) kernel.removePci(event.device);
        return;
      case 'unplug':
        for (const name of slotOf(kernel, event.device)) kernel.removePci(name);
        this.takeOut(event.device);
        return;
      case 'plug':
        this.putBack(event.device);
        rescanBusOf(kernel, event.device);
        return;
      case 'rescan':
        if (event.bus === undefined) kernel.rescanPci();
        else rescanBusOf(kernel, `${event.bus}:00.0`);
        return;
      case 'group-type': {
        const group = groupNamed(kernel, event.device);
        if (group === undefined) return;
        // Drivers bind after this history; those of the capture held their groups then (iommu_group_store_type).
        const toLazy = event.type === 'DMA-FQ' && group.defaultDomain?.type === 'DMA';
        const held = group.devices.some((device) => usesKernelDma(this.drivers.get(device.name)));
        if (!held || toLazy || event.unbound === true) kernel.iommu.setDefaultType(group, event.type);
      }
    }
  }

  private switchOff(name: string): void {
    const of = this.find(name);
    const capability = of?.extendedCapability(Sriov.id);
    if (of === undefined || capability === undefined) return;
    of.write(capability + 8, 2, of.read(capability + 8, 2) & ~SRIOV_ENABLE);
  }

  /** A function with its sibling functions and all that hangs below them leaves its slot. */
  private takeOut(name: string): void {
    const first = this.find(name);
    if (first === undefined) return;
    const inSlot = (one: PciFunction): boolean =>
      one.segment === first.segment && one.bus === first.bus && one.devfn >>> 3 === first.devfn >>> 3;
    const leaving = [...this.hardware.pci.functions].filter(
      (one) =>
        one === first ||
        (first.devfn % 8 === 0 && inSlot(one)) ||
        this.hardware.fabric.wiring.pathUp(one).includes(first),
    );
    const unplugged: Unplugged[] = [];
    for (const one of leaving) {
      const at = {
        segment: one.segment,
        bus: one.bus,
        device: one.devfn >>> 3,
        function: one.devfn & 7,
      };
      unplugged.push({ at, config: one.config });
      this.hardware.pci.remove(at);
    }
    this.out.set(name, unplugged);
  }

  private putBack(name: string): void {
    for (const { at, config } of this.out.get(name) ?? []) {
      if (!this.gone.has(formatPciAddress(at))) this.hardware.addFunction(at, config);
    }
    this.out.delete(name);
  }

  private find(name: string): PciFunction | undefined {
    const at = parsePciAddress(name);
    return at === undefined ? undefined : this.hardware.pci.find(at);
  }
}

/** Hot plug knows slots: all functions of one leave together. */
function slotOf(kernel: LinuxKernel, name: string): string[] {
  const first = kernel.topology.find(name);
  const mates = first?.bus.devices.filter((one) => one.devfn >>> 3 === first.devfn >>> 3) ?? [];
  return mates.filter((one) => !one.isVirtualFunction).map((one) => one.name);
}

function rescanBusOf(kernel: LinuxKernel, name: string): void {
  const at = parsePciAddress(name);
  const bus = at === undefined ? undefined : kernel.topology.bus(at.segment, at.bus);
  if (bus !== undefined) kernel.rescanPci([bus]);
}

function groupNamed(kernel: LinuxKernel, name: string | number): Group | undefined {
  if (typeof name === 'number') return kernel.iommu.groups.find((group) => group.id === name);
  const device = kernel.pciDevice(name);
  return device === undefined ? undefined : kernel.iommu.groupOf(device);
}
