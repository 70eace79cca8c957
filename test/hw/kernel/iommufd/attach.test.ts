import { describe, expect, it } from 'vitest';
import { HwptFlag } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { ioasIovaRanges } from '../../../../hw/kernel/iommufd/ioas-requests.ts';
import { SmallHost } from '../small-host.ts';
import { codeOf, User } from './user.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('two devices of one group on iommufd (drivers/iommu/iommufd/device.c)', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const a = new User(host, 'a');
  const b = new User(host, 'b');
  const first = a.bind('M0');

  it('numbers objects from 1, lowest free first', () => {
    expect(first.id).toBe(1);
  });

  it('blocks the group from binding on, and keeps other owners out of it', () => {
    expect(host.group('M0').domain?.type).toBe('blocked');
    expect(codeOf(() => b.bind('M1'))).toBe('EPERM');
  });

  it('lets the same descriptor bind the other member', () => {
    const second = a.bind('M1');
    expect(second.id).toBe(2);
    const ioas = a.ioas();
    expect(ioas).toBe(3);
    a.map(ioas, 0x100000n, 0x200000);
    expect(a.process.memory.pinnedPages).toBe(0);
    expect(first.attach(ioas)).toBe(4);
    expect(a.process.memory.pinnedPages).toBe(512);
    const { ranges, alignment } = ioasIovaRanges(a.context, { ioas });
    expect(alignment).toBe(4096n);
    expect(ranges[0]).toEqual({ start: 0n, last: 0xfedfffffn });
    // The second member joins the page table of the first.
    expect(second.attach(ioas)).toBe(4);
    const own = a.pageTable(first, ioas);
    expect(own).toBe(5);
    expect(a.process.memory.pinnedPages).toBe(512);
    // A replacement moves both; the automatic page table has lost its last user.
    expect(first.attach(own)).toBe(5);
    expect(a.context.objects.find(4)).toBeUndefined();
    expect(codeOf(() => a.unmap(ioas, 0x100000n, 0x1000n))).toBe('ENOENT');
    expect(a.unmap(ioas, 0n, 0x400000n)).toBe(0x200000n);
    expect(codeOf(() => a.unmap(ioas, 0n, 0x400000n))).toBe('ENOENT');
    expect(codeOf(() => a.destroy(ioas))).toBe('EBUSY');
    expect(codeOf(() => a.destroy(first.id))).toBe('EBUSY');
    const other = a.ioas();
    second.detach();
    expect(codeOf(() => second.attach(other))).toBe('EINVAL');
    second.close();
    first.close();
    expect(host.group('M0').ownerCount).toBe(0);
    expect(host.group('M0').domain).toBe(host.group('M0').defaultDomain);
  });
});

describe('PASIDs chosen by the user', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const user = new User(host, 'driver');
  const device = user.bind('A');
  const ioas = user.ioas();
  const memory = user.map(ioas, 0x40000n, 0x2000);

  it('need a page table made for them (iommufd_hwpt_pasid_compat)', () => {
    device.attach(ioas);
    const table = user.pageTable(device, ioas, HwptFlag.pasid);
    expect(codeOf(() => device.attach(table, 40))).toBe('EINVAL');
    expect(codeOf(() => device.attach(ioas, 40))).toBe('EINVAL');
    device.attach(user.pageTable(device, ioas, HwptFlag.pasid));
    expect(device.attach(table, 40)).toBe(table);
    expect(codeOf(() => device.attach(ioas))).toBe('EINVAL');
  });

  it('carry DMA of that PASID only', () => {
    user.process.memory.write(memory, text('payload'));
    expect(host.walk('A', 0x40, 1, 40)).toBe(host.walk('A', 0x40, 1));
    expect(host.walk('A', 0x40, 1, 41)).toBeLessThan(0);
  });

  it('stay when the device itself is detached', () => {
    device.detach();
    expect(host.walk('A', 0x40, 1)).toBeLessThan(0);
    expect(host.walk('A', 0x40, 1, 40)).toBeGreaterThan(0);
  });

  it('go when the device is closed', () => {
    device.close();
    expect(host.walk('A', 0x40, 1, 40)).toBeLessThan(0);
    expect(host.group('A').pasids.size).toBe(0);
  });

  it('mean nothing to a device that can tag no request, and are refused beyond the width of one that can', () => {
    const plain = user.bind('C');
    const table = user.pageTable(plain, user.ioas(), HwptFlag.pasid);
    expect(codeOf(() => plain.attach(table, 5))).toBe('ok');
    expect(host.info('C').pasidDomains.size).toBe(0);
    plain.detach(5);
    const narrow = user.bind('narrow');
    expect(codeOf(() => narrow.attach(user.pageTable(narrow, user.ioas(), HwptFlag.pasid), 16))).toBe(
      'EINVAL',
    );
  });
});

describe('a user-space owner that is no virtual machine, beside one', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const dpdk = new User(host, 'dpdk');
  const qemu = new User(host, 'qemu');
  const port = dpdk.bind('C');
  const function1 = qemu.bind('A');
  const [ours, theirs] = [dpdk.ioas(), qemu.ioas()];
  const packets = dpdk.map(ours, 0x100000n, 0x200000, { huge: true });
  const guest = qemu.map(theirs, 0x100000n, 0x10000);
  port.attach(ours);
  function1.attach(theirs);

  it('the same address reaches the memory of its own owner', () => {
    dpdk.process.memory.write(packets, text('packet'));
    qemu.process.memory.write(guest, text('guest!'));
    expect(host.walk('C', 0x100)).not.toBe(host.walk('A', 0x100));
    host.write('C', 0x100000n, text('from C'));
    expect(qemu.process.memory.read(guest, 6)).toEqual(text('guest!'));
    expect(dpdk.process.memory.read(packets, 6)).toEqual(text('from C'));
  });

  it('objects of one descriptor do not exist for the other', () => {
    expect(codeOf(() => qemu.destroy(99))).toBe('ENOENT');
    expect(codeOf(() => dpdk.unmap(theirs + 7, 0n, 0x1000n))).toBe('ENOENT');
  });

  it('its end gives everything back', () => {
    dpdk.end();
    expect(host.group('C').ownerCount).toBe(0);
    expect(host.walk('C', 0x100)).toBeLessThan(0);
    expect(host.walk('A', 0x100)).toBeGreaterThan(0);
  });
});

describe('reserved memory (RMRR) and iommufd', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });
  const user = new User(host, 'user');

  it('a device that must not be blocked cannot be bound (7.2: EINVAL at the step to blocking)', () => {
    expect(codeOf(() => user.bind('storage'))).toBe('EINVAL');
  });

  it('a relaxable region is left open, the interrupt window is not', () => {
    const device = user.bind('usb');
    const ioas = user.ioas();
    user.map(ioas, 0x7f000000n, 0x1000);
    device.attach(ioas);
    expect(codeOf(() => user.map(ioas, 0xfee00000n, 0x1000))).toBe('EINVAL');
  });

  it('a mapping in the window keeps the device from attaching until it goes', () => {
    const device = user.bind('M0');
    const ioas = user.ioas();
    user.map(ioas, 0xfee00000n, 0x1000);
    expect(codeOf(() => device.attach(ioas))).toBe('EADDRINUSE');
    user.unmap(ioas, 0xfee00000n, 0x1000n);
    expect(codeOf(() => device.attach(ioas))).toBe('ok');
  });
});
