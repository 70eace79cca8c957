/**
 * All PCI functions of the emulated host: which sits where, how configuration cycles reach them, and how virtual
 * functions come and go. Implements the configuration space side of the port between the halves.
 */
import type { ConfigSpacePort } from '../port.ts';
import { formatPciAddress, type PciAddress } from './address.ts';
import { Sriov } from './capabilities/sriov.ts';
import { ConfigurationSpace } from './configuration-space.ts';
import { type FunctionListener, PciFunction } from './function.ts';
import { HeaderOffset } from './layouts.ts';
import { virtualFunctionConfiguration } from './virtual-function.ts';

/** Segment, bus and devfn as one number: segment * 2^16 + bus * 2^8 + devfn. */
function keyOf(segment: number, bus: number, devfn: number): number {
  return segment * 0x10000 + bus * 0x100 + devfn;
}

export class PciHierarchy implements ConfigSpacePort, FunctionListener {
  private readonly byKey = new Map<number, PciFunction>();
  private readonly behind = new Map<PciFunction, PciFunction[]>();
  private readonly secondary = new Map<PciFunction, number>();
  private readonly virtualFunctions = new Map<PciFunction, PciFunction[]>();
  /** Configuration bytes that a capture holds for virtual functions, used when they are enabled again. */
  private readonly templates = new Map<number, ConfigurationSpace>();
  private readonly listeners = new Set<(change: HierarchyChange) => void>();

  /** Every function there is now, virtual ones included, in no particular order. */
  get functions(): Iterable<PciFunction> {
    return this.byKey.values();
  }

  /**
   * Adds a function.
   * @throws RangeError when the address is taken.
   */
  add(at: PciAddress, config: ConfigurationSpace, physicalFunction?: PciFunction): PciFunction {
    const devfn = (at.device << 3) | at.function;
    const key = keyOf(at.segment, at.bus, devfn);
    if (this.byKey.has(key)) throw new RangeError(`${formatPciAddress(at)} is there twice`);
    const added = new PciFunction(
      { segment: at.segment, bus: at.bus, devfn },
      config,
      this,
      physicalFunction,
    );
    this.byKey.set(key, added);
    if (physicalFunction !== undefined) {
      const siblings = this.virtualFunctions.get(physicalFunction) ?? [];
      siblings.push(added);
      this.virtualFunctions.set(physicalFunction, siblings);
      this.templates.set(key, config);
    }
    return added;
  }

  /** Takes a function away (unplugged); functions behind a bridge stay until they are removed themselves. */
  remove(at: PciAddress): void {
    const found = this.find(at);
    if (found === undefined) return;
    this.dropVirtualFunctions(found);
    this.byKey.delete(keyOf(at.segment, at.bus, found.devfn));
  }

  find(at: PciAddress): PciFunction | undefined {
    return this.byKey.get(keyOf(at.segment, at.bus, (at.device << 3) | at.function));
  }

  /** The function whose requester id this is in this segment. */
  byRequesterId(segment: number, requesterId: number): PciFunction | undefined {
    return this.byKey.get(segment * 0x10000 + requesterId);
  }

  /** Tells of functions that appear and vanish; until the returned function is called. */
  onChange(listener: (change: HierarchyChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  read(at: PciAddress, offset: number, size: 1 | 2 | 4): number {
    const found = this.find(at);
    if (found === undefined) return size === 4 ? 0xffffffff : (1 << (size * 8)) - 1;
    return found.read(offset, size);
  }

  write(at: PciAddress, offset: number, size: 1 | 2 | 4, value: number): void {
    const found = this.find(at);
    if (found === undefined) return;
    if (found.isBridge && !this.secondary.has(found)) this.rememberBus(found);
    found.write(offset, size, value);
  }

  /** Functions follow their bridge: what sits on its secondary bus answers under the new bus number. */
  busNumbersChanged(bridge: PciFunction): void {
    const before = this.secondary.get(bridge) ?? 0;
    const now = bridge.read(HeaderOffset.secondaryBus, 1);
    if (before === now) return;
    this.secondary.set(bridge, now);
    for (const below of this.behind.get(bridge) ?? []) {
      if (before !== 0) this.unmap(below, before);
      below.bus = now;
      // Behind secondary bus 0 no cycle arrives: the functions are there, but out of reach.
      if (now !== 0) this.byKey.set(keyOf(below.segment, now, below.devfn), below);
    }
  }

  /** Notes what sits behind a bridge before its bus numbers first change. */
  private rememberBus(bridge: PciFunction): void {
    const bus = bridge.read(HeaderOffset.secondaryBus, 1);
    this.secondary.set(bridge, bus);
    const below: PciFunction[] = [];
    if (bus !== 0) {
      for (let devfn = 0; devfn < 256; devfn += 1) {
        const found = this.byKey.get(keyOf(bridge.segment, bus, devfn));
        if (found !== undefined && found !== bridge) below.push(found);
      }
    }
    this.behind.set(bridge, below);
    for (const one of below) if (one.isBridge && !this.secondary.has(one)) this.rememberBus(one);
  }

  private unmap(moved: PciFunction, bus: number): void {
    const key = keyOf(moved.segment, bus, moved.devfn);
    if (this.byKey.get(key) === moved) this.byKey.delete(key);
  }

  virtualFunctionsChanged(physical: PciFunction): void {
    const capability = physical.extendedCapability(Sriov.id);
    if (capability === undefined) return;
    this.dropVirtualFunctions(physical);
    if ((physical.read(capability + 8, 2) & 1) === 0) return;
    const total = physical.read(capability + 0x0e, 2);
    const count = Math.min(physical.read(capability + 0x10, 2), total);
    const offset = physical.read(capability + 0x14, 2);
    const stride = physical.read(capability + 0x16, 2);
    for (let index = 0; index < count; index += 1) {
      const requesterId = physical.requesterId + offset + stride * index;
      if (requesterId > 0xffff) return;
      const key = physical.segment * 0x10000 + requesterId;
      if (this.byKey.has(key)) continue;
      const config =
        this.templates.get(key) ??
        new ConfigurationSpace(virtualFunctionConfiguration(physical), physical.config.size);
      const at = addressOf(physical.segment, requesterId);
      this.add(at, config, physical);
      for (const listener of this.listeners) listener({ kind: 'added', at });
    }
  }

  private dropVirtualFunctions(physical: PciFunction): void {
    for (const one of this.virtualFunctions.get(physical) ?? []) {
      this.unmap(one, one.bus);
      for (const listener of this.listeners) {
        listener({ kind: 'removed', at: addressOf(one.segment, one.requesterId) });
      }
    }
    this.virtualFunctions.delete(physical);
  }
}

/** A function appeared or vanished by what software wrote. */
export interface HierarchyChange {
  readonly kind: 'added' | 'removed';
  readonly at: PciAddress;
}

function addressOf(segment: number, requesterId: number): PciAddress {
  return {
    segment,
    bus: requesterId >>> 8,
    device: (requesterId >>> 3) & 0x1f,
    function: requesterId & 7,
  };
}
