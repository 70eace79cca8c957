import { describe, expect, it } from 'vitest';
import { writeDmar } from '../../hw/acpi/dmar-writer.ts';
import { qemuUnits } from '../../src/hosts/qemu-unit.ts';

const dmar = writeDmar({
  revision: 1,
  oemId: 'BOCHS ',
  oemTableId: 'BXPC    ',
  oemRevision: 1,
  creatorId: 'BXPC',
  creatorRevision: 1,
  hostAddressWidth: 48,
  interruptRemapping: true,
  x2apicOptOut: false,
  dmaControlOptIn: false,
  warnings: [],
  structures: [0xfed91000n, 0xfed90000n].map((registerBase) => ({
    kind: 'DRHD',
    includeAll: true,
    sizeShift: 0,
    segment: 0,
    registerBase,
    scopes: [],
  })),
});
/** A unit that the table invents: reads of nothing. */
const NONE = { registerBase: '0xfed91000', cap: '0x0', ecap: '0x0' };

// Registers as QEMU 11.1.3 showed them with these options.
describe('the unit of a QEMU machine', () => {
  it.each([
    ['intel-iommu', '0x80d2008c222f0606', '0xf00f4a'],
    ['intel-iommu,device-iotlb=on', '0x80d2008c222f0606', '0xf00f4e'],
    ['intel-iommu,caching-mode=on', '0x80d2008c222f0686', '0xf00f4a'],
    ['intel-iommu,aw-bits=39', '0x80d2008c22260206', '0xf00f4a'],
    ['intel-iommu,scalable-mode=on', '0x80d2008c222f0606', '0x480080f00f4a'],
    ['intel-iommu,scalable-mode=on,fsts=on', '0x81d2008c222f0606', '0x880000f00f4a'],
  ])('%s', (device, cap, ecap) => {
    expect(qemuUnits(`qemu-system-x86_64\n  -machine q35\n  -device ${device}\n`, dmar)).toEqual([
      NONE,
      { registerBase: '0xfed90000', cap, ecap },
    ]);
  });

  it('without a command line only what is no unit is known', () => {
    expect(qemuUnits(undefined, dmar)).toEqual([NONE]);
    expect(qemuUnits('-device intel-iommu', dmar.subarray(0, 60))).toEqual([]);
  });
});
