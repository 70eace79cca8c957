/** What the driver of 5.15 (and mostly 6.1) does differently: flushes, errors of an attach, entries of tables. */
import { describe, expect, it } from 'vitest';
import { atsEnabled } from '../../../../hw/kernel/intel/device-features.ts';
import { PageTable } from '../../../../hw/kernel/intel/page-table.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { codeOf } from '../code-of.ts';
import { type DeviceName, frame, page, SmallHost, type SmallHostOptions } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;
const SECOND_LEVEL = { firstLevelTranslation: 0 } as const;
const LEGACY = { scalableMode: 0, processAddressSpaceIds: 0, ...SECOND_LEVEL, secondLevelTranslation: 0 };
/** The invalidation hint of a PASID IOTLB descriptor: no table was freed. */
const HINT = 1n << 6n;

function oldHost(unit: SmallHostOptions['unit'], commandLine?: string): SmallHost {
  return new SmallHost({ profile: '5.15', unit, commandLine });
}

function attached(host: SmallHost, name: DeviceName) {
  const domain = host.domain(name);
  host.core.attachGroup(domain, host.group(name));
  host.takeTypes();
  return domain;
}

describe('an unmap in 5.15 (intel_iommu_tlb_sync, iommu_iotlb_gather_add_page)', () => {
  it('first level: 2^n pages for the length alone; the device-TLB gets the address as it is, and it warns once', () => {
    const host = oldHost({});
    const domain = attached(host, 'A');
    domain.map(page(0), frame(0x100), 32, RW);
    const before = host.kernel.log.count;
    host.takeTypes();
    // Pages 1 to 4: page 4 is left out, and the size that address 1000h names in ATS is 4 pages from 0.
    domain.unmap(page(1), 4);
    expect(host.takeDescriptors().map(({ type, high }) => [type, high])).toEqual([
      [6, HINT | 2n],
      [3, 0x1001n],
    ]);
    domain.unmap(page(7), 2);
    expect(host.takeDescriptors().map(({ high }) => high)).toEqual([0x6000n | HINT | 1n, 0x7001n]);
    expect(host.kernel.log.since(before)).toEqual(['WARNING in qi_flush_piotlb']);
  });

  it('the tables of a run are noted before the run in front of it is flushed, so the hint is one run off', () => {
    const host = oldHost({});
    const domain = attached(host, 'C');
    // Four small pages before a boundary of 2 MiB, behind it 2 MiB in a table of small pages.
    for (let at = 508; at < 1024; at += 1) domain.map(page(at), frame(0x2000 + 2 * at), 1, RW);
    host.takeTypes();
    domain.unmap(page(508), 516);
    const [small, large] = host.takeDescriptors();
    expect([small.high & HINT, large.high & HINT]).toEqual([0n, HINT]);
  });

  it('runs of one length that follow each other share a flush', () => {
    const host = oldHost(SECOND_LEVEL);
    const domain = attached(host, 'C');
    // Keeps the tables above: where nothing is mapped, the walk ends at an entry of 2 MiB.
    domain.map(page(0), frame(0x100), 1, RW);
    domain.map(page(4096), frame(0x100), 1, RW);
    host.takeTypes();
    expect(domain.unmap(page(511 + 512), 513)).toBe(1024);
    expect(host.takeTypes()).toEqual([2]);
  });

  it('a mapping without rights fails after its width was noted, and flushes the last page there is', () => {
    const host = oldHost(SECOND_LEVEL);
    const domain = attached(host, 'C');
    expect(codeOf(() => domain.map(page(0x100), frame(1), 1, 0))).toBe('EINVAL');
    expect(domain.highestPage).toBe(0x101);
    expect(host.takeDescriptors().map(({ high }) => high)).toEqual([0xffff_ffff_ffff_f000n]);
  });
});

describe('a normal attach in 5.15', () => {
  it('that finds no domain id ends in EBUSY; attached in auxiliary mode it is ENOSPC', () => {
    const host = oldHost({ ...SECOND_LEVEL, domainIdCode: 0 });
    const auxiliary = host.kernel.auxiliary;
    if (auxiliary === undefined) throw new Error('no auxiliary domains');
    auxiliary.enableFeature(host.device('A'));
    while (host.unit.domainIds.free > 0) host.unit.takeDomainId();
    const before = host.kernel.log.count;
    expect(codeOf(() => auxiliary.attach(host.domain('A'), host.device('A')))).toBe('ENOSPC');
    expect(host.kernel.log.since(before)).toEqual(['DMAR: dmar0: No free domain ids']);
    // The default domain of B keeps its id when B leaves it: another device is on it too.
    const { defaultDomain } = host.group('B');
    if (defaultDomain === undefined) throw new Error('no default domain');
    host.driver.attach(defaultDomain, host.device('M0'));
    while (host.unit.domainIds.free > 0) host.unit.takeDomainId();
    expect(codeOf(() => host.driver.attach(host.domain('B'), host.device('B')))).toBe('EBUSY');
    expect(host.info('B').domain).toBeUndefined();
  });

  it('of the domain that the group is on already moves the device all the same, until 7.x', () => {
    for (const [profile, repeats] of [
      ['5.15', true],
      ['6.1', true],
      ['7.2', false],
    ] as const) {
      const host = new SmallHost({ profile, unit: SECOND_LEVEL, commandLine: 'iommu=pt' });
      const { identity } = host.driver;
      host.takeTypes();
      host.core.attachDevice(identity, host.device('A'));
      expect(host.takeTypes().length > 0).toBe(repeats);
    }
  });

  it('to a pass-through domain leaves ATS off in legacy mode: the entry has no room for it', () => {
    const host = oldHost(LEGACY, 'iommu=pt');
    const { pci } = host.device('A');
    expect(pci && atsEnabled(pci)).toBe(false);
    attached(host, 'A');
    expect(pci && atsEnabled(pci)).toBe(true);
  });

  it('leaves the mark for device-TLBs alone when a device without one goes', () => {
    const host = oldHost(SECOND_LEVEL);
    const auxiliary = host.kernel.auxiliary;
    const domain = attached(host, 'C');
    auxiliary?.enableFeature(host.device('A'));
    // In use on the unit already: the new device's ATS is not seen.
    auxiliary?.attach(domain, host.device('A'));
    host.core.attachDevice(domain, host.device('B'));
    expect(domain.hasDeviceTlb).toBe(true);
    domain.hasDeviceTlb = false;
    host.core.detachDevice(domain, host.device('C'));
    expect(domain.hasDeviceTlb).toBe(false);
  });
});

describe('taking a PASID entry away (intel_pasid_get_entry)', () => {
  it('makes the leaf table in which it looks for it', () => {
    const host = oldHost(SECOND_LEVEL);
    const table = host.info('A').pasidTable;
    const before = table?.leafTables ?? 0;
    host.driver.entries.tearDownPasid(host.info('A'), 100);
    expect(table?.leafTables).toBe(before + 1);
    expect(table?.entries().map(({ pasid }) => pasid)).toEqual([0]);
  });

  it('warns of a number beyond the table', () => {
    const host = oldHost(SECOND_LEVEL);
    const before = host.kernel.log.count;
    host.driver.entries.tearDownPasid(host.info('C'), 40_000);
    expect(host.kernel.log.since(before)).toEqual([
      'WARNING in intel_pasid_get_entry',
      'WARNING in intel_pasid_tear_down_entry',
    ]);
  });
});

describe('tables of old kernels', () => {
  const leafBits = (
    profile: '5.15' | '6.1' | '7.2',
    unit: SmallHostOptions['unit'],
    prot: number,
  ): number => {
    const host = new SmallHost({ profile, unit });
    const domain = host.domain('C');
    if (!(domain.table instanceof PageTable)) throw new Error('no table');
    domain.map(page(1), frame(9), 1, prot);
    return (domain.table.lookup(1)?.low ?? 0) & 0xfff;
  };

  it('second level: what is mapped for writing only can be read too', () => {
    expect(leafBits('5.15', SECOND_LEVEL, IommuProt.write)).toBe(3);
    expect(leafBits('6.1', SECOND_LEVEL, IommuProt.write)).toBe(3);
    expect(leafBits('7.2', SECOND_LEVEL, IommuProt.write)).toBe(2);
  });

  it('first level: A is set from the start, D where writing is allowed, in user domains as well', () => {
    expect(leafBits('5.15', {}, IommuProt.read)).toBe(0x25);
    expect(leafBits('5.15', {}, RW)).toBe(0x67);
  });

  it('first level: a user gets the lower half once the domain is on a unit', () => {
    const host = oldHost({ firstLevel5Levels: 0 });
    const domain = host.domain('C');
    expect(domain.aperture.last).toBe(2 ** (57 - 12) - 1);
    host.core.attachDevice(domain, host.device('C'));
    expect(domain.aperture.last).toBe(2 ** (47 - 12) - 1);
  });
});

it('caching mode makes flushing strict whatever the level in 5.15, for second level only from 6.x on', () => {
  const typeOf = (profile: '5.15' | '6.1', unit: SmallHostOptions['unit']) =>
    new SmallHost({ profile, unit: { ...unit, cachingMode: 1 } }).group('C').defaultDomain?.type;
  expect(typeOf('5.15', {})).toBe('DMA');
  expect(typeOf('5.15', SECOND_LEVEL)).toBe('DMA');
  expect(typeOf('6.1', {})).toBe('DMA-FQ');
  expect(typeOf('6.1', SECOND_LEVEL)).toBe('DMA');
});

it('a PASID that is out can not be taken by its number, and the log says what an allocation of it would', () => {
  const host = oldHost(SECOND_LEVEL);
  expect(host.kernel.pasids.take(7)).toBe(true);
  const before = host.kernel.log.count;
  expect(host.kernel.pasids.take(7)).toBe(false);
  expect(host.kernel.log.since(before)).toEqual([
    'Failed to alloc ioasid from 7 to 7',
    'Failed ASID allocation 0',
  ]);
});
