import { describe, expect, it } from 'vitest';
import { AT, SmallHost } from '../small-host.ts';
import { codeOf } from './user.ts';

function setUp(node?: string) {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  host.device('C').driverOverride = 'vfio-pci';
  host.kernel.drivers.bind('pci', 'vfio-pci', AT.C);
  const run = (call: string, args: Record<string, string>) =>
    host.kernel.calls.run(call, { user: 'old', ...args });
  run('open_iommu', { uid: node === undefined ? '0' : '1000', memlock: '0x8000', ...(node ? { node } : {}) });
  return { host, run };
}

describe('an old program with an IOMMUFD descriptor as its container (vfio_compat.c)', () => {
  it('claims the group when the device is opened, attaches it to the compatibility address space', () => {
    const { host, run } = setUp();
    expect(codeOf(() => run('VFIO_SET_IOMMU', { type: 'TYPE1v2' }))).toBe('ENODEV');
    run('VFIO_GROUP_SET_CONTAINER', { group: AT.C });
    expect(host.group('C').ownerCount).toBe(0);
    run('VFIO_SET_IOMMU', { type: 'TYPE1v2' });
    run('VFIO_IOMMU_MAP_DMA', { iova: '0x10000', size: '0x4000' });
    run('VFIO_GROUP_GET_DEVICE_FD', { device: AT.C });
    expect(host.group('C').owner).toBeDefined();
    expect(host.walk('C', 0x10)).toBeGreaterThan(0);
    expect(codeOf(() => run('VFIO_IOMMU_UNMAP_DMA', { iova: '0x10000', size: '0x1000' }))).toBe('ENOENT');
    run('VFIO_GROUP_UNSET_CONTAINER', { group: AT.C });
    expect(host.group('C').ownerCount).toBe(0);
    expect(host.walk('C', 0x10)).toBeLessThan(0);
  });

  it('may cut mappings with type 1: their ends become ends of page table entries', () => {
    const { host, run } = setUp();
    run('VFIO_GROUP_SET_CONTAINER', { group: AT.C });
    run('VFIO_SET_IOMMU', { type: 'TYPE1' });
    run('VFIO_GROUP_GET_DEVICE_FD', { device: AT.C });
    run('VFIO_IOMMU_MAP_DMA', { iova: '0x10000', size: '0x4000' });
    expect(run('VFIO_IOMMU_UNMAP_DMA', { iova: '0x11000', size: '0x2000' })).toEqual({ size: '0x2000' });
    expect([0x10, 0x11, 0x12, 0x13].map((page) => host.walk('C', page) > 0)).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(run('VFIO_IOMMU_UNMAP_DMA', {})).toEqual({ size: '0x2000' });
  });

  it('opened as the container node, charges the process as type1 does (RLIMIT_MEMLOCK, VmLck and VmPin)', () => {
    const { host, run } = setUp('/dev/vfio/vfio');
    for (const group of host.kernel.vfio.groups) group.nodeUserId = 1000;
    run('VFIO_GROUP_SET_CONTAINER', { group: AT.C });
    run('VFIO_SET_IOMMU', { type: 'TYPE1v2' });
    run('VFIO_GROUP_GET_DEVICE_FD', { device: AT.C });
    run('VFIO_IOMMU_MAP_DMA', { iova: '0x10000', size: '0x8000' });
    const memory = host.kernel.processes.processes.find(({ name }) => name === 'old')?.memory;
    expect(memory).toMatchObject({ lockedPages: 8, pinnedPages: 8 });
    expect(codeOf(() => run('VFIO_IOMMU_MAP_DMA', { iova: '0x20000', size: '0x1000' }))).toBe('ENOMEM');
    run('VFIO_IOMMU_UNMAP_DMA', {});
    expect(memory).toMatchObject({ lockedPages: 0, pinnedPages: 0 });
  });
});
