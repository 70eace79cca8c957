/**
 * The wires between functions: which bridges lie above one, which remapping unit stands at the top, which requester id
 * arrives there, and which requests never get that far because they turn round below. Hardware: it reads configuration
 * registers as bridges obey them, and the device scopes that say what is soldered where.
 */
import { type DeviceScope, ScopeType } from '../acpi/dmar.ts';
import { Acs, AcsBit } from '../pci/capabilities/acs.ts';
import { Express } from '../pci/capabilities/express.ts';
import type { PciFunction } from '../pci/function.ts';
import type { PciHierarchy } from '../pci/hierarchy.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { regionAddress } from './models.ts';
import type { WiredUnit } from './wired-unit.ts';

/** Device/port types. PCIe 7.5.3.2. */
const DOWNSTREAM = 6;
const PCIE_TO_PCI = 7;
const PCI_TO_PCIE = 8;

/** ASPEED's AST1150 passes requester ids of what sits behind it on. */
const TRANSPARENT_BRIDGES = new Set([0x11501a03]);

/** A function whose registers a request reached, and where it turned round. */
export interface Peer {
  readonly function: PciFunction;
  /** The port that let it across, or undefined: both sit on one conventional bus. */
  readonly across: PciFunction | undefined;
}

export class Wiring {
  private readonly hierarchy: PciHierarchy;
  private readonly units: readonly WiredUnit[];
  private bridges: Map<number, PciFunction> | undefined;
  private readonly unitsOf = new Map<PciFunction, WiredUnit | undefined>();

  constructor(hierarchy: PciHierarchy, units: readonly WiredUnit[]) {
    this.hierarchy = hierarchy;
    this.units = units;
    hierarchy.onChange(() => this.forget());
  }

  /** Functions came or went, or bus numbers changed: everything is looked up anew. */
  forget(): void {
    this.bridges = undefined;
    this.unitsOf.clear();
  }

  /** Bridges above a function, the nearest first. Virtual functions hang where their physical function does. */
  pathUp(from: PciFunction): PciFunction[] {
    const path: PciFunction[] = [];
    let at = from.physicalFunction ?? from;
    for (;;) {
      const above = this.bridgeAbove(at.segment, at.bus);
      if (above === undefined || path.includes(above)) return path;
      path.push(above);
      at = above;
    }
  }

  /** The requester id that arrives at the root complex. */
  requesterId(from: PciFunction, path = this.pathUp(from)): number {
    let requesterId = from.requesterId;
    for (const bridge of path) {
      const type = portTypeOf(bridge);
      if (type === PCIE_TO_PCI) {
        if (!TRANSPARENT_BRIDGES.has(bridge.read(0, 4)))
          requesterId = bridge.read(HeaderOffset.secondaryBus, 1) << 8;
      } else if (type === PCI_TO_PCIE || type === undefined) requesterId = bridge.requesterId;
    }
    return requesterId;
  }

  /** The unit whose scope holds the function or a bridge above it; else the segment's unit for all the rest. */
  unitFor(from: PciFunction): WiredUnit | undefined {
    if (this.unitsOf.has(from)) return this.unitsOf.get(from);
    const unit = this.findUnit(from);
    this.unitsOf.set(from, unit);
    return unit;
  }

  /**
   * The function that takes a request before it reaches the root complex: on a shared conventional bus, or behind a
   * sibling of a switch port that does not redirect peer requests upwards (ACS). Addresses as on the bus, untranslated.
   */
  peerAt(from: PciFunction, address: bigint): Peer | undefined {
    let below: PciFunction = from.physicalFunction ?? from;
    for (const bridge of this.pathUp(from)) {
      const type = portTypeOf(bridge);
      if (type === PCIE_TO_PCI || type === undefined) {
        const found = this.targetOn(below.segment, below.bus, address, below);
        if (found !== undefined) return { function: found, across: undefined };
      } else if (type === DOWNSTREAM && !redirectsRequests(bridge)) {
        const found = this.targetOn(bridge.segment, bridge.bus, address, bridge);
        if (found !== undefined) return { function: found, across: bridge };
      }
      below = bridge;
    }
    return undefined;
  }

  /** The function that decodes an address on a bus or behind a bridge of it, leaving one of them out. */
  private targetOn(
    segment: number,
    bus: number,
    address: bigint,
    without: PciFunction,
  ): PciFunction | undefined {
    let found: PciFunction | undefined;
    let base = -1n;
    for (const one of this.hierarchy.functions) {
      if (one.segment !== segment || one.bus !== bus || one === without) continue;
      if ((one.read(HeaderOffset.command, 2) & CommandBit.memorySpace) === 0) continue;
      if (one.isBridge) {
        if (!forwards(one, address)) continue;
        const behind = this.targetOn(segment, one.read(HeaderOffset.secondaryBus, 1), address, without);
        if (behind !== undefined) return behind;
        continue;
      }
      for (let bar = 0; bar < 6; bar += 1) {
        const at = regionAddress(one, bar);
        if (at === undefined || at > address || address - at >= LARGEST_REGION || at <= base) continue;
        found = one;
        base = at;
      }
    }
    return found;
  }

  private bridgeAbove(segment: number, bus: number): PciFunction | undefined {
    if (this.bridges === undefined) {
      this.bridges = new Map();
      for (const one of this.hierarchy.functions) {
        if (!one.isBridge) continue;
        const secondary = one.read(HeaderOffset.secondaryBus, 1);
        if (secondary !== 0) this.bridges.set(one.segment * 256 + secondary, one);
      }
    }
    return this.bridges.get(segment * 256 + bus);
  }

  private findUnit(from: PciFunction): WiredUnit | undefined {
    const listed = [from.physicalFunction ?? from, ...this.pathUp(from)];
    const own = this.units.filter((unit) => unit.structure.segment === from.segment);
    return (
      own.find((unit) => unit.structure.scopes.some((scope) => this.names(from.segment, scope, listed))) ??
      own.find((unit) => unit.structure.includeAll)
    );
  }

  /** An endpoint scope names that function alone, a bridge scope all below the bridge as well. */
  private names(segment: number, scope: DeviceScope, listed: readonly PciFunction[]): boolean {
    if (scope.type !== ScopeType.endpoint && scope.type !== ScopeType.bridge) return false;
    const named = this.scopeTarget(segment, scope);
    if (named === undefined) return false;
    return scope.type === ScopeType.endpoint ? listed[0] === named : listed.includes(named);
  }

  private scopeTarget(segment: number, scope: DeviceScope): PciFunction | undefined {
    let bus = scope.startBus;
    let found: PciFunction | undefined;
    for (const [index, hop] of scope.path.entries()) {
      found = this.hierarchy.find({ segment, bus, device: hop.device, function: hop.function });
      if (found === undefined) return undefined;
      if (index < scope.path.length - 1) bus = found.read(HeaderOffset.secondaryBus, 1);
    }
    return found;
  }
}

/** Sizes of regions are not modelled: a region ends at the next one, or here at the latest. */
const LARGEST_REGION = 0x1000000n;

/** Bits 7:4 of the PCI Express capabilities register, or undefined for a conventional function. */
function portTypeOf(bridge: PciFunction): number | undefined {
  const express = bridge.capability(Express.id);
  return express === undefined ? undefined : (bridge.read(express + 2, 2) >>> 4) & 0xf;
}

/** ACS P2P Request Redirect is on. PCIe 6.12.1. */
function redirectsRequests(port: PciFunction): boolean {
  const acs = port.extendedCapability(Acs.id);
  return acs !== undefined && (port.read(acs + 6, 2) & AcsBit.requestRedirect) !== 0;
}

/** An address lies in a memory window of a bridge. PCI-to-PCI bridge 1.2, 3.2.5.8 to 3.2.5.10. */
function forwards(bridge: PciFunction, address: bigint): boolean {
  const low = (offset: number): bigint => BigInt(bridge.read(offset, 2) & 0xfff0) << 16n;
  const high = (offset: number): bigint => BigInt(bridge.read(offset, 4)) << 32n;
  const inside = (base: bigint, limit: bigint): boolean =>
    base <= limit && address >= base && address <= limit;
  return (
    inside(low(0x20), low(0x22) | 0xfffffn) ||
    inside(high(0x28) | low(0x24), high(0x2c) | low(0x26) | 0xfffffn)
  );
}
