/**
 * Finds where a request goes: root table, context table, and in scalable mode PASID directory and PASID table. VT-d
 * 3.4, 9.1 to 9.6. Each entry is tested present before reserved bits, reserved bits before meaning.
 */

import type { Layout } from '../layout.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { ANY_EXECUTE, ANY_PRIVILEGED } from './access.ts';
import { AddressSpace } from './address-space.ts';
import type { ScalableContext, StructureCaches } from './caches/structure-caches.ts';
import { TagKind, type Tags } from './caches/tags.ts';
import type { UnitConfiguration } from './configuration.ts';
import { capabilitiesOf } from './configuration.ts';
import { Fault } from './fault-reasons.ts';
import {
  LegacyContextEntry,
  LegacyRootEntry,
  PasidDirectoryEntry,
  PasidTableEntry,
  ScalableContextEntry,
  ScalableRootEntry,
  TranslationType,
} from './layouts.ts';
import type { WalkObserver } from './observer.ts';
import { type Capabilities, TableMode } from './registers.ts';
import type { ReservedBits } from './reserved-bits.ts';

/** What a request is to the unit. The first three are the values of the address-type field. */
export const RequestKind = { untranslated: 0, translation: 1, translated: 2, page: 3 } as const;

/** In place of a fault reason: the request is aborted and nothing is recorded (abort-DMA mode, protected memory). */
export const ABORTED = 0x100;

/** Translation types of a legacy context entry. */
const LegacyType = { untranslated: 0, all: 1, passThrough: 2 } as const;

/** By TranslationType. */
const TAG_KINDS = [
  TagKind.passThrough,
  TagKind.firstLevel,
  TagKind.secondLevel,
  TagKind.nested,
  TagKind.passThrough,
] as const;

/** The latched root table address. */
export interface RootTable {
  readonly high: number;
  readonly low: number;
  readonly mode: number;
}

/** An entry of a table in memory: where its words are. */
interface EntryPlace {
  words: Uint32Array;
  index: number;
}

export class StructureWalker {
  /** Result: where the request goes. */
  space: AddressSpace | undefined;
  /** Result: fault processing was disabled by an entry on the way (also one that is not present). */
  faultDisable = false;
  /** Result: requests without PASID count as privileged. */
  ridPrivilege = false;

  private readonly memory: PhysicalMemory;
  private readonly reserved: ReservedBits;
  private readonly caches: StructureCaches | undefined;
  private readonly tags: Tags;
  private readonly observer: WalkObserver | undefined;
  private readonly has: Capabilities;

  /** @param caches Undefined: every entry is read from memory. */
  constructor(
    configuration: UnitConfiguration,
    memory: PhysicalMemory,
    reserved: ReservedBits,
    tags: Tags,
    caches: StructureCaches | undefined,
    observer: WalkObserver | undefined,
  ) {
    this.memory = memory;
    this.reserved = reserved;
    this.caches = caches;
    this.tags = tags;
    this.observer = observer;
    this.has = capabilitiesOf(configuration);
  }

  /**
   * Finds the address space of a request.
   * @param pasid -1: the request has none.
   * @returns 0 with `space` set, a fault reason, or ABORTED.
   */
  resolve(root: RootTable, requesterId: number, pasid: number, kind: number, access: number): number {
    this.space = undefined;
    this.faultDisable = false;
    this.ridPrivilege = false;
    if (root.mode === TableMode.abortDma && this.has.abortDmaMode) return ABORTED;
    if (root.mode === TableMode.legacy) return this.resolveLegacy(root, requesterId, pasid, kind);
    if (root.mode !== TableMode.scalable || !this.has.scalableMode) return Fault.tableMode;
    return this.resolveScalable(root, requesterId, pasid, kind, access);
  }

  private entryAt(
    layout: Layout,
    tableHigh: number,
    tableLow: number,
    offset: number,
    name = layout.name,
  ): EntryPlace | undefined {
    // Tables are page-aligned and entries don't cross pages, so that the low word can't overflow.
    const low = (tableLow & 0xfffff000) + offset;
    const words = this.memory.chunkAt(tableHigh, low);
    if (words === undefined) return undefined;
    const index = (low & 0x1fffff) >>> 2;
    this.observer?.entry(name, layout, tableHigh, low >>> 0, words, index);
    return { words, index };
  }

  private resolveLegacy(root: RootTable, requesterId: number, pasid: number, kind: number): number {
    if (kind === RequestKind.page) return Fault.pageRequestInLegacyMode;
    if (pasid >= 0) return Fault.pasidInLegacyMode;
    let space = this.caches?.legacyContexts.get(requesterId);
    if (space === undefined) {
      const reason = this.readLegacyContext(root, requesterId);
      if (reason !== 0) return reason;
      space = this.space as AddressSpace;
      this.caches?.legacyContexts.set(requesterId, space);
    }
    this.space = space;
    this.faultDisable = space.faultDisable;
    if (kind !== RequestKind.untranslated && !space.acceptsAts) return Fault.translationTypeBlocks;
    return 0;
  }

  private readLegacyContext(root: RootTable, requesterId: number): number {
    const rootPlace = this.entryAt(LegacyRootEntry, root.high, root.low, (requesterId >>> 8) * 16);
    if (rootPlace === undefined) return Fault.rootAccess;
    const { words: rootWords, index: rootIndex } = rootPlace;
    if (!LegacyRootEntry.fields.present.get(rootWords, rootIndex)) return Fault.rootNotPresent;
    if (anySet(rootWords, rootIndex, this.reserved.legacyRoot)) return Fault.rootReserved;

    const place = this.entryAt(
      LegacyContextEntry,
      rootWords[rootIndex + 1],
      rootWords[rootIndex],
      (requesterId & 0xff) * 16,
    );
    if (place === undefined) return Fault.contextAccess;
    const { words, index } = place;
    const fields = LegacyContextEntry.fields;
    const faultDisable = fields.faultDisable.get(words, index) !== 0;
    this.faultDisable = faultDisable;
    if (!fields.present.get(words, index)) return Fault.contextNotPresent;
    if (anySet(words, index, this.reserved.legacyContext)) return Fault.contextReserved;

    const type = fields.translationType.get(words, index);
    const addressWidth = fields.addressWidth.get(words, index);
    if (!this.widthOffered(addressWidth)) return Fault.contextInvalid;
    if (type === LegacyType.all && !this.has.deviceTlb) return Fault.contextInvalid;
    if (type === LegacyType.passThrough && !this.has.passThrough) return Fault.contextInvalid;
    if (type > LegacyType.passThrough) return Fault.contextInvalid;

    const domainId = fields.domainId.get(words, index);
    const meaning =
      type === LegacyType.passThrough ? TranslationType.passThrough : TranslationType.secondLevel;
    const space = new AddressSpace({
      requesterId,
      pasid: -1,
      type: meaning,
      domainId,
      tag: this.tags.tagOf(TAG_KINDS[meaning], domainId, -1),
      scalable: false,
      faultDisable,
      acceptsAts: type === LegacyType.all,
    });
    this.setSecondLevel(space, addressWidth, words[index + 1], words[index]);
    this.space = space;
    return 0;
  }

  private resolveScalable(
    root: RootTable,
    requesterId: number,
    pasid: number,
    kind: number,
    access: number,
  ): number {
    let context = this.caches?.scalableContexts.get(requesterId);
    if (context === undefined) {
      const read = this.readScalableContext(root, requesterId);
      if (typeof read === 'number') return read;
      context = read;
      this.caches?.scalableContexts.set(requesterId, context);
    }
    this.faultDisable = context.faultDisable;
    this.ridPrivilege = pasid < 0 && context.ridPrivilege;
    if (context.ridPasid > context.lastPasid) return Fault.scalableContextInvalid;
    if (pasid >= 0 && !context.pasidEnable) return Fault.pasidDisabled;
    if (pasid > context.lastPasid || pasid >= 2 ** (this.has.pasidSize + 1)) return Fault.pasidTooBig;
    if ((kind === RequestKind.translation || kind === RequestKind.translated) && !context.deviceTlbEnable)
      return Fault.deviceTlbDisabled;
    if (kind === RequestKind.page && !context.pageRequestEnable) return Fault.pageRequestDisabled;

    const effective = pasid >= 0 ? pasid : context.ridPasid;
    let space = this.caches?.pasidEntry(requesterId, effective);
    if (space === undefined) {
      const reason = this.readPasidEntry(context, requesterId, effective);
      if (reason !== 0) return reason;
      space = this.space as AddressSpace;
      this.caches?.keepPasidEntry(space);
    }
    this.space = space;
    this.faultDisable ||= space.faultDisable;
    if ((access & ANY_EXECUTE) !== 0 && !space.executeRequests) return Fault.executeDisabled;
    const asPrivileged = (access & ANY_PRIVILEGED) !== 0 || this.ridPrivilege;
    if (asPrivileged && space.hasFirstLevel && !space.supervisorRequests) return Fault.supervisorDisabled;
    return 0;
  }

  private readScalableContext(root: RootTable, requesterId: number): ScalableContext | number {
    const rootPlace = this.entryAt(ScalableRootEntry, root.high, root.low, (requesterId >>> 8) * 16);
    if (rootPlace === undefined) return Fault.scalableRootAccess;
    // Only the half that serves this function counts.
    const upper = (requesterId & 0x80) !== 0;
    const half = rootPlace.index + (upper ? 2 : 0);
    const rootWords = rootPlace.words;
    if ((rootWords[half] & ScalableRootEntry.fields.lowerPresent.mask) === 0)
      return Fault.scalableRootNotPresent;
    const mask = this.reserved.scalableRoot;
    const maskHalf = upper ? 2 : 0;
    if (((rootWords[half] & mask[maskHalf]) | (rootWords[half + 1] & mask[maskHalf + 1])) !== 0)
      return Fault.scalableRootReserved;

    const offset = (requesterId & 0x7f) * 32;
    const place = this.entryAt(ScalableContextEntry, rootWords[half + 1], rootWords[half], offset);
    if (place === undefined) return Fault.scalableContextAccess;
    const { words, index } = place;
    const fields = ScalableContextEntry.fields;
    const faultDisable = fields.faultDisable.get(words, index) !== 0;
    this.faultDisable = faultDisable;
    if (!fields.present.get(words, index)) return Fault.scalableContextNotPresent;
    if (anySet(words, index, this.reserved.scalableContext)) return Fault.scalableContextReserved;
    return {
      requesterId,
      faultDisable,
      deviceTlbEnable: fields.deviceTlbEnable.get(words, index) !== 0,
      pasidEnable: fields.pasidEnable.get(words, index) !== 0,
      pageRequestEnable: fields.pageRequestEnable.get(words, index) !== 0,
      lastPasid: 2 ** (fields.pasidDirectorySize.get(words, index) + 13) - 1,
      directoryHigh: words[index + 1],
      directoryLow: words[index] & 0xfffff000,
      ridPasid: this.has.ridPasid ? fields.ridPasid.get(words, index) : 0,
      ridPrivilege: fields.ridPrivilege.get(words, index) !== 0,
    };
  }

  private readPasidEntry(context: ScalableContext, requesterId: number, pasid: number): number {
    // The directory may be longer than a page: 8 bytes for each 64 PASIDs, up to 128 KiB.
    const offset = (pasid >>> 6) * 8;
    const directory = context.directoryHigh * 2 ** 32 + (context.directoryLow >>> 0) + (offset & ~0xfff);
    const directoryPlace = this.entryAt(
      PasidDirectoryEntry,
      Math.floor(directory / 2 ** 32),
      directory | 0,
      offset & 0xfff,
    );
    if (directoryPlace === undefined) return Fault.pasidDirectoryAccess;
    const { words: directoryWords, index: at } = directoryPlace;
    const directoryFields = PasidDirectoryEntry.fields;
    let faultDisable = directoryFields.faultDisable.get(directoryWords, at) !== 0;
    this.faultDisable ||= faultDisable;
    if (!directoryFields.present.get(directoryWords, at)) return Fault.pasidDirectoryNotPresent;
    if (anySet(directoryWords, at, this.reserved.pasidDirectory)) return Fault.pasidDirectoryReserved;

    const place = this.entryAt(
      PasidTableEntry,
      directoryWords[at + 1],
      directoryWords[at],
      (pasid & 63) * 64,
    );
    if (place === undefined) return Fault.pasidTableAccess;
    const { words, index } = place;
    const fields = PasidTableEntry.fields;
    faultDisable ||= fields.faultDisable.get(words, index) !== 0;
    this.faultDisable ||= faultDisable;
    if (!fields.present.get(words, index)) return Fault.pasidNotPresent;
    if (anySet(words, index, this.reserved.pasidEntry)) return Fault.pasidReserved;
    if (!this.pasidEntryMakesSense(words, index)) return Fault.pasidInvalid;

    const type = fields.translationType.get(words, index);
    const domainId = fields.domainId.get(words, index);
    const space = new AddressSpace({
      requesterId,
      pasid,
      type,
      domainId,
      tag: this.tags.tagOf(TAG_KINDS[type], domainId, pasid),
      scalable: true,
      faultDisable,
      acceptsAts: true,
    });
    if (type === TranslationType.secondLevel || type === TranslationType.nested)
      this.setSecondLevel(space, fields.addressWidth.get(words, index), words[index + 1], words[index]);
    space.secondFlags = fields.secondLevelAccessDirtyEnable.get(words, index) !== 0;
    const firstPointer = fields.firstLevelPointer.word;
    space.firstLevels = fields.firstLevelPagingMode.get(words, index) === 1 ? 5 : 4;
    space.firstRootHigh = words[index + firstPointer + 1];
    space.firstRootLow = words[index + firstPointer] & 0xfffff000;
    space.supervisorRequests = fields.supervisorRequestEnable.get(words, index) !== 0;
    space.executeRequests = fields.executeRequestEnable.get(words, index) !== 0;
    space.writeProtect = fields.writeProtectEnable.get(words, index) !== 0;
    space.extendedAccessed = fields.extendedAccessedFlagEnable.get(words, index) !== 0;
    space.flagsUpdatable = !this.has.scalableWalkCoherency || fields.pageWalkSnoop.get(words, index) !== 0;
    this.space = space;
    return 0;
  }

  /** Type, width and paging mode are such as this unit offers. */
  private pasidEntryMakesSense(words: Uint32Array, index: number): boolean {
    const fields = PasidTableEntry.fields;
    const width = this.widthOffered(fields.addressWidth.get(words, index));
    const mode = fields.firstLevelPagingMode.get(words, index);
    const paging = mode === 0 || (mode === 1 && this.has.firstLevel5Levels !== 0);
    switch (fields.translationType.get(words, index)) {
      case TranslationType.firstLevel:
        return this.has.firstLevelTranslation !== 0 && paging;
      case TranslationType.secondLevel:
        return this.has.secondLevelTranslation !== 0 && width;
      case TranslationType.nested:
        return this.has.nestedTranslation !== 0 && width && paging;
      case TranslationType.passThrough:
        return this.has.passThrough !== 0;
      default:
        return false;
    }
  }

  private widthOffered(code: number): boolean {
    return code >= 1 && code <= 3 && ((this.has.addressWidths >>> code) & 1) !== 0;
  }

  private setSecondLevel(space: AddressSpace, widthCode: number, high: number, low: number): void {
    space.secondLevels = widthCode + 2;
    space.secondRootHigh = high;
    space.secondRootLow = low & 0xfffff000;
    const width = Math.min(30 + 9 * widthCode, this.has.maximumGuestAddressWidth + 1);
    space.secondTooWideHigh = width >= 64 ? 0 : width <= 32 ? -1 : -1 << (width - 32);
    space.secondTooWideLow = width >= 32 ? 0 : 0xfffff & (-1 << Math.max(0, width - 12));
  }
}

function anySet(words: Uint32Array, index: number, mask: Uint32Array): boolean {
  for (let word = 0; word < mask.length; word += 1) if ((words[index + word] & mask[word]) !== 0) return true;
  return false;
}
