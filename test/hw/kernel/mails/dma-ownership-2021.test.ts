/**
 * The mail of 24 December 2021 (Jason Gunthorpe, "Re: [PATCH v4 07/13] iommu: Add iommu_at[de]tach_device_shared() for
 * multi-device groups"), walked through in its own terms.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { Device } from '../../../../hw/kernel/device.ts';
import { PlatformIommuDriver } from '../../../../hw/kernel/iommu/platform-driver.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { codeOf } from '../code-of.ts';
import { frame, page, SmallHost } from '../small-host.ts';

let host: SmallHost;
beforeEach(() => {
  host = new SmallHost();
});

const proposed = () => host.kernel.proposedOwnership;

describe('"int iommu_device_set/release/query_kernel_dma(struct device *dev)"', () => {
  it('"No other domains could be attached" while driver DMAs go through the kernel DMA APIs', () => {
    proposed().setKernelDma(host.device('M0'));
    expect(proposed().queryKernelDma(host.device('M1'))).toBe(true);
    const file = {};
    expect(codeOf(() => proposed().setGroupOwner(host.group('M0'), file))).toBe('EBUSY');
    expect(codeOf(() => proposed().setPrivateDma(host.device('M1')))).toBe('EBUSY');
    proposed().releaseKernelDma(host.device('M0'));
    expect(codeOf(() => proposed().setGroupOwner(host.group('M0'), file))).toBe('ok');
    expect(proposed().queryKernelDma(host.device('M1'))).toBe(false);
  });

  it('every driver of a group counts', () => {
    proposed().setKernelDma(host.device('M0'));
    proposed().setKernelDma(host.device('M1'));
    proposed().releaseKernelDma(host.device('M0'));
    expect(host.group('M0').ownerCount).toBe(1);
  });
});

describe('"1) iommu_attach_device() as used by the 11 current drivers"', () => {
  it('"API compatible with what we have today": the claimed driver takes over from the default domain', () => {
    proposed().setKernelDma(host.device('C'));
    const domain = host.domain('C');
    proposed().attachDevice(domain, host.device('C'));
    expect(host.group('C').domain).toBe(domain);
    expect(codeOf(() => proposed().setKernelDma(host.device('C')))).toBe('EBUSY');
    proposed().detachDevice(domain, host.device('C'));
    expect(host.group('C').domain).toBe(host.group('C').defaultDomain);
  });

  it('is for groups of one device', () => {
    expect(codeOf(() => proposed().attachDevice(host.domain('M0'), host.device('M0')))).toBe('EINVAL');
  });
});

describe('"2) iommu_attach_device_shared() which is used by tegra"', () => {
  function tegra() {
    const driver = new PlatformIommuDriver();
    const dc = new Device('54200000.dc', 'platform');
    const gr2d = new Device('54140000.gr2d', 'platform');
    const group = host.core.probeDevice(dc, driver, undefined);
    host.core.probeDevice(gr2d, driver, group);
    return { driver, dc, gr2d, group };
  }

  it('"Present the same domain and your device gets to join the group. Present a different domain and it is rejected."', () => {
    const { driver, dc, gr2d, group } = tegra();
    const shared = driver.allocate(dc, {});
    const different = driver.allocate(dc, {});
    expect(codeOf(() => proposed().attachDeviceShared(shared, dc))).toBe('EPERM');
    proposed().setPrivateDma(dc);
    proposed().setPrivateDma(gr2d);
    proposed().attachDeviceShared(shared, dc);
    proposed().attachDeviceShared(shared, gr2d);
    expect(group.sharedCount).toBe(2);
    expect(codeOf(() => proposed().attachDeviceShared(different, gr2d))).toBe('EBUSY');
    shared.map(page(1), frame(0x11), 1, IommuProt.read);
    expect([driver.translate(dc, page(1)), driver.translate(gr2d, page(1))]).toEqual([0x11, 0x11]);
    proposed().detachDeviceShared(shared, dc);
    expect(group.domain).toBe(shared);
    proposed().detachDeviceShared(shared, gr2d);
    expect(group.domain).toBe(group.defaultDomain);
  });

  it('works the same on a PCI group of two functions', () => {
    const domain = host.domain('M0');
    proposed().setPrivateDma(host.device('M0'));
    proposed().attachDeviceShared(domain, host.device('M0'));
    proposed().attachDeviceShared(domain, host.device('M1'));
    domain.map(page(7), frame(0x77), 1, IommuProt.read);
    expect([host.walk('M0', 7), host.walk('M1', 7)]).toEqual([0x77, 0x77]);
    expect(codeOf(() => proposed().attachDeviceShared(host.domain('M0'), host.device('M1')))).toBe('EBUSY');
  });

  it('a detach with another domain warns and does nothing', () => {
    proposed().setPrivateDma(host.device('M0'));
    proposed().attachDeviceShared(host.domain('M0'), host.device('M0'));
    proposed().detachDeviceShared(host.domain('M0'), host.device('M0'));
    expect(host.kernel.log.lines.at(-1)).toBe('WARNING in iommu_detach_device_shared');
    expect(host.group('M0').sharedCount).toBe(1);
  });
});

describe('"3) the iommu_group_set_dma_owner()/iommu_replace_group_domain() API that I suggested, used only by VFIO"', () => {
  it('"uses the \'struct file *owner\' instead of the domain to permit sharing"', () => {
    const file = {};
    proposed().setGroupOwner(host.group('C'), file);
    proposed().setGroupOwner(host.group('C'), file);
    expect(host.group('C').ownerCount).toBe(2);
    expect(codeOf(() => proposed().setGroupOwner(host.group('C'), {}))).toBe('EBUSY');
    proposed().releaseGroupOwner(host.group('C'));
    proposed().releaseGroupOwner(host.group('C'));
    expect(host.group('C').domain).toBe(host.group('C').defaultDomain);
  });

  it('"is designed to work without a domain": all DMA is blocked until one is given', () => {
    proposed().setGroupOwner(host.group('C'), {});
    expect(host.walk('C', 5)).toBeLessThan(0);
  });

  it('"replace domain" goes from the present domain to the next and never over the default one', () => {
    const group = host.group('C');
    const [first, second] = [host.domain('C'), host.domain('C')];
    expect(codeOf(() => proposed().replaceGroupDomain(group, undefined, first))).toBe('EPERM');
    proposed().setGroupOwner(group, {});
    proposed().replaceGroupDomain(group, undefined, first);
    expect(codeOf(() => proposed().replaceGroupDomain(group, second, first))).toBe('EINVAL');
    proposed().replaceGroupDomain(group, first, second);
    expect(group.domain).toBe(second);
    proposed().replaceGroupDomain(group, second, undefined);
    expect(group.domain).toBe(group.blockingDomain);
  });
});

it('"All three need to consistently use the owner_cnt": one excludes the others', () => {
  const device = host.device('C');
  const group = host.group('C');
  const ways = {
    kernel: { on: () => proposed().setKernelDma(device), off: () => proposed().releaseKernelDma(device) },
    private: { on: () => proposed().setPrivateDma(device), off: () => proposed().releasePrivateDma(device) },
    file: { on: () => proposed().setGroupOwner(group, {}), off: () => proposed().releaseGroupOwner(group) },
  };
  for (const [name, way] of Object.entries(ways)) {
    way.on();
    for (const [other, { on }] of Object.entries(ways)) if (other !== name) expect(codeOf(on)).toBe('EBUSY');
    way.off();
    expect(group.ownerCount).toBe(0);
  }
});
