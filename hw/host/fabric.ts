/**
 * The fabric between devices and memory: which requester id a request carries once the bridges above have seen it,
 * which remapping unit stands in its way, and what memory answers. Hardware: it knows bus numbers, bridges and the
 * wiring that the DMAR table describes, and no kernel.
 */
import { type DeviceScope, ScopeType } from '../acpi/dmar.ts';
import type { DeviceBus, TransferResult } from '../devices/model.ts';
import { refusedTransfer } from '../devices/model.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { PAGE_SIZE, type Page } from '../memory/types.ts';
import { Express } from '../pci/capabilities/express.ts';
import type { PciFunction } from '../pci/function.ts';
import type { PciHierarchy } from '../pci/hierarchy.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { Access } from '../vtd/access.ts';
import type { WiredUnit } from './wired-unit.ts';

/** 0xfee00000 to 0xfeefffff: writes there are interrupts. */
const INTERRUPT_FIRST = 0xfee00000n;
const INTERRUPT_LAST = 0xfeefffffn;

/** Device/port types that change requester ids. PCIe 7.5.3.2. */
const PCIE_TO_PCI = 7;
const PCI_TO_PCIE = 8;

/** ASPEED's AST1150 passes requester ids of what sits behind it on. */
const TRANSPARENT_BRIDGES = new Set([0x11501a03]);

/** How requests of a function reach memory. */
export interface Route {
  /** The requester id that arrives at the root complex. */
  readonly requesterId: number;
  /** The remapping unit in the way, or undefined: none. */
  readonly unit: WiredUnit | undefined;
  /** Why nothing passes now, or undefined. */
  readonly blocked: string | undefined;
}

export class Fabric {
  private readonly hierarchy: PciHierarchy;
  private readonly memory: PhysicalMemory;
  private readonly units: readonly WiredUnit[];
  private bridges: Map<number, PciFunction> | undefined;
  /**
   * A remapping unit that no DMAR table describes, where the machine has one: the frame behind a page of a requester
   * (0x1 read, 0x2 write), or -1: refused.
   */
  otherUnit: ((requesterId: number, page: Page, rights: number) => number) | undefined;
  private deliver: (destination: number, vector: number) => void = () => {};

  constructor(hierarchy: PciHierarchy, memory: PhysicalMemory, units: readonly WiredUnit[]) {
    this.hierarchy = hierarchy;
    this.memory = memory;
    this.units = units;
    hierarchy.onChange(() => {
      this.bridges = undefined;
    });
  }

  /** Where interrupts go that no unit remaps. */
  onInterrupt(deliver: (destination: number, vector: number) => void): void {
    this.deliver = deliver;
  }

  /** The bridge whose secondary bus this is, or undefined for a root bus. */
  bridgeAbove(segment: number, bus: number): PciFunction | undefined {
    const key = segment * 256 + bus;
    const known = this.bridges?.get(key);
    if (known !== undefined && known.read(HeaderOffset.secondaryBus, 1) === bus) return known;
    const bridges = new Map<number, PciFunction>();
    for (const one of this.hierarchy.functions) {
      if (!one.isBridge) continue;
      const secondary = one.read(HeaderOffset.secondaryBus, 1);
      if (secondary !== 0) bridges.set(one.segment * 256 + secondary, one);
    }
    this.bridges = bridges;
    return bridges.get(key);
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

  /** How requests of this function travel now. */
  route(from: PciFunction): Route {
    const path = this.pathUp(from);
    let requesterId = from.requesterId;
    for (const bridge of path) {
      const type = portTypeOf(bridge);
      const secondary = bridge.read(HeaderOffset.secondaryBus, 1) << 8;
      if (type === PCIE_TO_PCI) {
        if (!TRANSPARENT_BRIDGES.has(bridge.read(0, 4))) requesterId = secondary;
      } else if (type === PCI_TO_PCIE || type === undefined) requesterId = bridge.requesterId;
    }
    const blocked =
      (from.read(HeaderOffset.command, 2) & CommandBit.busMaster) === 0
        ? 'bus mastering is off in the command register of the function'
        : undefined;
    return { requesterId, unit: this.unitFor(from, path), blocked };
  }

  /** The unit whose scope holds the function or a bridge above it; else the segment's unit for all the rest. */
  unitFor(from: PciFunction, path = this.pathUp(from)): WiredUnit | undefined {
    const listed = [from.physicalFunction ?? from, ...path];
    for (const unit of this.units) {
      if (unit.structure.segment !== from.segment) continue;
      if (unit.structure.scopes.some((scope) => this.scopeNames(unit.structure.segment, scope, listed)))
        return unit;
    }
    return this.units.find((unit) => unit.structure.includeAll && unit.structure.segment === from.segment);
  }

  /** The bus as this function sees it. */
  busOf(from: PciFunction): DeviceBus {
    return {
      read: (address, lengthBytes, pasid) => this.read(from, address, lengthBytes, pasid),
      write: (address, bytes, pasid) => this.write(from, address, bytes, pasid),
    };
  }

  private scopeNames(segment: number, scope: DeviceScope, listed: readonly PciFunction[]): boolean {
    if (scope.type !== ScopeType.endpoint && scope.type !== ScopeType.bridge) return false;
    const named = this.scopeTarget(segment, scope);
    if (named === undefined) return false;
    // An endpoint scope names that function alone, a bridge scope all below the bridge as well.
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

  private read(
    from: PciFunction,
    address: bigint,
    lengthBytes: number,
    pasid: number | undefined,
  ): TransferResult {
    const route = this.route(from);
    if (route.blocked !== undefined) return refusedTransfer(route.blocked);
    const bytes = new Uint8Array(lengthBytes);
    const outcome = this.byPage(route, address, lengthBytes, pasid, Access.read, (physical, done, take) => {
      const part = this.memory.read(physical, take);
      if (part === undefined) return false;
      bytes.set(part, done);
      return true;
    });
    return { ...outcome, bytes };
  }

  private write(
    from: PciFunction,
    address: bigint,
    bytes: Uint8Array,
    pasid: number | undefined,
  ): TransferResult {
    const route = this.route(from);
    if (route.blocked !== undefined) return refusedTransfer(route.blocked);
    if (address >= INTERRUPT_FIRST && address <= INTERRUPT_LAST && pasid === undefined)
      return this.message(route, address, bytes);
    return this.byPage(route, address, bytes.length, pasid, Access.write, (physical, done, take) =>
      this.memory.write(physical, bytes.subarray(done, done + take)),
    );
  }

  /**
   * A request is translated page by page; the first page that is refused ends it. `move` gets the physical address,
   * the bytes done before, and the bytes to take; false: nothing answers there.
   */
  private byPage(
    route: Route,
    address: bigint,
    lengthBytes: number,
    pasid: number | undefined,
    access: number,
    move: (physical: number, done: number, take: number) => boolean,
  ): TransferResult {
    const outcome = (bytesDone: number, faultReason?: number, refusal?: string): TransferResult => ({
      bytesDone,
      bytes: undefined,
      faultReason,
      refusal,
    });
    const wired = route.unit;
    if (wired === undefined && pasid !== undefined) return refusedTransfer(NO_UNIT_FOR_PASID);
    for (let done = 0; done < lengthBytes; ) {
      const at = address + BigInt(done);
      const offset = Number(at & 0xfffn);
      const take = Math.min(lengthBytes - done, PAGE_SIZE - offset);
      const page = Number(at >> 12n) as Page;
      const frame =
        wired === undefined
          ? (this.otherUnit?.(route.requesterId, page, access === Access.write ? 2 : 1) ?? page)
          : wired.unit.translate(route.requesterId, page, access, pasid);
      if (frame < 0) {
        const reason = -frame;
        return reason > 0xff ? outcome(done, undefined, ABORTED_TEXT) : outcome(done, reason);
      }
      const physical = frame * PAGE_SIZE + offset;
      if (!move(physical, done, take))
        return outcome(done, undefined, `no memory answers at physical address 0x${physical.toString(16)}`);
      done += take;
    }
    return outcome(lengthBytes);
  }

  /** A write into the interrupt range is a message-signalled interrupt, never a write to memory. */
  private message(route: Route, address: bigint, bytes: Uint8Array): TransferResult {
    const data = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24);
    if (route.unit !== undefined) {
      const passed = route.unit.unit.messageInterrupt({
        requesterId: route.requesterId,
        addressHigh: 0,
        addressLow: Number(address),
        data: data >>> 0,
      });
      return passed
        ? { bytesDone: bytes.length, bytes: undefined, faultReason: undefined, refusal: undefined }
        : refusedTransfer('interrupt remapping blocked the message');
    }
    this.deliver(Number((address >> 12n) & 0xffn), data & 0xff);
    return { bytesDone: bytes.length, bytes: undefined, faultReason: undefined, refusal: undefined };
  }
}

const ABORTED_TEXT = 'the unit aborted the request without recording a fault';
const NO_UNIT_FOR_PASID =
  'the request carries a PASID and no remapping unit is there: the root complex refuses it';

/** Bits 7:4 of the PCI Express capabilities register, or undefined for a conventional function. */
function portTypeOf(bridge: PciFunction): number | undefined {
  const express = bridge.capability(Express.id);
  return express === undefined ? undefined : (bridge.read(express + 2, 2) >>> 4) & 0xf;
}
