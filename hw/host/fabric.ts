/**
 * The fabric between devices and memory: which requester id a request carries once the bridges above have seen it,
 * which remapping unit stands in its way, and what memory answers. Hardware: it knows bus numbers, bridges and the
 * wiring that the DMAR table describes, and no kernel.
 */
import { DeviceTlb } from '../devices/device-tlb.ts';
import type { DeviceBus, TransferResult } from '../devices/model.ts';
import { refusedTransfer } from '../devices/model.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { PAGE_SIZE, type Page } from '../memory/types.ts';
import { Ats } from '../pci/capabilities/ats.ts';
import type { PciFunction } from '../pci/function.ts';
import type { PciHierarchy } from '../pci/hierarchy.ts';
import { CommandBit, HeaderOffset } from '../pci/layouts.ts';
import { Access } from '../vtd/access.ts';
import type { DeviceTlbAnswer, DeviceTlbInvalidation } from '../vtd/invalidation.ts';
import { addressOf } from './addresses.ts';
import type { WiredUnit } from './wired-unit.ts';
import { type Peer, Wiring } from './wiring.ts';

/** 0xfee00000 to 0xfeefffff: writes there are interrupts. */
const INTERRUPT_FIRST = 0xfee00000n;
const INTERRUPT_LAST = 0xfeefffffn;

/** How requests of a function reach memory. */
export interface Route {
  /** The requester id that arrives at the root complex. */
  readonly requesterId: number;
  /** The remapping unit in the way, or undefined: none. */
  readonly unit: WiredUnit | undefined;
  /** Why nothing passes now, or undefined. */
  readonly blocked: string | undefined;
  /** The function asks for translations itself and keeps the answers (ATS is on). */
  readonly ats: boolean;
}

export class Fabric {
  private readonly hierarchy: PciHierarchy;
  private readonly memory: PhysicalMemory;
  readonly wiring: Wiring;
  private readonly deviceTlbs = new Map<PciFunction, DeviceTlb>();
  /**
   * A remapping unit that no DMAR table describes, where the machine has one: the frame behind a page of a requester
   * (0x1 read, 0x2 write), or -1: refused.
   */
  otherUnit: ((requesterId: number, page: Page, rights: number) => number) | undefined;
  private deliver: (destination: number, vector: number) => void = () => {};

  constructor(hierarchy: PciHierarchy, memory: PhysicalMemory, units: readonly WiredUnit[]) {
    this.hierarchy = hierarchy;
    this.memory = memory;
    this.wiring = new Wiring(hierarchy, units);
  }

  /** Where interrupts go that no unit remaps. */
  onInterrupt(deliver: (destination: number, vector: number) => void): void {
    this.deliver = deliver;
  }

  /** How requests of this function travel now. */
  route(from: PciFunction): Route {
    const requesterId = this.wiring.requesterId(from);
    const blocked =
      (from.read(HeaderOffset.command, 2) & CommandBit.busMaster) === 0
        ? 'bus mastering is off in the command register of the function'
        : undefined;
    // What a bridge sends on in its own name can't ask for translations.
    const ats = requesterId === from.requesterId && atsEnabled(from);
    if (!ats) this.deviceTlbs.get(from)?.clear();
    return { requesterId, unit: this.wiring.unitFor(from), blocked, ats };
  }

  /** What a function holds of translations now. */
  deviceTlbOf(of: PciFunction): DeviceTlb {
    let tlb = this.deviceTlbs.get(of);
    if (tlb === undefined) {
      tlb = new DeviceTlb();
      this.deviceTlbs.set(of, tlb);
    }
    return tlb;
  }

  /** A unit tells a function to drop translations. */
  invalidateDeviceTlb(segment: number, invalidation: DeviceTlbInvalidation): DeviceTlbAnswer {
    const of = this.hierarchy.byRequesterId(segment, invalidation.requesterId);
    const held = of === undefined ? undefined : this.deviceTlbs.get(of);
    const pages = 2 ** invalidation.mask;
    const page = (invalidation.pageHigh >>> 0) * 0x100000 + invalidation.pageLow;
    // Low bits of the page number tell the size, not the place.
    const first = Math.floor(page / pages) * pages;
    held?.drop({
      pasid: invalidation.pasid,
      allPasids: invalidation.allPasids,
      firstPage: first,
      lastPage: first + pages - 1,
    });
    return 'done';
  }

  /** The bus as this function sees it. */
  busOf(from: PciFunction): DeviceBus {
    return {
      read: (address, lengthBytes, pasid) => this.read(from, address, lengthBytes, pasid),
      write: (address, bytes, pasid) => this.write(from, address, bytes, pasid),
    };
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
    const peer = pasid === undefined ? this.wiring.peerAt(from, address) : undefined;
    if (peer !== undefined) return { ...reached(peer, lengthBytes), bytes };
    const outcome = this.byPage(
      from,
      route,
      address,
      lengthBytes,
      pasid,
      Access.read,
      (physical, done, take) => {
        const part = this.memory.read(physical, take);
        if (part === undefined) return false;
        bytes.set(part, done);
        return true;
      },
    );
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
    const peer = pasid === undefined ? this.wiring.peerAt(from, address) : undefined;
    if (peer !== undefined) return reached(peer, bytes.length);
    return this.byPage(from, route, address, bytes.length, pasid, Access.write, (physical, done, take) =>
      this.memory.write(physical, bytes.subarray(done, done + take)),
    );
  }

  /**
   * A request is translated page by page; the first page that is refused ends it. `move` gets the physical address,
   * the bytes done before, and the bytes to take; false: nothing answers there.
   */
  private byPage(
    from: PciFunction,
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
      fromDeviceTlb,
    });
    let fromDeviceTlb = false;
    const wired = route.unit;
    if (wired === undefined && pasid !== undefined) return refusedTransfer(NO_UNIT_FOR_PASID);
    for (let done = 0; done < lengthBytes; ) {
      const at = address + BigInt(done);
      const offset = Number(at & 0xfffn);
      const take = Math.min(lengthBytes - done, PAGE_SIZE - offset);
      const page = Number(at >> 12n) as Page;
      let frame: number;
      if (wired === undefined)
        frame = this.otherUnit?.(route.requesterId, page, access === Access.write ? 2 : 1) ?? page;
      else {
        const held = route.ats
          ? this.byDeviceTlb(from, wired, route.requesterId, page, access, pasid)
          : undefined;
        fromDeviceTlb ||= held?.before === true;
        frame = held?.frame ?? wired.unit.translate(route.requesterId, page, access, pasid);
      }
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

  /**
   * The frame behind a page by ATS: from the device's own cache, else by a translation request whose answer it keeps.
   * Undefined: no rights were granted; the device then sends its request untranslated. Negative as from `translate`.
   */
  private byDeviceTlb(
    from: PciFunction,
    wired: WiredUnit,
    requesterId: number,
    page: number,
    access: number,
    pasid = -1,
  ): { readonly frame: number; readonly before: boolean } | undefined {
    const tlb = this.deviceTlbOf(from);
    const kind = access === Access.write ? 'write' : 'read';
    let frame = tlb.frameOf(pasid, page, kind);
    const before = frame !== undefined;
    if (frame === undefined) {
      const answer = wired.unit.translationRequest({
        requesterId,
        pasid,
        address: BigInt(page) << 12n,
        noWrite: kind === 'read',
        privileged: false,
        execute: false,
      });
      if (!answer[kind]) return undefined;
      const pages = answer.sizeBytes / PAGE_SIZE;
      const firstPage = page - (page % pages);
      const first = Number(answer.physical >> 12n);
      tlb.hold({ pasid, firstPage, pages, frame: first, read: answer.read, write: answer.write });
      frame = first + (page - firstPage);
    }
    const frameHigh = Math.floor(frame / 0x100000);
    const reason = wired.unit.admitTranslated(requesterId, pasid, frameHigh, frame % 0x100000, access);
    return { frame: reason === 0 ? frame : -reason, before };
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

/** A request that turned round below the root complex: the registers of a peer took it. */
function reached(peer: Peer, bytesDone: number): TransferResult {
  const { across } = peer;
  const how =
    across === undefined
      ? 'both sit on one conventional bus'
      : `${addressOf(across)} does not redirect peer requests (no ACS)`;
  return {
    bytesDone,
    bytes: undefined,
    faultReason: undefined,
    refusal: undefined,
    peer: { device: addressOf(peer.function), how },
  };
}

const ABORTED_TEXT = 'the unit aborted the request without recording a fault';
const NO_UNIT_FOR_PASID =
  'the request carries a PASID and no remapping unit is there: the root complex refuses it';

/** ATS control, bit 15. */
function atsEnabled(of: PciFunction): boolean {
  const offset = of.extendedCapability(Ats.id);
  return offset !== undefined && (of.read(offset + 6, 2) & 0x8000) !== 0;
}
