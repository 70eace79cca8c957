/**
 * Walks second-level, first-level and nested tables for one page. VT-d 3.6 to 3.8. A walk returns 0 or a fault reason
 * and leaves its result in fields: nothing is allocated.
 *
 * A page number is seen in two parts: bits 63:32 and bits 31:12 of the address. Entries are read as two 32-bit words.
 */

import type { PhysicalMemory } from '../memory/physical-memory.ts';
import {
  Access,
  ANY_EXECUTE,
  ANY_PRIVILEGED,
  ANY_WRITE,
  GRANTS_OF_RIGHTS,
  RIGHT_READ,
  RIGHT_WRITE,
  rightsFor,
} from './access.ts';
import type { AddressSpace } from './address-space.ts';
import type { PagingCache } from './caches/paging-cache.ts';
import { Fault } from './fault-reasons.ts';
import { FirstLevelEntry, SecondLevelEntry, TranslationType } from './layouts.ts';
import type { WalkObserver } from './observer.ts';
import { PAGE_MASKS, type ReservedBits } from './reserved-bits.ts';

const SECOND = SecondLevelEntry.fields;
const RIGHTS = SECOND.read.mask | SECOND.write.mask;
const PAGE_SIZE = SECOND.pageSize.mask | 0;
const SECOND_ACCESSED = SECOND.accessed.mask | 0;
const SECOND_DIRTY = SECOND.dirty.mask | 0;

const FIRST = FirstLevelEntry.fields;
const PRESENT = FIRST.present.mask | 0;
const FIRST_WRITE = FIRST.write.mask | 0;
const FIRST_USER = FIRST.user.mask | 0;
const FIRST_ACCESSED = FIRST.accessed.mask | 0;
const FIRST_DIRTY = FIRST.dirty.mask | 0;
const EXTENDED_ACCESSED = FIRST.extendedAccessed.mask | 0;
const EXECUTE_DISABLE = FIRST.executeDisable.mask | 0;

/** Bits 51:32 of an address, in the high word of an entry. */
const ADDRESS_HIGH = 0xfffff;
const ADDRESS_LOW = 0xfffff000 | 0;

/** Index into the table of this level. Most walks end at level 1 or 2: asked first. */
function indexAt(level: number, pageHigh: number, pageLow: number): number {
  if (level === 1) return pageLow & 511;
  if (level === 2) return (pageLow >>> 9) & 511;
  if (level === 3) return (pageLow >>> 18) | ((pageHigh & 0x7f) << 2);
  return (pageHigh >>> (level === 4 ? 7 : 16)) & 511;
}

/** Pages inside the page that an entry of this level maps, as a mask of the low part of a page number. */
function offsetMask(level: number): number {
  return level === 1 ? 0 : level === 2 ? 0x1ff : 0x3ffff;
}

export class PagingWalker {
  /** Result: address of the 4 KiB frame, bits 51:32 and 31:12 (the latter shifted down, 20 bits). */
  frameHigh = 0;
  frameLow = 0;
  /** Result: size of the page that maps it: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB. */
  size = 0;
  /** Result: accesses that the tables grant (bits of Access). */
  grants = 0;

  /** Second-level rights gathered by the last second-level walk. */
  private rights = 0;
  protected readonly memory: PhysicalMemory;
  private readonly reservedSecond: Int32Array;
  private readonly reservedFirst: Int32Array;
  private readonly cache: PagingCache | undefined;
  private readonly observer: WalkObserver | undefined;

  /**
   * @param cache Paging-structure cache, or undefined: every level is read.
   * @param observer Who sees each entry; such a walk writes no accessed and dirty bits.
   */
  constructor(
    memory: PhysicalMemory,
    reserved: ReservedBits,
    cache: PagingCache | undefined,
    observer: WalkObserver | undefined,
  ) {
    this.memory = memory;
    this.reservedSecond = reserved.secondLevel;
    this.reservedFirst = reserved.firstLevel;
    this.cache = cache;
    this.observer = observer;
  }

  /**
   * Translates one page through the tables of the space.
   * @param access Bits of Access, not 0.
   * @returns 0, or a fault reason.
   */
  walk(space: AddressSpace, pageHigh: number, pageLow: number, access: number): number {
    if (space.type === TranslationType.secondLevel) {
      const reason = this.secondLevel(space, pageHigh, pageLow, rightsFor(access));
      this.grants = GRANTS_OF_RIGHTS[this.rights];
      return reason;
    }
    return this.firstLevel(space, pageHigh, pageLow, access);
  }

  /** Second-level walk. @param need Rights (RIGHT_READ, RIGHT_WRITE). Leaves frame, size and rights. */
  private secondLevel(space: AddressSpace, pageHigh: number, pageLow: number, need: number): number {
    if ((pageHigh & space.secondTooWideHigh) !== 0 || (pageLow & space.secondTooWideLow) !== 0)
      return space.scalable ? Fault.secondLevelTooWide : Fault.addressTooWide;
    // Computed constants as locals: in a bundle they would be loaded at each use.
    const pageSize = PAGE_SIZE;
    const { memory, observer } = this;
    const reserved = this.reservedSecond;
    // Entries that lead on have the same reserved bits at every level: below level 4 the size bit is clear in them.
    const reservedLow = reserved[8];
    const reservedHigh = reserved[9];
    const flags = space.secondFlags;
    const cache = space.type === TranslationType.secondLevel ? this.cache : undefined;
    let level = space.secondLevels;
    let tableHigh = space.secondRootHigh;
    let tableLow = space.secondRootLow;
    let rights = RIGHTS;
    if (cache !== undefined) {
      const last = cache.find(space.tag, pageHigh, pageLow, 1);
      const entry = last >= 0 ? last : cache.find(space.tag, pageHigh, pageLow, 2);
      // A way that refuses is walked from the top: the first entry that does gives the reason.
      if (entry >= 0 && (need & ~cache.rights(entry)) === 0) {
        level = last >= 0 ? 1 : 2;
        tableHigh = cache.tableHigh(entry);
        tableLow = cache.tableLow(entry);
        rights = cache.rights(entry);
      }
    }
    let words: Uint32Array | undefined;
    let chunk = -1;
    for (; ; level -= 1) {
      // Tables of one domain mostly lie in the same 2 MiB: found once.
      const tableChunk = (tableHigh << 11) | (tableLow >>> 21);
      if (tableChunk !== chunk || words === undefined) {
        words = memory.chunkAt(tableHigh, tableLow);
        if (words === undefined) return this.secondTableUnreadable(space, level);
        chunk = tableChunk;
      }
      const word = ((tableLow & 0x1ff000) >>> 2) + indexAt(level, pageHigh, pageLow) * 2;
      // As signed integers, which cost no conversion.
      const low = words[word] | 0;
      const high = words[word + 1] | 0;
      if (observer !== undefined) this.show(SecondLevelEntry, level, tableHigh, tableLow, words, word);
      rights &= low;
      if ((need & ~rights) !== 0) return this.secondRefusal(space, need, rights);
      const leaf = level === 1 || ((low & pageSize) !== 0 && level <= 3);
      const bad = leaf
        ? (low & reserved[PAGE_MASKS + level * 2]) | (high & reserved[PAGE_MASKS + 1 + level * 2])
        : (low & reservedLow) | (high & reservedHigh);
      if (bad !== 0) return space.scalable ? Fault.secondLevelReserved : Fault.entryReserved;
      if (flags) {
        const reason = this.updateSecond(space, tableHigh, tableLow, word, low, leaf ? need : 0);
        if (reason !== 0) return reason;
      }
      if (leaf) {
        // Until the dirty bit is set, no write may be answered from a cache.
        const clean = flags && (need & RIGHT_WRITE) === 0 && (low & SECOND_DIRTY) === 0;
        this.rights = clean ? rights & RIGHT_READ : rights;
        this.size = level - 1;
        const offset = offsetMask(level);
        this.frameHigh = high & ADDRESS_HIGH;
        this.frameLow = ((low >>> 12) & ~offset) | (pageLow & offset);
        return 0;
      }
      tableHigh = high & ADDRESS_HIGH;
      tableLow = low & ADDRESS_LOW;
      if (cache !== undefined && level <= 3)
        cache.fill(space.tag, pageHigh, pageLow, level - 1, rights, tableHigh, tableLow);
    }
  }

  /** Sets accessed and dirty bits of a second-level entry. @param need Rights asked for, in a leaf; else 0. */
  private updateSecond(
    space: AddressSpace,
    tableHigh: number,
    tableLow: number,
    word: number,
    low: number,
    need: number,
  ): number {
    const wanted = SECOND_ACCESSED | ((need & RIGHT_WRITE) !== 0 ? SECOND_DIRTY : 0);
    if ((low & wanted) === wanted) return 0;
    const failed = this.setFlags(space, tableHigh, tableLow, word, wanted);
    if (failed === 0) return 0;
    return failed > 0 ? Fault.secondLevelFlagSnoop : Fault.secondLevelFlagUpdate;
  }

  private secondTableUnreadable(space: AddressSpace, level: number): number {
    this.rights = 0;
    const isRoot = level === space.secondLevels;
    if (space.scalable) return isRoot ? Fault.secondLevelRootAccess : Fault.secondLevelAccess;
    return isRoot ? Fault.contextInvalid : Fault.tableAccess;
  }

  /** The right that is missing decides; an entry with none at all is "not present" only under a first level. */
  private secondRefusal(space: AddressSpace, need: number, rights: number): number {
    this.rights = 0;
    if (!space.scalable) return (need & ~rights & RIGHT_WRITE) !== 0 ? Fault.write : Fault.read;
    if (rights === 0 && space.type === TranslationType.nested) return Fault.secondLevelNotPresent;
    return (need & ~rights & RIGHT_WRITE) !== 0 ? Fault.scalableWrite : Fault.scalableRead;
  }

  /** First-level walk, with every table address and the result sent through the second level when nested. */
  private firstLevel(space: AddressSpace, pageHigh: number, pageLow: number, access: number): number {
    const nested = space.type === TranslationType.nested;
    // Canonical: all bits from the top bit of the table's width up are the same.
    const sign = (pageHigh | 0) >> (space.firstLevels === 5 ? 24 : 15);
    if (sign !== 0 && sign !== -1) return Fault.notCanonical;
    const { memory, observer } = this;
    const reserved = this.reservedFirst;
    let level = space.firstLevels;
    let tableHigh = space.firstRootHigh;
    let tableLow = space.firstRootLow;
    let gathered = FIRST_WRITE | FIRST_USER;
    let executeDisable = 0;
    const cache = nested ? undefined : this.cache;
    if (cache !== undefined) {
      const last = cache.find(space.tag, pageHigh, pageLow, 1);
      const entry = last >= 0 ? last : cache.find(space.tag, pageHigh, pageLow, 2);
      const rights = entry >= 0 ? cache.rights(entry) : 0;
      if (entry >= 0 && this.firstLevelRights(space, rights, rights & EXECUTE_DISABLE, access) === 0) {
        level = last >= 0 ? 1 : 2;
        tableHigh = cache.tableHigh(entry);
        tableLow = cache.tableLow(entry);
        gathered = rights & (FIRST_WRITE | FIRST_USER);
        executeDisable = rights & EXECUTE_DISABLE;
      }
    }
    for (; ; level -= 1) {
      const guestHigh = tableHigh;
      const guestLow = tableLow;
      if (nested) {
        const reason = this.tableThroughSecond(space, level, tableHigh, tableLow);
        if (reason !== 0) return reason;
        tableHigh = this.frameHigh;
        tableLow = this.frameLow << 12;
      }
      const words = memory.chunkAt(tableHigh, tableLow);
      if (words === undefined)
        return level === space.firstLevels ? Fault.firstLevelRootAccess : Fault.firstLevelAccess;
      const word = ((tableLow & 0x1ff000) >>> 2) + indexAt(level, pageHigh, pageLow) * 2;
      const low = words[word] | 0;
      const high = words[word + 1] | 0;
      if (observer !== undefined) this.show(FirstLevelEntry, level, tableHigh, tableLow, words, word);
      if ((low & PRESENT) === 0) return Fault.firstLevelNotPresent;
      gathered &= low;
      executeDisable |= high & EXECUTE_DISABLE;
      const refused = this.firstLevelRights(space, gathered, executeDisable, access);
      if (refused !== 0) return refused;
      const leaf = level === 1 || ((low & PAGE_SIZE) !== 0 && level <= 3);
      const masks = leaf ? PAGE_MASKS + level * 2 : level * 2;
      if (((low & reserved[masks]) | (high & reserved[masks + 1])) !== 0) return Fault.firstLevelReserved;
      const wanted =
        FIRST_ACCESSED |
        (leaf && (access & ANY_WRITE) !== 0 ? FIRST_DIRTY : 0) |
        (space.extendedAccessed ? EXTENDED_ACCESSED : 0);
      if ((low & wanted) !== wanted) {
        const denied = nested ? this.writeThroughSecond(space, guestHigh, guestLow) : 0;
        const reason = denied === 0 ? this.updateFirst(space, tableHigh, tableLow, word, wanted) : denied;
        if (reason !== 0) return reason;
      }
      if (leaf) {
        const dirty = (access & ANY_WRITE) !== 0 || (low & FIRST_DIRTY) !== 0;
        if (!dirty) this.grants &= ~ANY_WRITE;
        const offset = offsetMask(level);
        this.size = level - 1;
        this.frameHigh = high & ADDRESS_HIGH;
        this.frameLow = ((low >>> 12) & ~offset) | (pageLow & offset);
        return nested ? this.resultThroughSecond(space, access) : 0;
      }
      tableHigh = high & ADDRESS_HIGH;
      tableLow = low & ADDRESS_LOW;
      if (cache !== undefined && level <= 3)
        cache.fill(space.tag, pageHigh, pageLow, level - 1, gathered | executeDisable, tableHigh, tableLow);
    }
  }

  /** What the gathered bits grant, left in `grants`, and the reason when they don't grant this access. */
  private firstLevelRights(
    space: AddressSpace,
    gathered: number,
    executeDisable: number,
    access: number,
  ): number {
    const canWrite = (gathered & FIRST_WRITE) !== 0;
    const execute = executeDisable === 0 ? Access.execute : 0;
    let grants = (Access.read | (canWrite || !space.writeProtect ? Access.write : 0) | execute) << 3;
    if ((gathered & FIRST_USER) !== 0) grants |= Access.read | (canWrite ? Access.write : 0) | execute;
    this.grants = grants;
    if ((grants & access) === access) return 0;
    if ((gathered & FIRST_USER) === 0 && (access & ANY_PRIVILEGED) === 0) return Fault.userToSupervisor;
    if ((access & ~grants & ANY_WRITE) !== 0) return Fault.scalableWrite;
    return (access & ~grants & ANY_EXECUTE) !== 0 ? Fault.execute : Fault.scalableRead;
  }

  /** A table of the first level lies at a guest address: finds where it is. */
  private tableThroughSecond(space: AddressSpace, level: number, high: number, low: number): number {
    const reason = this.secondLevelKeepingGrants(space, high, low >>> 12, RIGHT_READ);
    switch (reason) {
      case Fault.secondLevelTooWide:
        return Fault.nestedAddressTooWide;
      case Fault.secondLevelNotPresent:
      case Fault.scalableRead:
        return level === space.firstLevels ? Fault.nestedRootRead : Fault.nestedTableRead;
      default:
        return reason;
    }
  }

  /** Accessed and dirty bits of a first-level entry are written through the second level, as any write. */
  private writeThroughSecond(space: AddressSpace, high: number, low: number): number {
    const reason = this.secondLevelKeepingGrants(space, high, low >>> 12, RIGHT_WRITE);
    const denied = reason === Fault.scalableWrite || reason === Fault.secondLevelNotPresent;
    return denied ? Fault.nestedFlagWrite : reason;
  }

  private secondLevelKeepingGrants(space: AddressSpace, high: number, pageLow: number, need: number): number {
    const grants = this.grants;
    const reason = this.secondLevel(space, high, pageLow, need);
    this.grants = grants;
    return reason;
  }

  /** The first level's result is a guest address: the second level says where it is and what it grants. */
  private resultThroughSecond(space: AddressSpace, access: number): number {
    const size = this.size;
    const grants = this.grants;
    const reason = this.secondLevel(space, this.frameHigh, this.frameLow, rightsFor(access));
    this.grants = grants & GRANTS_OF_RIGHTS[this.rights];
    this.size = Math.min(size, this.size);
    return reason === Fault.secondLevelTooWide ? Fault.nestedAddressTooWide : reason;
  }

  /** Sets accessed and dirty bits of a first-level entry. */
  private updateFirst(
    space: AddressSpace,
    tableHigh: number,
    tableLow: number,
    word: number,
    wanted: number,
  ): number {
    const failed = this.setFlags(space, tableHigh, tableLow, word, wanted);
    if (failed === 0) return 0;
    return failed > 0 ? Fault.firstLevelFlagSnoop : Fault.firstLevelFlagUpdate;
  }

  /** Sets bits of an entry in memory. 0 done, 1 not coherent with the CPU, -1 memory can't be written. */
  private setFlags(
    space: AddressSpace,
    tableHigh: number,
    tableLow: number,
    word: number,
    wanted: number,
  ): number {
    if (!space.flagsUpdatable) return 1;
    const address = tableHigh * 2 ** 32 + (tableLow >>> 0);
    const entry = address - (address % 0x200000) + word * 4;
    if (this.observer !== undefined) return this.memory.writable(entry, 4) ? 0 : -1;
    return this.memory.write32(entry, this.memory.read32(entry) | wanted) ? 0 : -1;
  }

  private show(
    layout: typeof SecondLevelEntry | typeof FirstLevelEntry,
    level: number,
    tableHigh: number,
    tableLow: number,
    words: Uint32Array,
    word: number,
  ): void {
    const low = (tableLow & ~0x1fffff) + word * 4;
    this.observer?.entry(`${layout.name}, level ${level}`, layout, tableHigh, low >>> 0, words, word);
  }
}
