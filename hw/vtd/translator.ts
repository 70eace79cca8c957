/**
 * One translation: finds the address space of the request, asks the IOTLB, walks the tables when it doesn't know, and
 * tests the result. The hot path of the unit: integers only, nothing allocated.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { privileged } from './access.ts';
import type { AddressSpace } from './address-space.ts';
import type { Iotlb } from './caches/iotlb.ts';
import type { PagingCache } from './caches/paging-cache.ts';
import type { StructureCaches } from './caches/structure-caches.ts';
import type { Tags } from './caches/tags.ts';
import type { UnitConfiguration } from './configuration.ts';
import { Fault } from './fault-reasons.ts';
import { TranslationType } from './layouts.ts';
import type { WalkObserver } from './observer.ts';
import { PagingWalker } from './paging-walker.ts';
import type { ProtectedMemory } from './protected-memory.ts';
import { TableMode } from './registers.ts';
import type { ReservedBits } from './reserved-bits.ts';
import { ABORTED, RequestKind, type RootTable, StructureWalker } from './structure-walker.ts';

/** Slots of the memory for "this requester and PASID last went there". */
const MEMO_SLOTS = 4096;

/** 0xfee00000 to 0xfeefffff, as bits 31:20 of an address. */
const INTERRUPT_RANGE = 0xfee;

/** True for a page of the interrupt address range. VT-d 3.14. */
export function inInterruptRange(pageHigh: number, pageLow: number): boolean {
  return pageLow >>> 8 === INTERRUPT_RANGE && pageHigh === 0;
}

/** The caches of a translator; without IOTLB or paging-structure cache every walk starts at the top. */
export interface TranslatorCaches {
  readonly structures: StructureCaches;
  readonly iotlb: Iotlb | undefined;
  readonly paging: PagingCache | undefined;
}

export class Translator {
  /** Result: bits 63:32 and 31:12 of the physical address. */
  frameHigh = 0;
  frameLow = 0;
  /** Result of a walk: size (0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB) and what is granted. */
  size = 0;
  grants = 0;
  /** Result: the address space, when one was found. */
  space: AddressSpace | undefined;
  /** Result: fault processing was disabled on the way. */
  faultDisable = false;

  /** Set by the unit: translation is enabled, and by which tables. */
  enabled = false;
  root: RootTable = { high: 0, low: 0, mode: TableMode.legacy };

  private readonly structures: StructureWalker;
  private readonly paging: PagingWalker;
  private readonly iotlb: Iotlb | undefined;
  private readonly protectedMemory: ProtectedMemory;
  private readonly hostTooWideHigh: number;
  private readonly memoMask: number;
  private readonly memoRequester: Int32Array;
  private readonly memoPasid: Int32Array;
  private readonly memoSpace: (AddressSpace | undefined)[];
  private readonly memoFaultDisable: Uint8Array;
  private memoUsed = false;

  /**
   * @param caches Undefined: nothing is cached, every request walks memory.
   * @param observer Who sees each entry; memory then stays as it is.
   */
  constructor(
    configuration: UnitConfiguration,
    reserved: ReservedBits,
    memory: PhysicalMemory,
    protectedMemory: ProtectedMemory,
    tags: Tags,
    caches: TranslatorCaches | undefined,
    observer: WalkObserver | undefined,
  ) {
    const slots = caches === undefined ? 1 : MEMO_SLOTS;
    this.memoMask = slots - 1;
    this.memoRequester = new Int32Array(slots).fill(-1);
    this.memoPasid = new Int32Array(slots);
    this.memoSpace = new Array(slots).fill(undefined);
    this.memoFaultDisable = new Uint8Array(slots);
    this.structures = new StructureWalker(
      configuration,
      memory,
      reserved,
      tags,
      caches?.structures,
      observer,
    );
    this.paging = new PagingWalker(memory, reserved, caches?.paging, observer);
    this.iotlb = caches?.iotlb;
    this.protectedMemory = protectedMemory;
    this.hostTooWideHigh = ~(2 ** Math.max(0, configuration.hostAddressWidth - 32) - 1);
  }

  /** Forgets which address spaces were found: a context or PASID entry may have changed. */
  forgetSpaces(): void {
    if (!this.memoUsed) return;
    this.memoRequester.fill(-1);
    this.memoUsed = false;
  }

  /**
   * Translates an untranslated request for one page.
   * @param pasid -1: none. @param pageHigh, pageLow Bits 63:32 (signed) and 31:12 of the address.
   * @param access Bits of Access, not 0.
   * @returns 0 with the frame in the result, a fault reason, or ABORTED.
   */
  translate(requesterId: number, pasid: number, pageHigh: number, pageLow: number, access: number): number {
    if (inInterruptRange(pageHigh, pageLow) && pasid < 0) return this.refuse(ABORTED);
    if (!this.enabled) return this.identity(pageHigh, pageLow);
    const slot = (requesterId ^ Math.imul(pasid + 1, 0x2545)) & this.memoMask;
    let space: AddressSpace;
    if (this.memoRequester[slot] === requesterId && this.memoPasid[slot] === pasid && access <= 3) {
      space = this.memoSpace[slot] as AddressSpace;
      this.faultDisable = this.memoFaultDisable[slot] !== 0;
      this.space = space;
    } else {
      const reason = this.findSpace(requesterId, pasid, access, slot);
      if (reason !== 0) return reason;
      space = this.space as AddressSpace;
      if (this.structures.ridPrivilege) access = privileged(access) || access;
    }
    if (space.type === TranslationType.passThrough) return this.passThrough(space, pageHigh, pageLow);
    const iotlb = this.iotlb;
    const entry = iotlb === undefined ? -1 : iotlb.find(space.tag, pageHigh, pageLow, access);
    if (entry >= 0) {
      this.frameHigh = (iotlb as Iotlb).frameHigh(entry);
      this.frameLow = (iotlb as Iotlb).frameLow(entry, pageLow);
    } else {
      const reason = this.walk(space, pageHigh, pageLow, access);
      if (reason !== 0) return reason;
    }
    if (inInterruptRange(this.frameHigh, this.frameLow))
      return space.scalable ? Fault.scalableInterruptRange : Fault.interruptRange;
    return 0;
  }

  private refuse(reason: number): number {
    this.faultDisable = false;
    this.space = undefined;
    return reason;
  }

  /** Finds the space through context and PASID caches, and remembers it for plain requests. */
  private findSpace(requesterId: number, pasid: number, access: number, slot: number): number {
    const structures = this.structures;
    const reason = structures.resolve(this.root, requesterId, pasid, RequestKind.untranslated, access);
    this.faultDisable = structures.faultDisable;
    this.space = structures.space;
    if (reason !== 0) return reason;
    if (this.memoMask !== 0 && access <= 3 && !structures.ridPrivilege) {
      this.memoRequester[slot] = requesterId;
      this.memoPasid[slot] = pasid;
      this.memoSpace[slot] = structures.space;
      this.memoFaultDisable[slot] = Number(structures.faultDisable);
      this.memoUsed = true;
    }
    return 0;
  }

  private walk(space: AddressSpace, pageHigh: number, pageLow: number, access: number): number {
    const paging = this.paging;
    const reason = paging.walk(space, pageHigh, pageLow, access);
    if (reason !== 0) return reason;
    this.frameHigh = paging.frameHigh;
    this.frameLow = paging.frameLow;
    this.size = paging.size;
    this.grants = paging.grants;
    if (this.iotlb !== undefined)
      this.iotlb.fill(
        space.tag,
        pageHigh,
        pageLow,
        paging.size,
        paging.grants,
        paging.frameHigh,
        paging.frameLow,
      );
    return 0;
  }

  /** Translation is off: addresses stay, protected memory is out of reach. */
  private identity(pageHigh: number, pageLow: number): number {
    this.faultDisable = false;
    this.space = undefined;
    this.frameHigh = pageHigh;
    this.frameLow = pageLow;
    return this.protectedMemory.covers(pageHigh, pageLow) ? ABORTED : 0;
  }

  private passThrough(space: AddressSpace, pageHigh: number, pageLow: number): number {
    if ((pageHigh & this.hostTooWideHigh) !== 0)
      return space.scalable ? Fault.hostAddressTooWide : Fault.addressTooWide;
    if (inInterruptRange(pageHigh, pageLow))
      return space.scalable ? Fault.scalableInterruptRange : Fault.interruptRange;
    this.frameHigh = pageHigh;
    this.frameLow = pageLow;
    this.size = 0;
    this.grants = 63;
    return this.protectedMemory.covers(pageHigh, pageLow) ? ABORTED : 0;
  }

  /**
   * What a translation request (ATS) would be granted for one page. Tables are walked, the IOTLB is left alone.
   * @param access The one right that is asked for. @returns 0, a fault reason, or ABORTED.
   */
  translationRequest(
    requesterId: number,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
  ): number {
    const structures = this.structures;
    const reason = structures.resolve(this.root, requesterId, pasid, RequestKind.translation, access);
    this.faultDisable = structures.faultDisable;
    this.space = structures.space;
    if (reason !== 0) return reason;
    const space = structures.space as AddressSpace;
    if (structures.ridPrivilege) access = privileged(access) || access;
    if (space.type === TranslationType.passThrough) return this.passThrough(space, pageHigh, pageLow);
    const failed = this.paging.walk(space, pageHigh, pageLow, access);
    if (failed !== 0) return failed;
    this.frameHigh = this.paging.frameHigh;
    this.frameLow = this.paging.frameLow;
    this.size = this.paging.size;
    this.grants = this.paging.grants;
    if (inInterruptRange(this.frameHigh, this.frameLow))
      return space.scalable ? Fault.scalableInterruptRange : Fault.interruptRange;
    return 0;
  }

  /** Tests whether a request of this kind may be made at all (page requests, translated requests). */
  admit(requesterId: number, pasid: number, kind: number): number {
    const structures = this.structures;
    const reason = structures.resolve(this.root, requesterId, pasid, kind, 0);
    this.faultDisable = structures.faultDisable;
    this.space = structures.space;
    return reason;
  }
}
