/** Reserved regions of devices and groups: intel_iommu_get_resv_regions and iommu_insert_resv_region. */
import type { ReservedMemoryStructure } from '../../acpi/dmar.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { ReservedRegion, ReservedType } from './types.ts';

/** Interrupt window of x86: IOAPIC_RANGE_START to IOAPIC_RANGE_END. */
const MSI_START = 0xfee00000n;
const MSI_END = 0xfeefffffn;
/** 16 MiB for floppy drives behind an ISA bridge (CONFIG_INTEL_IOMMU_FLOPPY_WA). */
const ISA_END = 0xffffffn;

const CLASS_ISA_BRIDGE = 0x0601;
const CLASS_USB = 0x0c03;
const BASE_CLASS_DISPLAY = 0x03;

/** enum iommu_resv_type: the order among regions with the same start. */
const TYPE_ORDER: Readonly<Record<ReservedType, number>> = {
  direct: 0,
  'direct-relaxable': 1,
  reserved: 2,
  msi: 3,
  'software-msi': 4,
};

/** What every device under a unit keeps reserved, also one that is not PCI. */
export const MSI_REGION: ReservedRegion = {
  start: MSI_START,
  end: MSI_END,
  type: 'msi',
  because: 'interrupt messages',
};

/** HyperTransport's own addresses: HT_RANGE_START to HT_RANGE_END of drivers/iommu/amd/amd_iommu_types.h. */
const HT_REGION: ReservedRegion = {
  start: 0xfd00000000n,
  end: 0xffffffffffn,
  type: 'reserved',
  because: 'HyperTransport',
};

/** What every device under an AMD IOMMU keeps reserved (amd_iommu_get_resv_regions), besides unity maps of its IVRS entries. */
export const AMD_RESERVED: readonly ReservedRegion[] = [MSI_REGION, HT_REGION];

/** What one device keeps reserved. RMRRs of USB and graphics devices are relaxable: drivers stop using them. */
export function deviceReservedRegions(
  device: PciDevice,
  reservedMemory: readonly ReservedMemoryStructure[],
): ReservedRegion[] {
  const relaxable = device.classCode >>> 8 === CLASS_USB || device.classCode >>> 16 === BASE_CLASS_DISPLAY;
  const isIsaBridge = device.classCode >>> 8 === CLASS_ISA_BRIDGE;
  if (reservedMemory.length === 0 && !isIsaBridge) return [MSI_REGION];
  const regions: ReservedRegion[] = reservedMemory.map((structure) => ({
    start: structure.base,
    end: structure.limit,
    type: relaxable ? 'direct-relaxable' : 'direct',
    because: `RMRR of ${device.name}`,
  }));
  if (isIsaBridge) {
    regions.push({ start: 0n, end: ISA_END, type: 'direct-relaxable', because: `ISA bridge ${device.name}` });
  }
  regions.push(MSI_REGION);
  return regions;
}

/** The union over a group: sorted by start, then type; regions of one type that touch or overlap become one. */
export function mergeReservedRegions(regions: readonly ReservedRegion[]): ReservedRegion[] {
  if (regions.length === 1) return [...regions];
  const sorted = [...regions].sort((a, b) =>
    a.start === b.start ? TYPE_ORDER[a.type] - TYPE_ORDER[b.type] : a.start < b.start ? -1 : 1,
  );
  const merged: ReservedRegion[] = [];
  for (const region of sorted) {
    const index = merged.findLastIndex((one) => one.type === region.type);
    const last = merged[index];
    if (last === undefined || region.start > last.end + 1n) merged.push(region);
    else if (region.end > last.end) merged[index] = { ...last, end: region.end };
  }
  return merged;
}
