/** The kernel command line: iommu_setup of arch/x86/kernel/pci-dma.c, intel_iommu_setup, iommu_dma_setup; Linux 7.2. */
import { describe, expect, it } from 'vitest';
import { unusableWidths } from '../../../../hw/kernel/iommu/grouping-default-type.ts';
import { iommuOptions } from '../../../../hw/kernel/iommu/grouping-options.ts';

describe('what the kernel command line says of the IOMMU', () => {
  it.each<[string, Partial<ReturnType<typeof iommuOptions>>]>([
    ['iommu=off intel_iommu=on', { intelEnabled: false, amdEnabled: false }],
    ['intel_iommu=off intel_iommu=on', { intelEnabled: true }],
    ['intel_iommu=on,off', { intelEnabled: false }],
    ['intel_iommu=strict iommu.strict=0', { strict: true }],
    ['iommu.strict=1 iommu.strict=0', { strict: false }],
    ['iommu=pt,nopt', { passThrough: false }],
    ['iommu=pt iommu.passthrough=0', { passThrough: false }],
    ['iommu=usedac,pt', { passThrough: false }],
    ['quiet -- iommu=off', { intelEnabled: true }],
    ['intel_iommu', { intelEnabled: true }],
  ])('%s', (line, expected) => {
    expect(iommuOptions(line)).toMatchObject(expected);
  });
});

describe('address widths of a unit (alloc_iommu, __iommu_calculate_sagaw)', () => {
  const SCALABLE = 1n << 43n;
  const SECOND = 1n << 46n;
  const FIRST = 1n << 47n;
  const W39 = 2n << 8n;
  const W48 = 6n << 8n;

  it.each<[string, bigint, bigint, boolean, boolean]>([
    ['48 bits', W48, 0n, true, true],
    ['no width', 0n, 0n, true, false],
    ['no second level, first level only', 0n, SCALABLE | FIRST, true, true],
    ['no second level, first level only, scalable mode off', 0n, SCALABLE | FIRST, false, false],
    ['39 bits and both levels: no depth fits both', W39, SCALABLE | FIRST | SECOND, true, false],
    ['39 bits and both levels, scalable mode off', W39, SCALABLE | FIRST | SECOND, false, true],
    ['48 bits and both levels', W48, SCALABLE | FIRST | SECOND, true, true],
  ])('%s', (_what, cap, ecap, scalable, usable) => {
    expect(unusableWidths({ cap, ecap }, scalable) === undefined).toBe(usable);
  });
});
