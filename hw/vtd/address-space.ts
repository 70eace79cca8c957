/**
 * Where the requests of one requester, or of one (requester, PASID), go: what the unit keeps of a context entry or a
 * PASID-table entry once it was read and found right. Context cache and PASID cache hold these.
 */
import { TranslationType } from './layouts.ts';

export class AddressSpace {
  readonly requesterId: number;
  /** The PASID whose entry this is (RID_PASID for requests without); -1 in legacy mode. */
  readonly pasid: number;
  /** TranslationType. */
  readonly type: number;
  readonly domainId: number;
  /** Short name of (kind, domain id, PASID) under which translations are cached. */
  readonly tag: number;
  readonly scalable: boolean;
  /** Fault processing disable of the PASID structures, or of the legacy context entry. */
  readonly faultDisable: boolean;
  /** Accepts translation requests and translated requests (legacy: type 01). Scalable mode asks the context entry. */
  readonly acceptsAts: boolean;

  /** Levels of the second-level table, 3 to 5, and its top table. */
  secondLevels = 0;
  secondRootHigh = 0;
  secondRootLow = 0;
  /** Bits that a page number's high part (bits 63:32 of the address) and low part (31:12) may not have. */
  secondTooWideHigh = 0;
  secondTooWideLow = 0;
  /** Second-level accessed and dirty bits are kept. */
  secondFlags = false;

  firstLevels = 0;
  firstRootHigh = 0;
  firstRootLow = 0;
  supervisorRequests = false;
  executeRequests = false;
  writeProtect = false;
  extendedAccessed = false;
  /** Accessed and dirty bits may be updated (page-walk snoop, or a unit that has none). */
  flagsUpdatable = true;

  constructor(
    of: Pick<
      AddressSpace,
      'requesterId' | 'pasid' | 'type' | 'domainId' | 'tag' | 'scalable' | 'faultDisable' | 'acceptsAts'
    >,
  ) {
    this.requesterId = of.requesterId;
    this.pasid = of.pasid;
    this.type = of.type;
    this.domainId = of.domainId;
    this.tag = of.tag;
    this.scalable = of.scalable;
    this.faultDisable = of.faultDisable;
    this.acceptsAts = of.acceptsAts;
  }

  get hasFirstLevel(): boolean {
    return this.type === TranslationType.firstLevel || this.type === TranslationType.nested;
  }
}
