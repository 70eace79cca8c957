/**
 * The mail of 3 May 2021 (Jason Gunthorpe in the thread of "[PATCH V4 05/18] iommu/ioasid: Redefine IOASID set and
 * allocation APIs"), walked through by the calls it speaks of. Quotations are from the mail.
 */
import { describe, expect, it } from 'vitest';
import type { KernelCalls } from '../../../../hw/kernel/calls/kernel-calls.ts';
import { IntelDomain } from '../../../../hw/kernel/intel/domain.ts';
import { codeOf } from '../code-of.ts';
import { AT, type DeviceName, SmallHost } from '../small-host.ts';

function setUp(profile: '5.15' | '7.2' = '7.2') {
  const host = new SmallHost({ profile, commandLine: 'intel_iommu=on' });
  const { calls } = host.kernel;
  return { host, calls };
}

function toVfio(host: SmallHost, ...names: DeviceName[]): void {
  for (const name of names) {
    host.device(name).driverOverride = 'vfio-pci';
    host.kernel.drivers.bind('pci', 'vfio-pci', AT[name]);
  }
}

const fault = (code: number): boolean => code < 0;

describe('"PATCH V4 05/18": a set with quota, as the thread discusses it', () => {
  it('two guests get numbers of their own, and the review’s points show', () => {
    const { calls } = setUp();
    calls.run('ioasid_set_alloc', { set: 'vm1', quota: '8', user: 'qemu1' });
    calls.run('ioasid_set_alloc', { set: 'vm2', quota: '8', user: 'qemu2' });
    const first = String(calls.run('ioasid_alloc', { set: 'vm1', first: '201' }));
    const second = String(calls.run('ioasid_alloc', { set: 'vm2', first: '201' }));
    expect([first, second]).toEqual(['201', '202']);
    calls.run('ioasid_attach_spid', { id: first, spid: '101' });
    calls.run('ioasid_attach_spid', { id: second, spid: '101' });
    expect(calls.run('ioasid_find_by_spid', { set: 'vm2', spid: '101' })).toBe(202);
    expect(codeOf(() => calls.run('ioasid_get', { set: 'vm1', id: second }))).toBe('EACCES');
    calls.run('ioasid_free', { set: 'vm1', id: first });
    const critique = calls.run('ioasid_critique', {}) as { point: string; evidence: string }[];
    expect(critique[0].evidence).toContain('8 of 1048576 IOASIDs are lost');
  });
});

describe('/dev/ioasid as the series wanted it', () => {
  it('the first process gets everything, the second nothing', () => {
    const { calls } = setUp();
    calls.run('ioasid_install_capacity', { total: '1000' });
    expect(calls.run('open_dev_ioasid', { user: 'qemu', max: '10' })).toEqual({ quota: 1000 });
    expect(calls.run('IOASID_REQUEST_ALLOC', { user: 'qemu' })).toBe(1);
    expect(codeOf(() => calls.run('open_dev_ioasid', { user: 'dpdk' }))).toBe('ENOSPC');
    calls.run('IOASID_REQUEST_ALLOC', { user: 'qemu' });
    calls.run('IOASID_REQUEST_FREE', { user: 'qemu', id: '1' });
    expect(calls.run('close_dev_ioasid', { user: 'qemu' })).toEqual({ lost: 1000 });
    expect(codeOf(() => calls.run('open_dev_ioasid', { user: 'dpdk' }))).toBe('ENOSPC');
  });
});

describe('"What these non-PCI devices need is for the kernel driver to be part of the IOMMU group of the underlying PCI device"', () => {
  it('a vDPA device is in its parent’s group, and no group is made for it', () => {
    const { host, calls } = setUp();
    const groups = host.core.groups.length;
    expect(calls.run('vdpa_dev_add', { vdpa: 'vdpa0', device: AT.C })).toEqual({ group: host.group('C').id });
    expect(host.core.groups).toHaveLength(groups);
    calls.run('open_vhost_vdpa', { vdpa: 'vdpa0', user: 'qemu' });
    calls.run('VHOST_IOTLB_UPDATE', { vdpa: 'vdpa0', iova: '0x10000', length: '0x1000', user: 'qemu' });
    expect(fault(host.walk('C', 0x10))).toBe(false);
    expect(host.group('C').devices.map(({ name }) => name)).toEqual([AT.C]);
  });
});

describe('"When we get to a /dev/ioasid this is all nonsense"', () => {
  it('devices are opened without naming a group; what counts is the descriptor', () => {
    const { host, calls } = setUp();
    toVfio(host, 'A', 'C');
    calls.run('open_iommu', { user: 'dpdk' });
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'dpdk', device: AT.A });
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'dpdk', device: AT.C });
    const ioas = String(calls.run('IOMMU_IOAS_ALLOC', { user: 'dpdk' }));
    calls.run('IOMMU_IOAS_MAP', { user: 'dpdk', ioas, length: '0x2000', iova: '0x100000' });
    // A fresh attachment allows no DMA but what is mapped.
    expect(fault(host.walk('A', 0x100))).toBe(true);
    const table = calls.run('VFIO_DEVICE_ATTACH_IOMMUFD_PT', { user: 'dpdk', device: AT.A, pt: ioas });
    expect(calls.run('VFIO_DEVICE_ATTACH_IOMMUFD_PT', { user: 'dpdk', device: AT.C, pt: ioas })).toBe(table);
    expect(host.walk('A', 0x100)).toBe(host.walk('C', 0x100));
  });

  it('"a PASID inside a kernel owned group" stays with the kernel: user space gets PASIDs of devices it owns', () => {
    const { host, calls } = setUp();
    toVfio(host, 'A');
    calls.run('open_iommu', { user: 'dpdk' });
    expect(codeOf(() => attach(calls, AT.A, '1', '5'))).toBe('ENODEV');
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'dpdk', device: AT.A });
    const ioas = String(calls.run('IOMMU_IOAS_ALLOC', { user: 'dpdk' }));
    const pt = String(
      calls.run('IOMMU_HWPT_ALLOC', { user: 'dpdk', device: AT.A, pt: ioas, flags: 'pasid' }),
    );
    calls.run('IOMMU_IOAS_MAP', { user: 'dpdk', ioas, length: '0x1000', iova: '0x4000' });
    attach(calls, AT.A, pt, '5');
    expect(fault(host.walk('A', 4, 1, 5))).toBe(false);
    expect(fault(host.walk('A', 4, 1))).toBe(true);
  });
});

function attach(calls: KernelCalls, device: string, pt: string, pasid: string): void {
  calls.run('VFIO_DEVICE_ATTACH_IOMMUFD_PT', { user: 'dpdk', device, pt, pasid });
}

describe('"If one thing claims the group then all the other group devices become locked out."', () => {
  it('dpdk on one function locks the other out of drivers and other owners', () => {
    const { host, calls } = setUp();
    toVfio(host, 'M0');
    calls.run('open_iommu', { user: 'dpdk' });
    calls.run('open_iommu', { user: 'qemu' });
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'dpdk', device: AT.M0 });
    expect(codeOf(() => host.core.useDefaultDomain(host.device('M1')))).toBe('EBUSY');
    toVfio(host, 'M1');
    expect(codeOf(() => calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'qemu', device: AT.M1 }))).toBe(
      'EPERM',
    );
  });

  it('"groups are NOT an application restriction! It is a whole system restriction": the operator sees who and why', () => {
    const { host, calls } = setUp();
    toVfio(host, 'M0');
    calls.run('open_iommu', { user: 'dpdk' });
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'dpdk', device: AT.M0 });
    expect(host.group('M0').owner).toBeDefined();
    // The application that held it has nothing to do with groups: its end alone frees the other device.
    calls.run('exit', { user: 'dpdk' });
    expect(host.group('M0').ownerCount).toBe(0);
    expect(codeOf(() => host.core.useDefaultDomain(host.device('M1')))).toBe('ok');
  });
});

describe('what a generation lacks, it says', () => {
  it('5.15 has no /dev/iommu and names what there is instead', () => {
    const { calls } = setUp('5.15');
    expect(() => calls.run('open_iommu', { user: 'dpdk' })).toThrow(/no \/dev\/iommu/);
    expect(codeOf(() => calls.run('open_iommu', { user: 'dpdk' }))).toBe('ENOENT');
  });

  it('a nested first stage shows as such in the PASID entry', () => {
    const { host, calls } = setUp();
    toVfio(host, 'A');
    calls.run('open_iommu', { user: 'qemu' });
    calls.run('VFIO_DEVICE_BIND_IOMMUFD', { user: 'qemu', device: AT.A });
    const ioas = String(calls.run('IOMMU_IOAS_ALLOC', { user: 'qemu' }));
    const parent = String(
      calls.run('IOMMU_HWPT_ALLOC', { user: 'qemu', device: AT.A, pt: ioas, flags: 'nest_parent' }),
    );
    const nested = String(
      calls.run('IOMMU_HWPT_ALLOC', { user: 'qemu', device: AT.A, pt: parent, table: '0x1000' }),
    );
    calls.run('VFIO_DEVICE_ATTACH_IOMMUFD_PT', { user: 'qemu', device: AT.A, pt: nested });
    const { domain } = host.info('A');
    expect(domain).toBeInstanceOf(IntelDomain);
    expect(domain?.type).toBe('nested');
    const objects = calls.run('list_iommufd_objects', { user: 'qemu' }) as { type: string }[];
    expect(objects.map(({ type }) => type)).toEqual(['device', 'ioas', 'hwpt paging', 'hwpt nested']);
  });
});
