import type { AddressSpace } from '../address-space.ts';

/** What the context cache keeps of a scalable-mode context entry. */
export interface ScalableContext {
  readonly requesterId: number;
  readonly faultDisable: boolean;
  readonly deviceTlbEnable: boolean;
  readonly pasidEnable: boolean;
  readonly pageRequestEnable: boolean;
  /** PASIDs from 0 to this one have a place in the directory. */
  readonly lastPasid: number;
  readonly directoryHigh: number;
  readonly directoryLow: number;
  readonly ridPasid: number;
  readonly ridPrivilege: boolean;
}

/** Requester id and PASID as one number. */
function keyOf(requesterId: number, pasid: number): number {
  return requesterId * 0x100000 + pasid;
}

/**
 * Context cache and PASID cache: entries that were read and found right, until software invalidates them. VT-d 6.2.2,
 * 6.2.3. Neither holds an entry that was not present or wrong, with or without caching mode.
 */
export class StructureCaches {
  readonly legacyContexts = new Map<number, AddressSpace>();
  readonly scalableContexts = new Map<number, ScalableContext>();
  private readonly pasidEntries = new Map<number, AddressSpace>();

  pasidEntry(requesterId: number, pasid: number): AddressSpace | undefined {
    return this.pasidEntries.get(keyOf(requesterId, pasid));
  }

  keepPasidEntry(space: AddressSpace): void {
    this.pasidEntries.set(keyOf(space.requesterId, space.pasid), space);
  }

  get pasidSpaces(): Iterable<AddressSpace> {
    return this.pasidEntries.values();
  }

  invalidateContexts(): void {
    this.legacyContexts.clear();
    this.scalableContexts.clear();
  }

  /** Contexts of a domain. Scalable-mode contexts hold no domain id: all of them go. */
  invalidateContextsOfDomain(domainId: number): void {
    for (const [key, space] of this.legacyContexts)
      if (space.domainId === domainId) this.legacyContexts.delete(key);
    this.scalableContexts.clear();
  }

  /**
   * Contexts of a source id.
   * @param functionMask 0: the id itself; 1 to 3: the function bit 2, bits 2:1, bits 2:0 don't count.
   */
  invalidateContextsOfDevice(sourceId: number, functionMask: number): void {
    const compared = [0xffff, 0xfffb, 0xfff9, 0xfff8][functionMask & 3];
    for (const contexts of [this.legacyContexts, this.scalableContexts])
      for (const key of contexts.keys()) if (((key ^ sourceId) & compared) === 0) contexts.delete(key);
  }

  /** @param domainId, pasid -1 for any. */
  invalidatePasids(domainId: number, pasid: number): void {
    for (const [key, space] of this.pasidEntries) {
      if (domainId >= 0 && space.domainId !== domainId) continue;
      if (pasid >= 0 && space.pasid !== pasid) continue;
      this.pasidEntries.delete(key);
    }
  }
}
