/** IOAS: an address space for DMA, made by IOAS_ALLOC or for the VFIO compatibility. */
import type { HwptPaging } from './hwpt.ts';
import { IoPagetable } from './io-pagetable.ts';
import { IommufdObject } from './objects.ts';

export class Ioas extends IommufdObject {
  readonly type = 'ioas';
  readonly table = new IoPagetable();
  /** Page tables that show this address space, in order of their making. */
  readonly pageTables: HwptPaging[] = [];
  private readonly gone: (ioas: Ioas) => void;

  /** `gone` runs when the IOAS is destroyed. */
  constructor(gone: (ioas: Ioas) => void) {
    super();
    this.gone = gone;
  }

  destroy(): void {
    this.table.unmapAll();
    this.gone(this);
  }
}
