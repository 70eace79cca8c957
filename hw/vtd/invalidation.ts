/**
 * What an invalidation drops, whether a register or a descriptor asked for it. VT-d 6.5. Each drops what the
 * specification names, so that what must be invalidated in two steps stays stale after one, and more where the names of
 * cached translations don't tell apart what it does.
 */
import type { InterruptCache } from './caches/interrupt-cache.ts';
import type { Iotlb } from './caches/iotlb.ts';
import type { PagingCache } from './caches/paging-cache.ts';
import type { StructureCaches } from './caches/structure-caches.ts';
import { TagKind, type Tags } from './caches/tags.ts';

/** A range of pages: 2^mask pages, aligned to that; page number in two parts (bits 63:32, 31:12 of the address). */
export interface PageRange {
  readonly pageHigh: number;
  readonly pageLow: number;
  readonly mask: number;
}

/** An invalidation for a device-TLB. */
export interface DeviceTlbInvalidation extends PageRange {
  readonly requesterId: number;
  /** -1: translations of requests without PASID. */
  readonly pasid: number;
  /** Translations of every PASID. */
  readonly allPasids: boolean;
}

/** What a device answers: done, nothing in time (it is gone), or a completion that is wrong. */
export type DeviceTlbAnswer = 'done' | 'timed out' | 'malformed';

export class Invalidator {
  private readonly tags: Tags;
  private readonly structures: StructureCaches;
  private readonly iotlb: Iotlb;
  private readonly paging: PagingCache;
  readonly interrupts: InterruptCache;
  /** The unit forgets which address space it found last. */
  private readonly structuresChanged: () => void;

  constructor(
    caches: {
      tags: Tags;
      structures: StructureCaches;
      iotlb: Iotlb;
      paging: PagingCache;
      interrupts: InterruptCache;
    },
    structuresChanged: () => void,
  ) {
    this.tags = caches.tags;
    this.structures = caches.structures;
    this.iotlb = caches.iotlb;
    this.paging = caches.paging;
    this.interrupts = caches.interrupts;
    this.structuresChanged = structuresChanged;
  }

  /** Context, PASID and translation caches as a whole: what setting the root table does on units with ESRTPS. */
  all(): void {
    this.contexts();
    this.pasids(-1, -1);
    this.translations();
  }

  contexts(): void {
    this.structures.invalidateContexts();
    this.structuresChanged();
  }

  contextsOfDomain(domainId: number): void {
    this.structures.invalidateContextsOfDomain(domainId);
    this.structuresChanged();
  }

  contextsOfDevice(sourceId: number, functionMask: number): void {
    this.structures.invalidateContextsOfDevice(sourceId, functionMask);
    this.structuresChanged();
  }

  /** PASID cache. @param domainId, pasid -1: any. */
  pasids(domainId: number, pasid: number): void {
    this.structures.invalidatePasids(domainId, pasid);
    this.structuresChanged();
  }

  /** IOTLB and paging-structure caches, all. */
  translations(): void {
    this.iotlb.invalidateAll();
    this.paging.invalidateAll();
  }

  /** Every translation under a domain id, of whatever tables. */
  translationsOfDomain(domainId: number): void {
    for (const kind of [TagKind.secondLevel, TagKind.firstLevel, TagKind.nested])
      for (const tag of this.tags.matching(kind, domainId, -1)) this.dropTag(tag);
  }

  /**
   * Translations of some pages under a domain id. The range is one of second-level addresses: what was cached by its
   * first-level address goes with the whole domain. @param leavesOnly The hint: upper levels didn't change.
   */
  pagesOfDomain(domainId: number, range: PageRange, leavesOnly: boolean): void {
    for (const tag of this.tags.matching(TagKind.secondLevel, domainId, -1))
      this.dropPages(tag, range, leavesOnly);
    for (const kind of [TagKind.firstLevel, TagKind.nested])
      for (const tag of this.tags.matching(kind, domainId, -1)) this.dropTag(tag);
  }

  /** Translations of one PASID in a domain, of whatever tables. */
  translationsOfPasid(domainId: number, pasid: number): void {
    for (const kind of [TagKind.secondLevel, TagKind.firstLevel, TagKind.nested])
      for (const tag of this.tags.matching(kind, domainId, pasid)) this.dropTag(tag);
  }

  /** The same for some pages. */
  pagesOfPasid(domainId: number, pasid: number, range: PageRange, leavesOnly: boolean): void {
    for (const kind of [TagKind.secondLevel, TagKind.firstLevel, TagKind.nested])
      for (const tag of this.tags.matching(kind, domainId, pasid)) this.dropPages(tag, range, leavesOnly);
  }

  private dropTag(tag: number): void {
    this.iotlb.invalidateTag(tag);
    this.paging.invalidateTag(tag);
  }

  private dropPages(tag: number, range: PageRange, leavesOnly: boolean): void {
    const mask = Math.min(range.mask, 52);
    this.iotlb.invalidatePages(tag, range.pageHigh, range.pageLow, mask);
    if (!leavesOnly) this.paging.invalidatePages(tag, range.pageHigh, range.pageLow, mask);
  }
}
