/** DMA ownership as merged (Linux 5.18 on), by the rules of drivers/iommu/iommu.c. */
import { describe, expect, it } from 'vitest';
import type { DeviceDriver } from '../../../../hw/kernel/device.ts';
import { ownershipOf, pasidOwnership } from '../../../../hw/kernel/iommu/operator-view.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { codeOf } from '../code-of.ts';
import { frame, page, SmallHost } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;
const owner = { name: 'vm1' };
const other = { name: 'vm2' };

function driver(name: string, managesDma = false): DeviceDriver {
  return { name, bus: 'pci', managesDma, probe: () => {}, remove: () => undefined };
}

describe.each(['6.1', '7.2'] as const)('owner_cnt and owner, %s', (profile) => {
  it('kernel drivers count, and a claim then fails with EPERM', () => {
    const host = new SmallHost({ profile });
    host.core.useDefaultDomain(host.device('M0'));
    host.core.useDefaultDomain(host.device('M1'));
    expect(host.group('M0').ownerCount).toBe(2);
    expect(codeOf(() => host.core.claimGroup(host.group('M0'), owner))).toBe('EPERM');
    host.core.unuseDefaultDomain(host.device('M0'));
    expect(codeOf(() => host.core.claimGroup(host.group('M0'), owner))).toBe('EPERM');
    host.core.unuseDefaultDomain(host.device('M1'));
    expect(codeOf(() => host.core.claimGroup(host.group('M0'), owner))).toBe('ok');
  });

  it('a claim blocks the DMA of every member until a user domain is attached', () => {
    const host = new SmallHost({ profile });
    host.core.claimGroup(host.group('M0'), owner);
    expect([host.walk('M0', 5), host.walk('M1', 5)].every((result) => result < 0)).toBe(true);
    const domain = host.domain('M0');
    host.core.attachGroup(domain, host.group('M0'));
    domain.map(page(5), frame(0x55), 1, RW);
    expect([host.walk('M0', 5), host.walk('M1', 5)]).toEqual([0x55, 0x55]);
    host.core.detachGroup(domain, host.group('M0'));
    expect(host.group('M0').domain).toBe(host.group('M0').blockingDomain);
  });

  it('binding into a claimed group is EBUSY, and so is one into a group on a private domain', () => {
    const host = new SmallHost({ profile });
    host.core.claimGroup(host.group('M0'), owner);
    expect(codeOf(() => host.core.useDefaultDomain(host.device('M1')))).toBe('EBUSY');
    host.core.useDefaultDomain(host.device('C'));
    host.core.attachDevice(host.domain('C'), host.device('C'));
    expect(codeOf(() => host.core.useDefaultDomain(host.device('C')))).toBe('EBUSY');
  });

  it('a claim is not counted: a second one, by the same owner, is EPERM', () => {
    const host = new SmallHost({ profile });
    host.core.claimGroup(host.group('C'), owner);
    expect(codeOf(() => host.core.claimGroup(host.group('C'), owner))).toBe('EPERM');
    expect(codeOf(() => host.core.claimGroup(host.group('C'), other))).toBe('EPERM');
  });

  it('EBUSY, not EPERM, when nobody counts but a private domain is attached', () => {
    const host = new SmallHost({ profile });
    host.core.attachDevice(host.domain('C'), host.device('C'));
    expect(codeOf(() => host.core.claimGroup(host.group('C'), owner))).toBe('EBUSY');
  });

  it('release restores the default domain', () => {
    const host = new SmallHost({ profile });
    const before = host.group('C').domain;
    host.core.claimGroup(host.group('C'), owner);
    host.core.releaseGroup(host.group('C'));
    expect(host.group('C').domain).toBe(before);
    expect(host.group('C').ownerCount).toBe(0);
    expect(codeOf(() => host.core.useDefaultDomain(host.device('C')))).toBe('ok');
  });

  it('the default type of a group in use cannot be changed; unknown words EINVAL', () => {
    const host = new SmallHost({ profile });
    expect(codeOf(() => host.core.setDefaultType(host.group('C'), 'nonsense'))).toBe('EINVAL');
    host.core.setDefaultType(host.group('C'), 'identity');
    expect(host.walk('C', 0x1234)).toBe(0x1234);
    host.core.setDefaultType(host.group('C'), 'auto');
    // 6.1 looks at the domain and at the driver, 7.2 at the count.
    host.core.claimGroup(host.group('C'), owner);
    const refused = profile === '6.1' ? 'EBUSY' : 'EPERM';
    expect(codeOf(() => host.core.setDefaultType(host.group('C'), 'identity'))).toBe(refused);
    const several = profile === '6.1' ? 'EINVAL' : 'ok';
    expect(codeOf(() => host.core.setDefaultType(host.group('M0'), 'identity'))).toBe(several);
  });
});

describe('claims by device (6.2 on)', () => {
  it('the same owner may come again, once for each device; another is EPERM', () => {
    const host = new SmallHost();
    host.core.claimDevice(host.device('M0'), owner);
    host.core.claimDevice(host.device('M1'), owner);
    expect(codeOf(() => host.core.claimDevice(host.device('M1'), other))).toBe('EPERM');
    expect(host.group('M0').ownerCount).toBe(2);
    host.core.releaseDevice(host.device('M0'));
    expect(host.group('M0').owner).toBe(owner);
    host.core.releaseDevice(host.device('M1'));
    expect(host.group('M0').owner).toBeUndefined();
  });
});

describe('5.15 has no ownership', () => {
  it('says so instead of pretending', () => {
    const host = new SmallHost({ profile: '5.15' });
    expect(codeOf(() => host.core.claimGroup(host.group('C'), owner))).toBe('EOPNOTSUPP');
    expect(codeOf(() => host.core.useDefaultDomain(host.device('C')))).toBe('ok');
    expect(host.group('C').ownerCount).toBe(0);
  });

  it('a failed attach leaves the device without any domain (named quirk)', () => {
    const host = new SmallHost({ profile: '5.15', unit: { firstLevel5Levels: 0 } });
    const domain = host.domain('C');
    domain.map(page(2 ** 36), frame(1), 1, RW);
    expect(codeOf(() => host.core.attachDevice(domain, host.device('C')))).toBe('EFAULT');
    expect(host.info('C').domain).toBeUndefined();
    expect(host.kernel.profile.quirks.map((quirk) => quirk.name)).toContain('failed-attach-loses-domain');
  });
});

describe('moving a group is all or nothing (6.1 on)', () => {
  it('puts members back when one of them cannot be moved', () => {
    const host = new SmallHost({ unit: { firstLevelTranslation: 0, domainIdCode: 0 } });
    const group = host.group('M0');
    const before = group.domain;
    const domains = [];
    // Uses the ids up, so that the group's move fails with ENOSPC.
    while (host.unit.domainIds.free > 0) {
      const domain = host.domain('A');
      host.core.attachDevicePasid(domain, host.device('A'), domains.length + 1);
      domains.push(domain);
    }
    expect(codeOf(() => host.core.attachGroup(host.domain('M0'), group))).toBe('ENOSPC');
    expect(group.domain).toBe(before);
    expect([host.info('M0').domain, host.info('M1').domain]).toEqual([before, before]);
  });

  it('EINVAL for attach of a device that is not alone', () => {
    const host = new SmallHost();
    expect(codeOf(() => host.core.attachDevice(host.domain('M0'), host.device('M0')))).toBe('EINVAL');
  });
});

describe("the operator's view", () => {
  it('says who, since which act, what is locked out and what frees it', () => {
    const host = new SmallHost();
    host.core.acts.begin('assign M0 to vm1');
    host.core.claimGroup(host.group('M0'), owner);
    host.core.acts.begin('map memory');
    host.core.attachGroup(host.domain('M0'), host.group('M0'));
    const report = ownershipOf(host.group('M0'), host.kernel.profile);
    expect(report).toMatchObject({
      use: 'claimed, user domain',
      owner: 'vm1',
      since: { number: 1, text: 'assign M0 to vm1' },
      domain: { since: { number: 2 } },
      claimWouldGive: 'EPERM',
      freedBy: ['release the group at its owner (vm1)'],
    });
    expect(report.lockedOut.filter(({ errno }) => errno === 'EBUSY').map(({ device }) => device)).toEqual([
      '0000:00:08.0',
      '0000:00:08.1',
    ]);
  });

  it('foretells the errno of a claim before it is tried', () => {
    const host = new SmallHost();
    const claim = (name: 'C' | 'storage' | 'A') => {
      const foretold = ownershipOf(host.group(name), host.kernel.profile).claimWouldGive;
      const code = codeOf(() => host.core.claimGroup(host.group(name), owner));
      return [foretold, code === 'ok' ? '0' : code];
    };
    host.device('C').driver = driver('e1000e');
    host.core.useDefaultDomain(host.device('C'));
    host.core.attachDevicePasid(host.domain('A'), host.device('A'), 3);
    expect([claim('C'), claim('storage'), claim('A')]).toEqual([
      ['EPERM', 'EPERM'],
      ['EINVAL', 'EINVAL'],
      ['EBUSY', 'EBUSY'],
    ]);
    expect(ownershipOf(host.group('C'), host.kernel.profile).freedBy).toEqual([
      'unbind e1000e from 0000:00:04.0',
    ]);
    expect(pasidOwnership(host.group('A'), 3)?.since.text).toBe('boot');
  });
});
