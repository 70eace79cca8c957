/**
 * Names under which translations are cached: domain id and, in scalable mode, PASID. Hardware needs the PASID only where
 * the first level took part (VT-d 6.2.1); with it, second-level tables that software put under one domain id stay apart.
 * A tag is the small integer that stands for such a triple.
 */

/** Which tables a cached translation came from. */
export const TagKind = { secondLevel: 0, firstLevel: 1, nested: 2, passThrough: 3 } as const;

export class Tags {
  private readonly numbers = new Map<number, number>();
  /** Tags of each domain id: an invalidation looks at those alone. */
  private readonly ofDomain = new Map<number, number[]>();
  /** By tag: kind, domain id, PASID (-1 in legacy mode). */
  readonly kinds: number[] = [];
  readonly domainIds: number[] = [];
  readonly pasids: number[] = [];

  /** The tag of this triple, made when new. */
  tagOf(kind: number, domainId: number, pasid: number): number {
    const key = ((pasid + 1) * 0x10000 + domainId) * 4 + kind;
    let tag = this.numbers.get(key);
    if (tag === undefined) {
      tag = this.kinds.length;
      this.numbers.set(key, tag);
      this.kinds.push(kind);
      this.domainIds.push(domainId);
      this.pasids.push(pasid);
      const siblings = this.ofDomain.get(domainId);
      if (siblings === undefined) this.ofDomain.set(domainId, [tag]);
      else siblings.push(tag);
    }
    return tag;
  }

  /** Those of a kind and domain id, and of a PASID unless it is -1. */
  matching(kind: number, domainId: number, pasid: number): number[] {
    const all = this.ofDomain.get(domainId) ?? [];
    return all.filter((tag) => this.kinds[tag] === kind && (pasid < 0 || this.pasids[tag] === pasid));
  }

  describe(tag: number): string {
    const pasid = this.pasids[tag] < 0 ? '' : `, PASID ${this.pasids[tag]}`;
    const kind = ['second-level', 'first-level', 'nested', 'pass-through'][this.kinds[tag]];
    return `domain ${this.domainIds[tag]}${pasid} (${kind})`;
  }
}
