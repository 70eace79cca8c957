import { describe, expect, it } from 'vitest';
import { atsEnabled, pasidEnabled, priEnabled } from '../../../../hw/kernel/intel/device-features.ts';
import { IommuProt } from '../../../../hw/kernel/iommu/types.ts';
import { LegacyContextEntry, PasidTableEntry, ScalableContextEntry } from '../../../../hw/vtd/layouts.ts';
import { codeOf } from '../code-of.ts';
import { type AT, type DeviceName, frame, page, SmallHost } from '../small-host.ts';

const RW = IommuProt.read | IommuProt.write;
const SECOND_LEVEL = { firstLevelTranslation: 0 } as const;
const LEGACY = {
  scalableMode: 0,
  processAddressSpaceIds: 0,
  secondLevelTranslation: 0,
  firstLevelTranslation: 0,
} as const;

function pasidEntry(host: SmallHost, name: keyof typeof AT, pasid: number) {
  const words = host.info(name).pasidTable?.read(pasid) ?? new Uint32Array(16);
  return Object.fromEntries(
    PasidTableEntry.decode(words).map(({ name: field, value }) => [field, Number(value)]),
  );
}

describe('a device in scalable mode, 7.2 (intel_iommu_probe_device, probe_finalize)', () => {
  const host = new SmallHost({ commandLine: 'intel_iommu=on' });

  it('gets a context entry with DTE, PASIDE and PRE by capability', () => {
    const words = host.driver.entries.readContext(host.info('A')) ?? new Uint32Array(8);
    const fields = ScalableContextEntry.fields;
    expect(fields.present.get(words)).toBe(1);
    expect(fields.deviceTlbEnable.get(words)).toBe(1);
    expect(fields.pasidEnable.get(words)).toBe(1);
    expect(fields.pageRequestEnable.get(words)).toBe(1);
    // 2^20 PASIDs: a directory of 2^14 entries (VT-d 9.4).
    expect(fields.pasidDirectorySize.get(words)).toBe(7);
  });

  it('has PASID, PRI and ATS on once it has its domain', () => {
    const pci = host.device('A').pci;
    expect(pci && [pasidEnabled(pci), priEnabled(pci), atsEnabled(pci)]).toEqual([true, true, true]);
  });

  it('has none of them without the capabilities', () => {
    const words = host.driver.entries.readContext(host.info('C')) ?? new Uint32Array(8);
    expect(words[0] & 0x1e).toBe(0);
    expect(host.info('C').pasidTable?.capacity).toBe(32768);
  });
});

describe('kinds of table', () => {
  it('7.2 prefers first level, and takes second where first is missing or nesting is asked for', () => {
    const both = new SmallHost();
    expect(both.domain('A').firstLevel).toBe(true);
    expect(both.driver.allocate(both.device('A'), { nestParent: true }).firstLevel).toBe(false);
    expect(new SmallHost({ unit: SECOND_LEVEL }).domain('A').firstLevel).toBe(false);
  });

  it('6.1 takes first level for kernel DMA, second for users; 5.15 first level for all', () => {
    const old = new SmallHost({ profile: '6.1' });
    expect(old.domain('A').firstLevel).toBe(false);
    expect(old.driver.allocate(old.device('A'), { type: 'DMA' }).firstLevel).toBe(true);
    expect(new SmallHost({ profile: '5.15' }).domain('A').firstLevel).toBe(true);
    expect(new SmallHost({ profile: '5.15', unit: SECOND_LEVEL }).domain('A').firstLevel).toBe(false);
  });

  it('refuses what a unit has no table for: EOPNOTSUPP', () => {
    const host = new SmallHost({ unit: { nestedTranslation: 0, secondLevelAccessDirty: 0 } });
    const ask = (options: object) => codeOf(() => host.driver.allocate(host.device('A'), options));
    expect(ask({ nestParent: true })).toBe('EOPNOTSUPP');
    expect(ask({ dirtyTracking: true })).toBe('EOPNOTSUPP');
  });

  it('first level gives user domains the lower half of the canonical range', () => {
    const host = new SmallHost({ unit: { firstLevel5Levels: 0 } });
    expect(host.domain('A').aperture.last).toBe(2 ** (47 - 12) - 1);
  });

  it('second level is as wide as SAGAW and MGAW allow', () => {
    const host = new SmallHost({
      unit: { ...SECOND_LEVEL, addressWidths: 0b0110, maximumGuestAddressWidth: 45 },
    });
    const domain = host.domain('A');
    expect(domain.aperture.last).toBe(2 ** (46 - 12) - 1);
    expect(domain.table?.levels).toBe(4);
  });
});

describe('attaching requests without PASID, 7.2', () => {
  it('writes PASID entry 0 and the hardware walks it', () => {
    const host = new SmallHost({ unit: SECOND_LEVEL });
    const domain = host.domain('A');
    host.core.attachGroup(domain, host.group('A'));
    domain.map(page(0x10), frame(0x4321), 2, RW);
    expect(host.walk('A', 0x11, 2)).toBe(0x4322);
    const entry = pasidEntry(host, 'A', 0);
    expect([entry.translationType, entry.domainId, entry.pageSnoop]).toEqual([
      2,
      domain.domainIdOn(host.unit),
      0,
    ]);
  });

  it('tears the old entry down first: PASID cache, IOTLB of the domain, device-TLB', () => {
    const host = new SmallHost({ unit: SECOND_LEVEL });
    const domain = host.domain('A');
    host.takeTypes();
    host.core.attachGroup(domain, host.group('A'));
    expect(host.takeTypes()).toEqual([7, 2, 3]);
  });

  it('a present first-level entry goes by the PASID IOTLB', () => {
    const host = new SmallHost();
    host.takeTypes();
    host.core.attachGroup(host.domain('A'), host.group('A'));
    expect(host.takeTypes()).toEqual([7, 6, 3]);
  });

  it('with caching mode a new entry is flushed as well, and so is a new second-level mapping', () => {
    const host = new SmallHost({ unit: { ...SECOND_LEVEL, cachingMode: 1 } });
    const domain = host.domain('C');
    host.takeTypes();
    host.core.attachGroup(domain, host.group('C'));
    expect(host.takeTypes()).toEqual([7, 2, 7, 6]);
    domain.map(page(4), frame(4), 4, RW);
    const [flush] = host.takeDescriptors();
    expect(flush.high).toBe(0x4002n);
  });

  it('an unmap flushes one aligned power of two that covers it, then the device-TLB', () => {
    const host = new SmallHost({ unit: SECOND_LEVEL });
    const domain = host.domain('A');
    host.core.attachGroup(domain, host.group('A'));
    domain.map(page(5), frame(5), 3, RW);
    host.takeTypes();
    domain.unmap(page(5), 3);
    const [iotlb, deviceTlb] = host.takeDescriptors();
    expect(iotlb.high).toBe(0x4002n);
    expect([deviceTlb.type, deviceTlb.high]).toEqual([3, 0x5001n]);
  });

  it('falls back to the whole domain beyond MAMV or without page-selective invalidation', () => {
    for (const unit of [{ maximumAddressMask: 4 }, { pageSelectiveInvalidation: 0 }]) {
      const host = new SmallHost({ unit: { ...SECOND_LEVEL, ...unit } });
      const domain = host.domain('C');
      host.core.attachGroup(domain, host.group('C'));
      domain.map(page(0), frame(0), 64, RW);
      host.takeTypes();
      domain.unmap(page(0), 64);
      const [flush] = host.takeDescriptors();
      expect((flush.low >> 4n) & 3n).toBe(2n);
    }
  });

  it('ends in ENOSPC when the unit has no domain id left, and the device has no domain then', () => {
    const host = new SmallHost({ unit: { ...SECOND_LEVEL, domainIdCode: 0 } });
    const domains = Array.from({ length: 10 }, () => host.domain('A'));
    let used = 0;
    const free = host.unit.domainIds.free;
    for (const [pasid, domain] of domains.entries()) {
      const code = codeOf(() => host.core.attachDevicePasid(domain, host.device('A'), pasid + 1));
      if (code === 'ok') used += 1;
      else expect(code).toBe('ENOSPC');
    }
    expect(used).toBe(free);
  });
});

describe('legacy mode', () => {
  it('writes the root, AW and DID into the context entry, TT 1 with ATS', () => {
    const host = new SmallHost({ unit: LEGACY });
    const domain = host.domain('A');
    host.core.attachGroup(domain, host.group('A'));
    const words = host.driver.entries.readContext(host.info('A')) ?? new Uint32Array(4);
    const fields = LegacyContextEntry.fields;
    expect(fields.translationType.get(words)).toBe(1);
    expect(fields.domainId.get(words)).toBe(domain.domainIdOn(host.unit));
    expect(fields.secondLevelPointer.get(words)).toBe((domain.table?.root ?? 0) * 4096);
    domain.map(page(1), frame(0x77), 1, IommuProt.read);
    expect(host.walk('A', 1, 1)).toBe(0x77);
    // A write without W: reason 5 (VT-d 7.1.3, LGN.2).
    expect(host.walk('A', 1, 2)).toBe(-5);
  });

  it('gives every alias an entry: conventional devices carry the id of their bridge', () => {
    for (const profile of ['5.15', '7.2'] as const) {
      const host = new SmallHost({ unit: LEGACY, profile });
      const domain = host.domain('P0');
      host.core.attachGroup(domain, host.group('P0'));
      domain.map(page(1), frame(0x55), 1, RW);
      expect(host.requesterId('P0')).toBe(0x00f0);
      expect(host.walk('P0', 1)).toBe(0x55);
      expect(host.walk('P1', 1)).toBe(0x55);
    }
  });

  it('passes through on the identity domain', () => {
    const host = new SmallHost({ unit: LEGACY, commandLine: 'iommu=pt' });
    expect(host.walk('C', 0x1234)).toBe(0x1234);
  });
});

describe('suspend and resume (iommu_suspend, iommu_resume)', () => {
  it('translates as before afterwards, from the same tables', () => {
    const host = new SmallHost();
    const domain = host.domain('A');
    host.core.attachGroup(domain, host.group('A'));
    domain.map(page(3), frame(0x33), 1, RW);
    host.driver.suspend();
    host.driver.resume();
    expect(host.walk('A', 3)).toBe(0x33);
    domain.unmap(page(3), 1);
    expect(host.walk('A', 3)).toBeLessThan(0);
  });
});

describe('faults reach the kernel by interrupt', () => {
  it('reads the record, tells of it and clears it for the next', () => {
    const host = new SmallHost();
    const seen: unknown[] = [];
    host.driver.faults.onFault((fault) => seen.push(fault));
    host.write('A', 0x5000n, Uint8Array.of(1));
    host.read('C', 0x9000n, 1);
    expect(seen).toMatchObject([
      { unit: 'dmar0', requesterId: 0x10, pasid: undefined, address: 0x5000n, access: 'write' },
      { requesterId: 0x20, address: 0x9000n, access: 'read' },
    ]);
  });

  it('names the PASID of a request that carried one', () => {
    const host = new SmallHost();
    const seen: { pasid: number | undefined; reason: number }[] = [];
    host.driver.faults.onFault((fault) => seen.push(fault));
    host.write('A', 0x5000n, Uint8Array.of(1), 3);
    // 59h: PASID entry not present.
    expect(seen).toMatchObject([{ pasid: 3, reason: 0x59 }]);
  });
});

describe('page requests nobody wants', () => {
  it('are answered "invalid", so that the device does not wait', () => {
    const host = new SmallHost();
    host.core.attachDevicePasid(host.domain('A'), host.device('A'), 3);
    host.takeTypes();
    const request = { read: true, write: false, last: true, group: 5, privileged: false, execute: false };
    host.hardwareUnit.pageRequest({ requesterId: 0x10, pasid: 3, address: 0x7000n, ...request });
    const [answer] = host.takeDescriptors();
    expect(answer.type).toBe(9);
    expect((answer.low >> 12n) & 0xfn).toBe(1n);
    expect((answer.high >> 3n) & 0x1ffn).toBe(5n);
  });
});

describe('reserved memory regions', () => {
  it('are mapped 1:1 in the default domain before the device is used', () => {
    const host = new SmallHost();
    expect(host.walk('storage', 0x7e003)).toBe(0x7e003);
    expect(host.walk('usb', 0x7f00f)).toBe(0x7f00f);
  });

  it('make a device ineligible: EPERM at attach before 7.x, EINVAL at the step to blocking in 7.2', () => {
    const old = new SmallHost({ profile: '5.15' });
    expect(codeOf(() => old.core.attachGroup(old.domain('storage'), old.group('storage')))).toBe('EPERM');
    const now = new SmallHost();
    expect(codeOf(() => now.core.claimGroup(now.group('storage'), {}))).toBe('EINVAL');
    expect(now.walk('storage', 0x7e003)).toBe(0x7e003);
  });

  it('are let go of for USB and graphics', () => {
    for (const profile of ['5.15', '6.1', '7.2'] as const) {
      const host = new SmallHost({ profile });
      if (profile !== '5.15') host.core.claimGroup(host.group('usb'), {});
      expect(codeOf(() => host.core.attachGroup(host.domain('usb'), host.group('usb')))).toBe('ok');
    }
  });
});

describe('PASIDs, 7.2 (iommu_attach_device_pasid)', () => {
  it('leads each PASID to its own domain, the rest of the device stays on the default one', () => {
    const host = new SmallHost();
    const [first, second] = [host.domain('A'), host.domain('A')];
    host.core.attachDevicePasid(first, host.device('A'), 1);
    host.core.attachDevicePasid(second, host.device('A'), 2);
    first.map(page(9), frame(0x91), 1, RW);
    second.map(page(9), frame(0x92), 1, RW);
    expect([host.walk('A', 9, 2, 1), host.walk('A', 9, 2, 2)]).toEqual([0x91, 0x92]);
    expect(host.walk('A', 9, 2)).toBeLessThan(0);
    host.core.detachDevicePasid(first, host.device('A'), 1);
    expect(host.walk('A', 9, 2, 1)).toBe(-0x59);
    expect(host.walk('A', 9, 2, 2)).toBe(0x92);
  });

  it('refuses with the errno of the rule', () => {
    const host = new SmallHost();
    const domain = host.domain('A');
    const attach = (name: 'A' | 'C' | 'narrow', pasid: number) =>
      codeOf(() => host.core.attachDevicePasid(domain, host.device(name), pasid));
    expect(attach('A', 0)).toBe('EINVAL');
    expect(attach('A', 5)).toBe('ok');
    expect(attach('A', 5)).toBe('EBUSY');
    expect(attach('narrow', 16)).toBe('EINVAL');
    // It can't tag requests: the attachment is noted, and nothing else happens.
    host.takeTypes();
    expect(attach('C', 1)).toBe('ok');
    expect(attach('C', 1)).toBe('EBUSY');
    expect(host.takeTypes()).toEqual([]);
    host.core.detachDevicePasid(domain, host.device('C'), 1);
    expect(codeOf(() => host.core.claimGroup(host.group('A'), {}))).toBe('EBUSY');
  });

  it('replaces a domain under a new handle only', () => {
    const host = new SmallHost();
    const [before, after] = [host.domain('A'), host.domain('A')];
    const handle = {};
    before.map(page(1), frame(0xb), 1, RW);
    after.map(page(1), frame(0xa), 1, RW);
    host.core.attachDevicePasid(before, host.device('A'), 7, handle);
    expect(codeOf(() => host.core.replaceDevicePasid(after, host.device('A'), 7, handle))).toBe('EINVAL');
    host.core.replaceDevicePasid(after, host.device('A'), 7, {});
    expect(host.walk('A', 1, 1, 7)).toBe(0xa);
    expect(before.unitUses.size).toBe(0);
  });
});

describe('coherency', () => {
  it('first level: PGSNP in the entry; second level: SNP in leaves, before anything is mapped', () => {
    const first = new SmallHost();
    const domain = first.domain('A');
    first.core.attachGroup(domain, first.group('A'));
    expect(domain.enforceCacheCoherency()).toBe(true);
    expect(pasidEntry(first, 'A', 0).pageSnoop).toBe(1);
    const second = new SmallHost({ unit: SECOND_LEVEL });
    const other = second.domain('A');
    second.core.attachGroup(other, second.group('A'));
    other.map(page(1), frame(1), 1, RW);
    expect(other.enforceCacheCoherency()).toBe(false);
    const fresh = second.domain('B');
    second.core.attachGroup(fresh, second.group('B'));
    expect(fresh.enforceCacheCoherency()).toBe(true);
    fresh.map(page(1), frame(1), 1, RW);
    expect(((fresh.table?.lookup(1)?.low ?? 0) >> 11) & 1).toBe(1);
  });

  it('is refused behind a unit without snoop control', () => {
    const host = new SmallHost({ unit: { snoopControl: 0 } });
    const domain = host.domain('A');
    host.core.attachGroup(domain, host.group('A'));
    expect(domain.enforceCacheCoherency()).toBe(false);
  });
});

describe('calls are told with what they caused', () => {
  it('nests table writes and descriptors between call and return', () => {
    const host = new SmallHost();
    const lines: string[] = [];
    host.trace.listen(({ part, kind, text }) => {
      if (part.startsWith('kernel/')) lines.push(`${kind} ${text.split(/[ (]/)[0]}`);
    });
    host.core.attachGroup(host.domain('C'), host.group('C'));
    expect(lines[0]).toBe('call iommu_attach_group');
    expect(lines.at(-1)).toBe('return iommu_attach_group');
    expect(lines.some((line) => line.startsWith('table-write'))).toBe(true);
    expect(lines.some((line) => line.startsWith('descriptor'))).toBe(true);
  });
});

describe('interrupt remapping (irq_remapping.c)', () => {
  it('lets a device raise what its entry allows, and nothing else', () => {
    const host = new SmallHost();
    const { interrupts } = host.driver;
    const reasons: number[] = [];
    host.driver.faults.onFault(({ reason }) => reasons.push(reason));
    const message = interrupts.allocate(host.device('A'), host.unit, 0x55, 0);
    const send = (name: DeviceName, low: number) => {
      const requesterId = host.requesterId(name);
      return host.hardwareUnit.messageInterrupt({ requesterId, addressHigh: 0, addressLow: low, data: 0 });
    };
    expect(send('A', Number(message.address))).toBe(true);
    // Another device with the same message: source id verification, 26h.
    expect(send('B', Number(message.address))).toBe(false);
    // The old format: 25h.
    expect(send('A', 0xfee00000)).toBe(false);
    interrupts.free(message);
    // The entry is gone: 22h.
    expect(send('A', Number(message.address))).toBe(false);
    expect(reasons).toEqual([0x26, 0x25, 0x22]);
  });

  it('is what type1 asks for: without it interrupts are not isolated', () => {
    expect(new SmallHost().core.hasIsolatedMsi(new SmallHost().group('A'))).toBe(true);
    const without = new SmallHost({
      unit: { interruptRemapping: 0, extendedInterruptMode: 0, postedInterrupts: 0 },
    });
    expect(without.core.hasIsolatedMsi(without.group('A'))).toBe(false);
  });
});

describe('a unit without queue is flushed by its registers (CCMD, IOTLB)', () => {
  it.each(['5.15', '7.2'] as const)('what was unmapped is no longer reached, %s', (profile) => {
    const host = new SmallHost({
      profile,
      unit: {
        ...LEGACY,
        queuedInvalidation: 0,
        interruptRemapping: 0,
        extendedInterruptMode: 0,
        postedInterrupts: 0,
        deviceTlb: 0,
        pageRequests: 0,
      },
    });
    const domain = host.domain('C');
    host.core.attachGroup(domain, host.group('C'));
    domain.map(page(0), frame(0x50), 4, RW);
    expect([host.walk('C', 0), host.walk('C', 3)]).toEqual([0x50, 0x53]);
    domain.unmap(page(0), 1);
    expect(host.walk('C', 0)).toBeLessThan(0);
    expect(host.walk('C', 3)).toBe(0x53);
    host.core.detachGroup(domain, host.group('C'));
    expect(host.walk('C', 3)).toBeLessThan(0);
    expect(host.takeTypes()).toEqual([]);
  });
});

describe.each(['5.15', '6.1', '7.2'] as const)(
  'a large page in the place of an empty table, %s (switch_to_super_page)',
  (profile) => {
    it('is flushed: the unit may know the way through the table that is gone (VT-d 6.2.3)', () => {
      const host = new SmallHost({ profile, unit: SECOND_LEVEL });
      const domain = host.core.allocateDomain(host.device('A'));
      host.core.attachDevice(domain, host.device('A'));
      domain.map(page(512), frame(0x10000), 512 - 1, RW);
      domain.unmap(page(512), 512 - 1);
      host.takeDescriptors();
      domain.map(page(512), frame(0x10000), 512, RW);
      // Type 2: IOTLB. Nothing of it where the table was made anew.
      expect(host.takeDescriptors().filter(({ type }) => type === 2)).toHaveLength(1);
      domain.map(page(0x10000), frame(0x20000), 512, RW);
      expect(host.takeDescriptors().filter(({ type }) => type === 2)).toHaveLength(0);
    });
  },
);
