import { describe, expect, it } from 'vitest';
import { mappedPages, translationLines } from '../../src/imports/debugfs.ts';

describe('dmar_translation_struct', () => {
  it('legacy mode: root and context entry, PASID -1 (debugfs.c print_tbl)', () => {
    const text = [
      'IOMMU dmar0: Root Table Address: 0x105e3e000',
      'B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry',
      '00:02.0\t0x0000000000000000:0x0000000105e3f001\t0x0000000000000302:0x0000000105e40001\t-1    \t0x0000000000000000:0x0000000000000000:0x0000000000000000',
    ].join('\n');
    const [line] = translationLines(text, 'x');
    expect(line).toMatchObject({ unit: 'dmar0', function: '00:02.0', pasid: undefined });
    expect(line.entries).toHaveLength(2);
    expect(line.entries[1].fields).toMatchObject({ domainId: '3' });
  });
  it('scalable mode: a PASID table entry with domain id and second-level type', () => {
    const text =
      'IOMMU dmar1: Root Table Address: 0x1000\n6a:01.0\t0x0:0x2001\t0x0:0x3009\t5     \t0x0:0x0000000000000007:0x0000000123456089';
    const [line] = translationLines(text, 'x');
    expect(line.pasid).toBe(5);
    expect(line.entries[2].fields).toMatchObject({
      domainId: '7',
      translationType: expect.stringContaining('second'),
    });
  });
  it('a cut line is an error with its number', () => {
    expect(() => translationLines('IOMMU dmar0: Root Table Address: 0x1\n00:02.0\t0x0:0x1\t0x', 'x')).toThrow(
      /cut or damaged/,
    );
  });
});

describe('domain_translation_struct', () => {
  const text = [
    'Device 0000:00:14.0 with pasid 0 @0x105407000',
    'IOVA_PFN                PML5E                   PML4E                   PDPE                    PDE                     PTE',
    '0x00000000fffff |       0x0000000000000000      0x0000000105408003      0x0000000105409003      0x000000010540a003      0x00000001054ff003',
    '0x0000000000200 |       0x0000000000000000      0x0000000105408003      0x0000000105409003      0x0000000140000083      0x0000000000000000',
  ].join('\n');
  it('a page of 4 KiB and one of 2 MiB', () => {
    expect(mappedPages(text, 'x')).toMatchObject([
      { device: '0000:00:14.0', pasid: 0, iova: '0xfffff000', page: '4K', physical: '0x1054ff000' },
      { iova: '0x200000', page: '2M', physical: '0x140000000' },
    ]);
  });
  it('a mapping before its device is an error', () =>
    expect(() => mappedPages(text.split('\n')[2], 'x')).toThrow(/before its device/));
});
