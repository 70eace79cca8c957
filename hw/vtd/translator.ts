/**
 * One translation: finds the address space of the request, asks the IOTLB, walks the tables when it doesn't know, and
 * tests the result. The hot path of the unit: integers only, nothing allocated.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { privileged } from './access.ts';
import type { AddressSpace } from './address-space.ts';
import { FRAMES_AT, GRANTS, holds, Iotlb, keyBits, NAME_WORDS, setOf, TAIL_AT } from './caches/iotlb.ts';
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

/** Slots of the memory for "the translations of this requester and PASID are under that tag". */
const MEMO_SLOTS = 4096;
const MEMO_WORDS = 8;
/** In a slot, after requester and PASID: the tag, the size of the page last found (as a shift and as key bits). */
const MEMO_TAG = 2;
const MEMO_SHIFT = 3;
const MEMO_KEY_BITS = 4;
const MEMO_FAULT_DISABLE = 5;
/** No requester. */
const NOBODY = -1;

/** 0xfee00000 to 0xfeefffff, as bits 31:20 of an address. */
const INTERRUPT_RANGE = 0xfee;

/** True for a page of the interrupt address range. VT-d 3.14. */
export function inInterruptRange(pageHigh: number, pageLow: number): boolean {
  return pageLow >>> 8 === INTERRUPT_RANGE && pageHigh === 0;
}

/** True for a page of this size below 4 GiB that shares a 4 KiB page with the interrupt range. */
function mayHoldInterruptRange(pageLow: number, size: number): boolean {
  if (size === 0) return pageLow >>> 8 === INTERRUPT_RANGE;
  return pageLow >>> (size * 9) === (INTERRUPT_RANGE << 8) >>> (size * 9);
}

/** Words that the memo takes behind the IOTLB. */
export const MEMO_TAIL_WORDS = MEMO_SLOTS * MEMO_WORDS;

/** First word of the slot for a requester and PASID. */
function memoSlot(requesterId: number, pasid: number): number {
  return TAIL_AT + ((requesterId ^ Math.imul(pasid + 1, 0x2545)) & (MEMO_SLOTS - 1)) * MEMO_WORDS;
}

/** The caches of a translator. */
export interface TranslatorCaches {
  readonly structures: StructureCaches;
  /** Made with MEMO_TAIL_WORDS. */
  readonly iotlb: Iotlb;
  readonly paging: PagingCache;
}

export class Translator extends PagingWalker {
  /** Result: fault processing was disabled on the way. */
  faultDisable = false;

  /** Set by the unit: translation is enabled, and by which tables. */
  enabled = false;
  root: RootTable = { high: 0, low: 0, mode: TableMode.legacy };

  private readonly structures: StructureWalker;
  private readonly iotlb: Iotlb;
  private readonly caching: boolean;
  private readonly protectedMemory: ProtectedMemory;
  private readonly hostTooWideHigh: number;
  /** The words of the IOTLB, with the memo behind them. */
  private readonly words: Int32Array;
  private readonly memoSpaces: (AddressSpace | undefined)[];
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
    super(memory, reserved, caches?.paging, observer);
    this.caching = caches !== undefined;
    this.iotlb = caches?.iotlb ?? new Iotlb(MEMO_TAIL_WORDS);
    this.words = this.iotlb.words;
    this.words.fill(NOBODY, TAIL_AT);
    this.memoSpaces = new Array(MEMO_SLOTS).fill(undefined);
    this.structures = new StructureWalker(
      configuration,
      memory,
      reserved,
      tags,
      caches?.structures,
      observer,
    );
    this.protectedMemory = protectedMemory;
    this.hostTooWideHigh = ~(2 ** Math.max(0, configuration.hostAddressWidth - 32) - 1);
  }

  /** Forgets which address spaces were found: a context or PASID entry may have changed. */
  forgetSpaces(): void {
    if (!this.memoUsed) return;
    this.words.fill(NOBODY, TAIL_AT);
    this.memoUsed = false;
  }

  /**
   * Translates an untranslated request for one page.
   * @param pasid -1: none. @param pageHigh, pageLow Bits 63:32 (signed) and 31:12 of the address.
   * @param access Bits of Access, not 0.
   * @returns 0 with the frame in the result, a fault reason, or ABORTED.
   */
  translate(requesterId: number, pasid: number, pageHigh: number, pageLow: number, access: number): number {
    const words = this.words;
    const slot = memoSlot(requesterId, pasid);
    if (words[slot] === requesterId && words[slot + 1] === pasid && access <= 3) {
      // The IOTLB's probe, written out for four ways: this is the path of nearly every request.
      const tag = words[slot + MEMO_TAG];
      const shift = words[slot + MEMO_SHIFT];
      const base = (pageLow >>> shift) << shift;
      const key = base | words[slot + MEMO_KEY_BITS];
      let entry = setOf(tag, pageHigh, pageLow, shift);
      if (!holds(words, entry, tag, pageHigh, key)) {
        entry += NAME_WORDS;
        if (!holds(words, entry, tag, pageHigh, key)) {
          entry += NAME_WORDS;
          if (!holds(words, entry, tag, pageHigh, key)) {
            entry += NAME_WORDS;
            if (!holds(words, entry, tag, pageHigh, key))
              return this.missed(slot, pasid, pageHigh, pageLow, access);
          }
        }
      }
      if ((words[entry + GRANTS] & access) === access) {
        const frame = FRAMES_AT + (entry >>> 1);
        this.frameHigh = words[frame];
        this.frameLow = words[frame + 1] | (pageLow ^ base);
        return 0;
      }
      return this.missed(slot, pasid, pageHigh, pageLow, access);
    }
    return this.translateFirst(slot, requesterId, pasid, pageHigh, pageLow, access);
  }

  /** The address space is known, but the IOTLB doesn't hold the page in the size that was found last. */
  private missed(slot: number, pasid: number, pageHigh: number, pageLow: number, access: number): number {
    const memo = this.words;
    this.faultDisable = memo[slot + MEMO_FAULT_DISABLE] !== 0;
    const space = this.memoSpaces[(slot - TAIL_AT) >>> 3] as AddressSpace;
    const known = (memo[slot + MEMO_KEY_BITS] >>> 20) & 3;
    const reason = this.translateIn(space, pasid, pageHigh, pageLow, access, known);
    if (reason === 0 && this.size !== known) this.rememberSize(slot);
    return reason;
  }

  /** The address space has to be found first. */
  private translateFirst(
    slot: number,
    requesterId: number,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
  ): number {
    this.faultDisable = false;
    if (pasid < 0 && inInterruptRange(pageHigh, pageLow)) return ABORTED;
    if (!this.enabled) return this.identity(pageHigh, pageLow);
    const structures = this.structures;
    const reason = structures.resolve(this.root, requesterId, pasid, RequestKind.untranslated, access);
    this.faultDisable = structures.faultDisable;
    if (reason !== 0) return reason;
    const space = structures.space as AddressSpace;
    this.iotlb.addTag(space.tag);
    // Privileged and execute requests are tested anew each time.
    const plain = access <= 3 && !structures.ridPrivilege;
    if (structures.ridPrivilege) access = privileged(access) || access;
    this.size = 0;
    const refused = this.translateIn(space, pasid, pageHigh, pageLow, access, -1);
    if (plain && this.caching) {
      const memo = this.words;
      memo[slot] = requesterId;
      memo[slot + 1] = pasid;
      memo[slot + MEMO_TAG] = space.tag;
      memo[slot + MEMO_FAULT_DISABLE] = Number(this.faultDisable);
      this.memoSpaces[(slot - TAIL_AT) >>> 3] = space;
      this.memoUsed = true;
      this.rememberSize(slot);
    }
    return refused;
  }

  private rememberSize(slot: number): void {
    this.words[slot + MEMO_SHIFT] = this.size * 9;
    this.words[slot + MEMO_KEY_BITS] = keyBits(this.size);
  }

  /** @param known A size of page that the IOTLB doesn't hold; -1: none. */
  private translateIn(
    space: AddressSpace,
    pasid: number,
    pageHigh: number,
    pageLow: number,
    access: number,
    known: number,
  ): number {
    if (pageHigh === 0 && pasid < 0 && inInterruptRange(pageHigh, pageLow)) return ABORTED;
    if (space.type === TranslationType.passThrough) return this.passThrough(space, pageHigh, pageLow);
    if (this.caching) {
      const entry = this.iotlb.find(space.tag, pageHigh, pageLow, access, known);
      if (entry >= 0) {
        this.frameHigh = this.iotlb.frameHigh(entry);
        this.frameLow = this.iotlb.frameLow(entry, pageLow);
        this.size = this.iotlb.sizeOf(entry);
        return 0;
      }
    }
    const reason = this.walk(space, pageHigh, pageLow, access);
    if (reason !== 0) return reason;
    if (inInterruptRange(this.frameHigh, this.frameLow))
      return space.scalable ? Fault.scalableInterruptRange : Fault.interruptRange;
    if (this.caching) this.keep(space, pageHigh, pageLow);
    return 0;
  }

  /**
   * Keeps a translation in the IOTLB. A request for the interrupt range, and a page that holds it as its result, are
   * tested each time instead: no hit then needs that test.
   */
  private keep(space: AddressSpace, pageHigh: number, pageLow: number): void {
    const { size, frameHigh, frameLow } = this;
    if (pageHigh === 0 && mayHoldInterruptRange(pageLow, size)) return;
    if (frameHigh === 0 && mayHoldInterruptRange(frameLow, size)) return;
    this.iotlb.fill(space.tag, pageHigh, pageLow, size, this.grants, frameHigh, frameLow);
  }

  /** Translation is off: addresses stay, protected memory is out of reach. */
  private identity(pageHigh: number, pageLow: number): number {
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
    if (reason !== 0) return reason;
    const space = structures.space as AddressSpace;
    if (structures.ridPrivilege) access = privileged(access) || access;
    if (space.type === TranslationType.passThrough) return this.passThrough(space, pageHigh, pageLow);
    const failed = this.walk(space, pageHigh, pageLow, access);
    if (failed !== 0) return failed;
    if (inInterruptRange(this.frameHigh, this.frameLow))
      return space.scalable ? Fault.scalableInterruptRange : Fault.interruptRange;
    return 0;
  }

  /** Tests whether a request of this kind may be made at all (page requests, translated requests). */
  admit(requesterId: number, pasid: number, kind: number): number {
    const structures = this.structures;
    const reason = structures.resolve(this.root, requesterId, pasid, kind, 0);
    this.faultDisable = structures.faultDisable;
    return reason;
  }
}
