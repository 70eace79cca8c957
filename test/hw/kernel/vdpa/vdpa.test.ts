import { describe, expect, it } from 'vitest';
import { VdpaDevice } from '../../../../hw/kernel/vdpa/vdpa-device.ts';
import { codeOf, User } from '../iommufd/user.ts';
import { SmallHost } from '../small-host.ts';

const RW = 3;

describe('vDPA inside the group of its parent (mail of 3 May 2021; drivers/vhost/vdpa.c)', () => {
  it('DMA carries the requester id of the parent and reaches the memory of the one who opened it', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on' });
    const vdpa = new VdpaDevice('vdpa0', host.device('C'));
    const owner = host.kernel.processes.create('vhost');
    const address = owner.memory.mapAnonymous(0x4000);
    const open = vdpa.open(host.core, owner);
    open.map(0, 0x10000n, 0x4000n, BigInt(address), RW);
    expect(host.walk('C', 0x11)).toBe(owner.memory.frameAt(address / 4096 + 1, false));
    expect(vdpa.groupIn(host.core)?.devices.map((device) => device.name)).toEqual([host.device('C').name]);
    expect(codeOf(() => vdpa.open(host.core, owner))).toBe('EBUSY');
    expect(codeOf(() => open.map(0, 0x12000n, 0x1000n, BigInt(address), RW))).toBe('EEXIST');
    expect(owner.memory.pinnedPages).toBe(4);
    open.unmap(0, 0x10000n, 0x4000n);
    expect(owner.memory.pinnedPages).toBe(0);
    expect(host.walk('C', 0x11)).toBeLessThan(0);
    open.release();
    expect(host.group('C').domain).toBe(host.group('C').defaultDomain);
  });

  it('needs a parent that is alone in its group', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on' });
    const vdpa = new VdpaDevice('vdpa0', host.device('M0'));
    expect(codeOf(() => vdpa.open(host.core, host.kernel.processes.create('vhost')))).toBe('EINVAL');
  });

  it('is locked out by whoever claims the group, and locks out nobody by claiming', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on' });
    const vdpa = new VdpaDevice('vdpa0', host.device('C'));
    const dpdk = new User(host, 'dpdk');
    const node = dpdk.bind('C');
    const ioas = dpdk.ioas();
    node.attach(ioas);
    expect(codeOf(() => vdpa.open(host.core, host.kernel.processes.create('vhost')))).toBe('EBUSY');
    node.close();
    const open = vdpa.open(host.core, host.kernel.processes.create('vhost'));
    expect(host.group('C').ownerCount).toBe(0);
    open.release();
  });

  it('charges what is pinned against the limit of the process', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on' });
    const owner = host.kernel.processes.create('vhost', { userId: 1000, memoryLockLimitBytes: 0x4000 });
    const address = owner.memory.mapAnonymous(0x8000);
    const open = new VdpaDevice('vdpa0', host.device('C')).open(host.core, owner);
    expect(codeOf(() => open.map(0, 0n, 0x5000n, BigInt(address), RW))).toBe('ENOMEM');
    expect(codeOf(() => open.map(0, 0n, 0x4000n, BigInt(address), RW))).toBe('ok');
  });

  it('several address spaces need a device that translates by itself', () => {
    const host = new SmallHost({ commandLine: 'intel_iommu=on' });
    const parent = host.device('M0');
    expect(codeOf(() => new VdpaDevice('vdpa0', parent, { addressSpaces: 2 }))).toBe('EOPNOTSUPP');
    const maps: string[] = [];
    const mapping = {
      map: (space: number, iova: bigint) => void maps.push(`${space}:${iova}`),
      unmap: () => void maps.push('unmap'),
    };
    const owner = host.kernel.processes.create('vhost');
    const address = owner.memory.mapAnonymous(0x1000);
    const vdpa = new VdpaDevice('vdpa1', parent, { addressSpaces: 2, ringGroups: 2, mapping });
    const open = vdpa.open(host.core, owner);
    open.setRingSpace(1, 1);
    expect(codeOf(() => open.setRingSpace(2, 0))).toBe('EINVAL');
    open.map(1, 0x1000n, 0x1000n, BigInt(address), RW);
    expect(maps).toEqual(['1:4096']);
    expect(host.group('M0').domain).toBe(host.group('M0').defaultDomain);
  });
});
