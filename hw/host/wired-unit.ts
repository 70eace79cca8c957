/** A remapping unit and where it is wired: what the fabric and the screens need of it. */
import type { RemappingUnitStructure } from '../acpi/dmar.ts';
import type { VtdUnit } from '../vtd/unit.ts';

export interface WiredUnit {
  /** As Linux names it: "dmar0" is the first DRHD of the table. */
  readonly name: string;
  /** How the DMAR table describes it. */
  readonly structure: RemappingUnitStructure;
  readonly unit: VtdUnit;
}
