import { describe, expect, it } from 'vitest';
import { HwptFlag } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import { SmallHost } from '../small-host.ts';
import { codeOf, User } from './user.ts';

describe('dirty tracking by the second-level table (VT-d 3.7.2, ECAP.SLADS)', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const user = new User(host, 'qemu');
  const device = user.bind('A');
  const ioas = user.ioas();
  user.map(ioas, 0x100000n, 0x10000);
  const table = user.pageTable(device, ioas, HwptFlag.dirtyTracking);
  device.attach(table);
  const bitmap = (flags = 0): bigint[] => [
    ...hwptGetDirtyBitmap(user.context, {
      hwpt: table,
      flags,
      iova: 0x100000n,
      length: 0x10000n,
      pageSize: 0x1000n,
    }),
  ];

  it('marks what the device writes, from switching on', () => {
    host.write('A', 0x101000n, new Uint8Array(8));
    hwptSetDirtyTracking(user.context, { hwpt: table, flags: 1 });
    expect(bitmap()).toEqual([0n]);
    host.write('A', 0x103000n, new Uint8Array(8));
    host.read('A', 0x104000n, 8);
    expect(bitmap(1)).toEqual([8n]);
    expect(bitmap()).toEqual([8n]);
    expect(bitmap()).toEqual([0n]);
  });

  it('marks again after a reading, although the page is in the IOTLB', () => {
    host.write('A', 0x103000n, new Uint8Array(8));
    expect(bitmap()).toEqual([8n]);
  });

  it('is refused where the page table was not made for it', () => {
    const plain = user.pageTable(device, ioas);
    expect(codeOf(() => hwptSetDirtyTracking(user.context, { hwpt: plain, flags: 1 }))).toBe('EOPNOTSUPP');
  });
});

describe('where the unit has no second-level A and D bits', () => {
  it('a page table for dirty tracking is refused', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on', unit: { secondLevelAccessDirty: 0 } });
    const user = new User(host, 'qemu');
    const device = user.bind('A');
    expect(codeOf(() => user.pageTable(device, user.ioas(), HwptFlag.dirtyTracking))).toBe('EOPNOTSUPP');
  });
});
