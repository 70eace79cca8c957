/**
 * The mail of 1 February 2012 (Alex Williamson, "Re: RFC: Device isolation groups"): its questions, and the answers as
 * they came to be.
 */
import { describe, expect, it } from 'vitest';
import { Device } from '../../../../hw/kernel/device.ts';
import { PlatformIommuDriver } from '../../../../hw/kernel/iommu/platform-driver.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { codeOf } from '../code-of.ts';
import { frame, page, SmallHost } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;

describe('"the IOMMU cannot reliably distinguish which device in the group initiated a transaction"', () => {
  it('devices behind a conventional bridge share its id, a group and a translation', () => {
    const host = new SmallHost();
    expect(host.group('P0')).toBe(host.group('P1'));
    expect(host.requesterId('P0')).toBe(host.requesterId('P1'));
    const domain = host.domain('P0');
    host.core.attachGroup(domain, host.group('P0'));
    domain.map(page(2), frame(0x22), 1, RW);
    expect([host.walk('P0', 2), host.walk('P1', 2)]).toEqual([0x22, 0x22]);
  });

  it('"isolation groups represent the minimum safe granularity": a part of one can\'t be attached', () => {
    const host = new SmallHost();
    expect(codeOf(() => host.core.attachDevice(host.domain('P0'), host.device('P0')))).toBe('EINVAL');
  });
});

describe('"we put functions 0 & 1 in an isolation group... then what?"', () => {
  it("entries for every alias: there is no representative device, each id leads to the group's domain", () => {
    const host = new SmallHost({
      unit: { scalableMode: 0, firstLevelTranslation: 0, secondLevelTranslation: 0 },
    });
    const domain = host.domain('P1');
    host.core.attachGroup(domain, host.group('P1'));
    const [own, alias] = host.device('P1').pci?.dmaAliases ?? [];
    domain.map(page(3), frame(0x33), 1, RW);
    for (const requesterId of [own, alias]) {
      expect(host.hardwareUnit.translate(requesterId, page(3), 1, -1)).toBe(0x33);
    }
  });
});

describe('"instead of iommu_attach/detach_device, we\'d have iommu_attach/detach_group?"', () => {
  it('both exist; the group call moves all members', () => {
    const host = new SmallHost();
    const domain = host.domain('M0');
    host.core.attachGroup(domain, host.group('M0'));
    expect([host.info('M0').domain, host.info('M1').domain]).toEqual([domain, domain]);
    host.core.detachGroup(domain, host.group('M0'));
    const alone = host.domain('C');
    host.core.attachDevice(alone, host.device('C'));
    expect(host.group('C').domain).toBe(alone);
  });
});

describe('"Do isolation groups enforce isolation, or just describe it?"', () => {
  it('the object describes; enforcement is the domain on all members and ownership', () => {
    const host = new SmallHost();
    expect(host.group('M0').ownerCount).toBe(0);
    host.core.claimGroup(host.group('M0'), {});
    expect(codeOf(() => host.core.useDefaultDomain(host.device('M1')))).toBe('EBUSY');
    expect(host.walk('M1', 1)).toBeLessThan(0);
  });

  it('a neighbour that appears later joins the group on its present domain, without DMA of its own', () => {
    const host = new SmallHost();
    const group = host.group('P0');
    const [{ pci }] = [host.device('P1')];
    host.core.removeDevice(host.device('P1'));
    host.core.claimGroup(group, {});
    const domain = host.domain('P0');
    host.core.attachGroup(domain, group);
    domain.map(page(4), frame(0x44), 1, RW);
    const again = new Device('0000:01:02.0', 'pci', { pci });
    host.core.probeDevice(again, host.driver, group);
    expect(host.driver.infoOf(again)?.domain).toBe(domain);
    expect(codeOf(() => host.core.useDefaultDomain(again))).toBe('EBUSY');
  });
});

describe('"its groups cannot span devices on multiple bus types"', () => {
  it('a group holds any struct device; a domain of another driver is EINVAL', () => {
    const host = new SmallHost();
    const platform = new PlatformIommuDriver();
    const device = new Device('fe200000.dma', 'platform');
    const group = host.core.probeDevice(device, platform, undefined);
    expect(group.devices.map(({ bus }) => bus)).toEqual(['platform']);
    expect(codeOf(() => host.core.attachGroup(host.domain('C'), group))).toBe('EINVAL');
    expect(codeOf(() => host.core.attachGroup(platform.allocate(device, {}), host.group('C')))).toBe(
      'EINVAL',
    );
  });

  it('numbers are the lowest free ones, and a group dies with its last member', () => {
    const host = new SmallHost();
    const { id } = host.group('C');
    host.core.removeDevice(host.device('C'));
    expect(host.core.groups.some((group) => group.id === id)).toBe(false);
    expect(host.core.allocateGroup().id).toBe(id);
  });
});
