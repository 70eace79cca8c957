/**
 * The translation cache of a device (ATC, device-TLB): what ATS answered, kept until the unit says to drop it. What it
 * holds it uses without asking again; so a driver that forgets an invalidation leaves the device with access to memory
 * it no longer has. PCIe 10.1, VT-d 4.1.
 */

/** A translation that the device holds. Pages are iova >> 12. */
export interface HeldTranslation {
  /** -1: for requests without PASID. */
  readonly pasid: number;
  readonly firstPage: number;
  readonly pages: number;
  readonly frame: number;
  readonly read: boolean;
  readonly write: boolean;
}

/** What is to be dropped. Pages, ends included. */
export interface TranslationDrop {
  /** -1: translations for requests without PASID. */
  readonly pasid: number;
  readonly allPasids: boolean;
  readonly firstPage: number;
  readonly lastPage: number;
}

export class DeviceTlb {
  private readonly capacity: number;
  /** Oldest first. */
  private held: HeldTranslation[] = [];

  /** @param capacity Translations at most; the oldest goes first. */
  constructor(capacity = 64) {
    this.capacity = capacity;
  }

  get translations(): readonly HeldTranslation[] {
    return this.held;
  }

  /** The frame behind a page for this access, or undefined: the device has to ask. */
  frameOf(pasid: number, page: number, access: 'read' | 'write'): number | undefined {
    for (const one of this.held) {
      if (one.pasid !== pasid || page < one.firstPage || page >= one.firstPage + one.pages) continue;
      if (one[access]) return one.frame + (page - one.firstPage);
    }
    return undefined;
  }

  /** Takes an answer; it takes the place of what the device held for the same pages. */
  hold(translation: HeldTranslation): void {
    this.drop({
      pasid: translation.pasid,
      allPasids: false,
      firstPage: translation.firstPage,
      lastPage: translation.firstPage + translation.pages - 1,
    });
    this.held.push(translation);
    if (this.held.length > this.capacity) this.held.shift();
  }

  drop(drop: TranslationDrop): void {
    this.held = this.held.filter(
      (one) =>
        (!drop.allPasids && one.pasid !== drop.pasid) ||
        one.firstPage > drop.lastPage ||
        one.firstPage + one.pages - 1 < drop.firstPage,
    );
  }

  clear(): void {
    this.held = [];
  }
}
