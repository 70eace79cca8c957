/**
 * The cover letter of November 2018 (Lu Baolu, "[PATCH v4 0/8] vfio/mdev: IOMMU aware mediated device"), walked through
 * in its own terms on the kernel that had it: 5.15.
 */
import { describe, expect, it } from 'vitest';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { PasidTableEntry, ScalableContextEntry } from '../../../../hw/vtd/layouts.ts';
import { codeOf } from '../code-of.ts';
import { type DeviceName, frame, page, SmallHost } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;
const SECOND_LEVEL = { firstLevelTranslation: 0 } as const;

function machine(unit: object = SECOND_LEVEL): SmallHost {
  return new SmallHost({ profile: '5.15', unit });
}

function aux(host: SmallHost) {
  const { auxiliary } = host.kernel;
  if (auxiliary === undefined) throw new Error('no auxiliary domains');
  return auxiliary;
}

function enabled(...names: DeviceName[]): SmallHost {
  const host = machine();
  for (const name of names) aux(host).enableFeature(host.device(name));
  return host;
}

describe('IOMMU_DEV_ATTR_AUXD_CAPABILITY: device and IOMMU can do it', () => {
  it('asks for PASIDs on the device and the SIOV DVSEC, and scalable mode with PASIDs on every unit', () => {
    const host = machine();
    expect(aux(host).hasFeature(host.device('A'))).toBe(true);
    expect(aux(host).hasFeature(host.device('C'))).toBe(false);
    const legacy = machine({ scalableMode: 0 });
    expect(aux(legacy).hasFeature(legacy.device('A'))).toBe(false);
  });
});

describe('IOMMU_DEV_ATTR_AUXD_ENABLE: "switch to auxiliary mode"', () => {
  it('sets PASIDE in the context entry and flushes it once', () => {
    const host = machine();
    host.takeDescriptors();
    aux(host).enableFeature(host.device('A'));
    aux(host).enableFeature(host.device('A'));
    const words = host.driver.entries.readContext(host.info('A')) ?? new Uint32Array(8);
    expect(ScalableContextEntry.fields.pasidEnable.get(words)).toBe(1);
    expect(host.takeTypes()).toEqual([1]);
    expect(aux(host).featureEnabled(host.device('A'))).toBe(true);
  });

  it('EINVAL without scalable mode, ENODEV on a device without PASIDs', () => {
    const legacy = machine({ scalableMode: 0 });
    expect(codeOf(() => aux(legacy).enableFeature(legacy.device('A')))).toBe('EINVAL');
    const host = machine();
    expect(codeOf(() => aux(host).enableFeature(host.device('C')))).toBe('ENODEV');
  });

  it('7.2 has none of this', () => {
    expect(new SmallHost({ profile: '7.2' }).kernel.auxiliary).toBeUndefined();
  });
});

describe('"a device could have several IOMMU domains": one for each mediated device', () => {
  it('each (RID, PASID) reaches its own domain; requests without PASID the default one', () => {
    const host = enabled('A');
    const [first, second] = [host.domain('A'), host.domain('A')];
    aux(host).attach(first, host.device('A'));
    aux(host).attach(second, host.device('A'));
    const pasids = [first, second].map((domain) => aux(host).pasidOf(domain, host.device('A')));
    expect(pasids).toEqual([1, 2]);
    first.map(page(8), frame(0x81), 1, RW);
    second.map(page(8), frame(0x82), 1, RW);
    expect(pasids.map((pasid) => host.walk('A', 8, 2, pasid))).toEqual([0x81, 0x82]);
    expect(host.walk('A', 8, 2)).toBeLessThan(0);
    // A PASID nobody attached: 59h.
    expect(host.walk('A', 8, 2, 3)).toBe(-0x59);
  });

  it('guest memory changes by what the device writes with its PASID, and only there', () => {
    const host = enabled('A');
    const domain = host.domain('A');
    aux(host).attach(domain, host.device('A'));
    const to = host.kernel.allocator.allocate();
    domain.map(page(0x10), to, 1, RW);
    expect(host.write('A', 0x10123n, Uint8Array.of(1, 2, 3), 1).ok).toBe(true);
    expect([...(host.kernel.port.memory.read(to * 4096 + 0x123, 3) ?? [])]).toEqual([1, 2, 3]);
    expect(host.write('A', 0x11000n, Uint8Array.of(9), 1).ok).toBe(false);
  });
});

describe('DOMAIN_ATTR_AUXD_ID: "the domain\'s default PASID"', () => {
  it('belongs to the domain: the same number on every device it is attached to', () => {
    const host = enabled('A', 'B');
    const domain = host.domain('A');
    aux(host).attach(host.domain('A'), host.device('A'));
    aux(host).attach(domain, host.device('A'));
    aux(host).attach(domain, host.device('B'));
    expect(aux(host).pasidOf(domain, host.device('B'))).toBe(2);
    domain.map(page(1), frame(0x1b), 1, RW);
    expect([host.walk('A', 1, 1, 2), host.walk('B', 1, 1, 2)]).toEqual([0x1b, 0x1b]);
  });

  it('EINVAL before the first attach', () => {
    const host = enabled('A');
    expect(codeOf(() => aux(host).pasidOf(host.domain('A'), host.device('A')))).toBe('EINVAL');
  });
});

describe('reference counts per (domain, device)', () => {
  it('two mdevs of one parent in one domain share one entry; the last one takes it away', () => {
    const host = enabled('A');
    const domain = host.domain('A');
    aux(host).attach(domain, host.device('A'));
    aux(host).attach(domain, host.device('A'));
    expect(aux(host).usersOf(domain, host.device('A'))).toBe(2);
    expect(
      host
        .info('A')
        .pasidTable?.entries()
        .map(({ pasid }) => pasid),
    ).toEqual([0, 1]);
    host.takeTypes();
    aux(host).detach(domain, host.device('A'));
    expect(host.takeTypes()).toEqual([]);
    aux(host).detach(domain, host.device('A'));
    // PASID cache, IOTLB of the domain id, device-TLB of the PASID.
    expect(host.takeTypes()).toEqual([7, 2, 8]);
    expect(host.kernel.pasids.isTaken(1)).toBe(false);
  });
});

describe('"aux domain is not a type": normal here, auxiliary there', () => {
  it('one domain id serves both attachments', () => {
    const host = enabled('A');
    const domain = host.domain('A');
    host.core.attachDevice(domain, host.device('C'));
    aux(host).attach(domain, host.device('A'));
    const words = host.info('A').pasidTable?.read(1) ?? new Uint32Array(16);
    expect(PasidTableEntry.fields.domainId.get(words)).toBe(domain.domainIdOn(host.unit));
    expect(domain.unitUses.get(host.unit)?.users).toBe(2);
    domain.map(page(6), frame(0x66), 1, RW);
    expect([host.walk('C', 6), host.walk('A', 6, 1, 1)]).toEqual([0x66, 0x66]);
  });
});

describe('what each mode forbids', () => {
  it('normal mode: no aux attach; auxiliary mode: no user domain on the whole device', () => {
    const host = machine();
    const domain = host.domain('A');
    expect(codeOf(() => aux(host).attach(domain, host.device('A')))).toBe('EPERM');
    aux(host).enableFeature(host.device('A'));
    expect(codeOf(() => host.core.attachDevice(domain, host.device('A')))).toBe('EPERM');
    const kernelDma = host.driver.allocate(host.device('A'), { type: 'DMA' });
    expect(codeOf(() => aux(host).attach(kernelDma, host.device('A')))).toBe('EPERM');
  });
});

describe('limits', () => {
  it("ENODEV when the device's PASIDs are used up: a width of 4 bits has 15", () => {
    const host = enabled('narrow');
    for (let count = 0; count < 15; count += 1)
      aux(host).attach(host.domain('narrow'), host.device('narrow'));
    expect(codeOf(() => aux(host).attach(host.domain('narrow'), host.device('narrow')))).toBe('ENODEV');
  });

  it('EFAULT when something is mapped beyond the width of the unit', () => {
    const host = machine({ ...SECOND_LEVEL, addressWidths: 0b0100, maximumGuestAddressWidth: 47 });
    aux(host).enableFeature(host.device('A'));
    const domain = host.domain('A');
    domain.map(page(2 ** 36), frame(1), 1, RW);
    expect(codeOf(() => aux(host).attach(domain, host.device('A')))).toBe('EFAULT');
  });

  it('ENOSPC without domain ids, and the record and the PASID are taken back', () => {
    const host = machine({ ...SECOND_LEVEL, domainIdCode: 0 });
    aux(host).enableFeature(host.device('A'));
    const domains = Array.from({ length: host.unit.domainIds.free + 1 }, () => host.domain('A'));
    for (const domain of domains.slice(0, -1)) aux(host).attach(domain, host.device('A'));
    const last = domains[domains.length - 1];
    expect(codeOf(() => aux(host).attach(last, host.device('A')))).toBe('ENOSPC');
    expect(last.auxiliaryRecords).toEqual([]);
    expect(host.kernel.pasids.inUse).toBe(domains.length - 1);
  });
});

describe('"the known leak on disable": reported as what it is', () => {
  it('entry, record and PASID stay; a detach is ignored until the mode is on again', () => {
    const host = enabled('A');
    const domain = host.domain('A');
    aux(host).attach(domain, host.device('A'));
    domain.map(page(1), frame(0x11), 1, RW);
    aux(host).disableFeature(host.device('A'));
    aux(host).detach(domain, host.device('A'));
    expect(host.walk('A', 1, 1, 1)).toBe(0x11);
    expect(host.kernel.profile.quirks.map(({ name }) => name)).toContain('aux-disable-leak');
    aux(host).enableFeature(host.device('A'));
    aux(host).detach(domain, host.device('A'));
    expect(host.walk('A', 1, 1, 1)).toBe(-0x59);
  });
});

describe('defects of 5.15 have names that the console can point at', () => {
  const names = (host: SmallHost): string[] => host.driver.quirks.sightings.map(({ quirk }) => quirk.name);

  it('each shows where it shapes what happens', () => {
    const host = enabled('A');
    const domain = host.domain('A');
    aux(host).attach(domain, host.device('A'));
    domain.map(page(1), frame(1), 1, RW);
    domain.unmap(page(1), 1);
    aux(host).disableFeature(host.device('A'));
    aux(host).enableFeature(host.device('A'));
    aux(host).detach(domain, host.device('A'));
    aux(host).detach(domain, host.device('A'));
    aux(host).attach(domain, host.device('A'));
    expect(names(host)).toEqual([
      'aux-unmap-plain-device-tlb',
      'aux-disable-leak',
      'aux-detach-underflow',
      'aux-stale-pasid',
    ]);
  });

  it('a normal attach of a kernel DMA domain loses the auxiliary entries', () => {
    const host = enabled('A');
    aux(host).attach(host.domain('A'), host.device('A'));
    host.core.attachDevice(host.driver.allocate(host.device('A'), { type: 'DMA' }), host.device('A'));
    expect(names(host)).toEqual(['aux-lost-on-normal-attach']);
    expect(aux(host).featureEnabled(host.device('A'))).toBe(false);
  });
});
