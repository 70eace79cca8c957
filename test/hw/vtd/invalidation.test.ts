/** What each invalidation drops, and what stays stale; the queue with its errors. VT-d 6.5. */
import { describe, expect, it } from 'vitest';
import { Access } from '../../../hw/vtd/access.ts';
import { qemuUnit, serverUnit } from '../../../hw/vtd/configuration.ts';
import {
  ContextCacheDescriptor,
  DescriptorType,
  DeviceTlbDescriptor,
  encodeDescriptor,
  IotlbDescriptor,
  PageGroupResponseDescriptor,
  PasidCacheDescriptor,
  PasidDeviceTlbDescriptor,
  PasidIotlbDescriptor,
  WaitDescriptor,
} from '../../../hw/vtd/descriptors.ts';
import type { DeviceTlbInvalidation } from '../../../hw/vtd/invalidation.ts';
import { LegacyContextEntry } from '../../../hw/vtd/layouts.ts';
import { FaultStatusBit, GlobalBit } from '../../../hw/vtd/registers.ts';
import { REQUESTER, VtdLab } from '../../support/vtd-lab.ts';

type Fields<L extends { fields: object }> = Partial<Record<keyof L['fields'], number | bigint>>;

const iotlb = (values: Fields<typeof IotlbDescriptor>) =>
  encodeDescriptor(IotlbDescriptor, DescriptorType.iotlb, values);
const contextCache = (values: Fields<typeof ContextCacheDescriptor>) =>
  encodeDescriptor(ContextCacheDescriptor, DescriptorType.contextCache, values);
const wait = (values: Fields<typeof WaitDescriptor>, width: 128 | 256 = 128) =>
  encodeDescriptor(WaitDescriptor, DescriptorType.wait, values, width);

const DOMAIN = 5;
const OTHER_DOMAIN = 6;
const OTHER_REQUESTER = 0x0120;

/** Two requesters in two domains, each with pages at 0x5000, 0x6000 and a 2 MiB page at 0x400000. */
function legacyLab() {
  const lab = new VtdLab({ configuration: qemuUnit({ 'device-iotlb': true }) });
  const root = lab.page();
  const contexts = lab.page();
  lab.memory.write64(root + 16, BigInt(contexts) | 1n);
  const leaves = new Map<string, number>();
  const entries = new Map<number, number>();
  for (const [requesterId, domainId] of [
    [REQUESTER, DOMAIN],
    [OTHER_REQUESTER, OTHER_DOMAIN],
  ]) {
    const top = lab.page();
    for (const address of [0x5000n, 0x6000n])
      leaves.set(`${domainId} ${address}`, lab.map(top, 4, address, 1, (address << 4n) | 3n));
    leaves.set(`${domainId} ${0x400000n}`, lab.map(top, 4, 0x400000n, 2, 0x1000083n));
    const entry = contexts + (requesterId & 0xff) * 16;
    entries.set(requesterId, entry);
    lab.put(
      entry,
      LegacyContextEntry.encode({ present: 1, addressWidth: 2, domainId, secondLevelPointer: top }),
    );
  }
  lab.start(root, 0);
  lab.startQueue();
  const all = (): (bigint | undefined)[] =>
    [0x5000n, 0x6000n, 0x400000n].map((address) => lab.translate(address));
  const others = (): (bigint | undefined)[] =>
    [0x5000n, 0x6000n, 0x400000n].map((address) => lab.translate(address, Access.read, -1, OTHER_REQUESTER));
  all();
  others();
  /** Takes every mapping away: what still translates comes from a cache. */
  for (const leaf of leaves.values()) lab.memory.write64(leaf, 0n);
  const cached = (list: (bigint | undefined)[]): string => {
    lab.takeFaults();
    return list.map((one) => (one === undefined ? '-' : 'x')).join('');
  };
  return { lab, entries, all: () => cached(all()), others: () => cached(others()) };
}

describe('IOTLB invalidation in legacy mode', () => {
  it.each([
    ['global', { granularity: 1 }, '---', '---'],
    ['domain', { granularity: 2, domainId: DOMAIN }, '---', 'xxx'],
    ['page', { granularity: 3, domainId: DOMAIN, address: 0x5000n }, '-xx', 'xxx'],
    ['two pages', { granularity: 3, domainId: DOMAIN, address: 0x5000n, addressMask: 1 }, '-xx', 'xxx'],
    ['four pages', { granularity: 3, domainId: DOMAIN, address: 0x4000n, addressMask: 2 }, '--x', 'xxx'],
    ['a page inside a large page', { granularity: 3, domainId: DOMAIN, address: 0x455000n }, 'xx-', 'xxx'],
    ['a wide range', { granularity: 3, domainId: DOMAIN, address: 0n, addressMask: 18 }, '---', 'xxx'],
    [
      'a range elsewhere',
      { granularity: 3, domainId: DOMAIN, address: 0x80000000n, addressMask: 18 },
      'xxx',
      'xxx',
    ],
    ['another domain', { granularity: 2, domainId: 99 }, 'xxx', 'xxx'],
  ])('%s', (_name, values, mine, theirs) => {
    const { lab, all, others } = legacyLab();
    expect(all()).toBe('xxx');
    lab.submit(iotlb(values));
    expect(all()).toBe(mine);
    expect(others()).toBe(theirs);
  });

  it('reaches translations of every requester of the domain', () => {
    const { lab, entries, all } = legacyLab();
    const shared = entries.get(REQUESTER) as number;
    // The second requester joins the first one's domain.
    lab.put(
      entries.get(OTHER_REQUESTER) as number,
      Uint32Array.from({ length: 4 }, (_, word) => lab.memory.read32(shared + word * 4)),
    );
    lab.submit(contextCache({ granularity: 1 }));
    expect(lab.translate(0x5000n, Access.read, -1, OTHER_REQUESTER)).toBe(0x50000n);
    lab.submit(iotlb({ granularity: 2, domainId: DOMAIN }));
    expect(all()).toBe('---');
  });

  it('by registers reports what was done', () => {
    const { lab, all } = legacyLab();
    lab.command(0);
    lab.write('GCMD', BigInt(GlobalBit.translation >>> 0));
    lab.unit.mmioWrite(lab.unit.file.offsetOf('IVA'), 8, 0x5000n);
    lab.write('IOTLB', 0xb000000000000000n | (BigInt(DOMAIN) << 32n));
    expect((lab.read('IOTLB') >> 57n) & 3n).toBe(3n);
    expect(all()).toBe('-xx');
    lab.unit.mmioWrite(lab.unit.file.offsetOf('IVA'), 8, 0x13n);
    lab.write('IOTLB', 0xb000000000000000n | (BigInt(DOMAIN) << 32n));
    expect((lab.read('IOTLB') >> 57n) & 3n).toBe(0n);
  });
});

describe('context-cache invalidation in legacy mode', () => {
  /** Takes the context entry away, with the IOTLB flushed: what still gets to the tables comes from the cache. */
  const reason = (values: Fields<typeof ContextCacheDescriptor>): number | undefined => {
    const { lab, entries } = legacyLab();
    lab.memory.write64(entries.get(REQUESTER) as number, 0n);
    lab.submit(iotlb({ granularity: 1 }), contextCache(values));
    return lab.reasonOf(0x5000n);
  };
  it.each([
    ['global', { granularity: 1 }, 0x02],
    ['domain', { granularity: 2, domainId: DOMAIN }, 0x02],
    ['another domain', { granularity: 2, domainId: OTHER_DOMAIN }, 0x06],
    ['device', { granularity: 3, sourceId: REQUESTER }, 0x02],
    ['another function', { granularity: 3, sourceId: REQUESTER ^ 1 }, 0x06],
    ['another function under a mask', { granularity: 3, sourceId: REQUESTER ^ 3, functionMask: 3 }, 0x02],
    ['a mask of bit 2 alone', { granularity: 3, sourceId: REQUESTER ^ 4, functionMask: 1 }, 0x02],
    ['a mask of bits 2:1', { granularity: 3, sourceId: REQUESTER ^ 1, functionMask: 2 }, 0x06],
  ])('%s', (_name, values, expected) => {
    expect(reason(values)).toBe(expected);
  });

  it('does not drop translations: they stay until the IOTLB is invalidated too', () => {
    const { lab, all } = legacyLab();
    lab.submit(contextCache({ granularity: 1 }));
    expect(all()).toBe('xxx');
  });
});

describe('paging-structure caches', () => {
  it('keep an upper level until an invalidation without the hint', () => {
    const lab = new VtdLab({ configuration: qemuUnit() });
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x3000003n);
    lab.map(top, 4, 0x6000n, 1, 0x3001003n);
    lab.legacy({ secondLevelPointer: top, domainId: DOMAIN });
    lab.startQueue();
    lab.translate(0x5000n);
    // Another table for the same 2 MiB.
    const table = lab.page();
    lab.memory.write64(table + 5 * 8, 0x3200003n);
    lab.memory.write64(table + 6 * 8, 0x3201003n);
    lab.map(top, 4, 0x5000n, 2, BigInt(table) | 3n);
    const page = { granularity: 3, domainId: DOMAIN, address: 0x5000n };
    lab.submit(iotlb({ ...page, invalidationHint: 1 }));
    expect(lab.translate(0x6000n)).toBe(0x3001000n);
    lab.submit(iotlb(page));
    expect(lab.translate(0x5000n)).toBe(0x3200000n);
  });
});

describe('scalable mode', () => {
  const build = () => {
    const lab = new VtdLab();
    const tops = [lab.page(), lab.page(), lab.page()];
    const leaves = tops.map((top, index) => lab.map(top, 4, 0x5000n, 1, BigInt(0x3000007 + index * 4096)));
    const placed = lab.scalable({
      0: { translationType: 2, addressWidth: 2, secondLevelPointer: tops[0], domainId: 8 },
      1: { translationType: 1, firstLevelPointer: tops[1], domainId: 9 },
      2: { translationType: 1, firstLevelPointer: tops[2], domainId: 9 },
    });
    lab.startQueue(32);
    for (const pasid of [0, 1, 2]) lab.translate(0x5000n, Access.read, pasid);
    const state = (): string => {
      const held = [0, 1, 2].map((pasid) =>
        lab.translate(0x5000n, Access.read, pasid) === undefined ? '-' : 'x',
      );
      lab.takeFaults();
      return held.join('');
    };
    return { lab, leaves, placed, state };
  };
  const wide = (words: Uint32Array): Uint32Array =>
    Uint32Array.from({ length: 8 }, (_, word) => words[word] ?? 0);

  it.each([
    ['PASID-selective takes one PASID', { granularity: 2, domainId: 9, pasid: 1 }, 'x-x'],
    ['PASID-selective needs the domain', { granularity: 2, domainId: 8, pasid: 1 }, 'xxx'],
    ['page-selective takes the page', { granularity: 3, domainId: 9, pasid: 2, address: 0x5000n }, 'xx-'],
    ['page-selective leaves other pages', { granularity: 3, domainId: 9, pasid: 2, address: 0x9000n }, 'xxx'],
    ['takes second-level entries too', { granularity: 2, domainId: 8, pasid: 0 }, '-xx'],
    ['and their pages', { granularity: 3, domainId: 8, pasid: 0, address: 0x5000n }, '-xx'],
    ['not their other pages', { granularity: 3, domainId: 8, pasid: 0, address: 0x9000n }, 'xxx'],
  ])('PASID-based IOTLB invalidation: %s', (_name, values, expected) => {
    const { lab, leaves, state } = build();
    for (const leaf of leaves) lab.memory.write64(leaf, 0n);
    lab.submit(wide(encodeDescriptor(PasidIotlbDescriptor, DescriptorType.pasidIotlb, values)));
    expect(state()).toBe(expected);
  });

  it.each([
    ['second level: the page', { granularity: 3, domainId: 8, address: 0x5000n }, '-xx'],
    ['second level: another page', { granularity: 3, domainId: 8, address: 0x9000n }, 'xxx'],
    ['first level: any page takes all', { granularity: 3, domainId: 9, address: 0x9000n }, 'x--'],
  ])('page-selective IOTLB invalidation in a domain: %s', (_name, values, expected) => {
    const { lab, leaves, state } = build();
    for (const leaf of leaves) lab.memory.write64(leaf, 0n);
    lab.submit(wide(iotlb(values)));
    expect(state()).toBe(expected);
  });

  it.each([
    ['one PASID', { granularity: 1, domainId: 9, pasid: 1 }, 'x-x'],
    ['a domain', { granularity: 0, domainId: 9 }, 'x--'],
    ['everything', { granularity: 3 }, '---'],
    ['another domain', { granularity: 1, domainId: 8, pasid: 1 }, 'xxx'],
  ])('PASID-cache invalidation: %s', (_name, values, expected) => {
    const { lab, placed, state } = build();
    for (const pasid of [0, 1, 2]) lab.memory.write32(placed.entry(pasid), 0);
    lab.submit(wide(encodeDescriptor(PasidCacheDescriptor, DescriptorType.pasidCache, values)));
    expect(state()).toBe(expected);
  });

  it.each([
    [DescriptorType.pasidIotlb, 2 << 4],
    [DescriptorType.pasidCache, 3 << 4],
    [DescriptorType.pasidDeviceTlb, 0],
  ])('has 256-bit descriptors of type %i only, also while tables are legacy ones', (type, granularity) => {
    const fetched = (width: 16 | 32): bigint => {
      const lab = new VtdLab();
      lab.startQueue(width);
      lab.submit(Uint32Array.of(type | granularity, 0, 0, 0, 0, 0, 0, 0));
      return lab.read('IQERCD');
    };
    expect([fetched(16), fetched(32)]).toEqual([5n, 0n]);
  });

  it('takes 256-bit descriptors only', () => {
    const { lab } = build();
    lab.command(0);
    const levels = BigInt(GlobalBit.translation >>> 0);
    lab.write('GCMD', levels);
    lab.startQueue(16);
    lab.submit(iotlb({ granularity: 1 }));
    expect(lab.read('FSTS')).toBe(BigInt(FaultStatusBit.queueError));
    expect(lab.read('IQERCD') & 0xfn).toBe(5n);
  });
});

describe('queue errors', () => {
  it.each([
    ['a type that does not exist', Uint32Array.of(0xf, 0, 0, 0), 3],
    [
      'a type for scalable mode',
      encodeDescriptor(PasidCacheDescriptor, DescriptorType.pasidCache, { granularity: 3 }),
      3,
    ],
    ['a reserved bit', Uint32Array.of(0x12 | (1 << 8), 0, 0, 0), 4],
    ['a granularity that does not exist', Uint32Array.of(0x02, 0, 0, 0), 4],
    ['an address mask that is too wide', iotlb({ granularity: 3, addressMask: 19 }), 4],
    ['a status that no memory takes', wait({ statusWrite: 1, statusAddress: 0x40000000, statusData: 1 }), 2],
  ])('%s leaves the head there and says why', (_name, descriptor, cause) => {
    const lab = new VtdLab({ configuration: qemuUnit() });
    const status = lab.page();
    lab.startQueue();
    lab.submit(
      iotlb({ granularity: 1 }),
      descriptor,
      wait({ statusWrite: 1, statusAddress: status, statusData: 7 }),
    );
    expect([lab.read('IQH'), lab.read('FSTS'), lab.read('IQERCD')]).toEqual([16n, 16n, BigInt(cause)]);
    lab.replace(1, iotlb({ granularity: 1 }));
    lab.write('FSTS', FaultStatusBit.queueError);
    expect([lab.read('IQH'), lab.read('FSTS'), lab.read('IQERCD')]).toEqual([48n, 0n, 0n]);
    expect(lab.memory.read32(status)).toBe(7);
  });

  it('a tail beyond the end, or inside a 256-bit descriptor', () => {
    const lab = new VtdLab();
    lab.startQueue(32);
    lab.write('IQT', 0x1000);
    expect(lab.read('IQERCD')).toBe(1n);
    lab.write('IQT', 0);
    lab.write('FSTS', FaultStatusBit.queueError);
    lab.write('IQT', 0x10);
    expect(lab.read('IQERCD')).toBe(6n);
  });

  it('goes on around the end of the ring', () => {
    const lab = new VtdLab({ configuration: qemuUnit() });
    lab.startQueue();
    for (let index = 0; index < 255; index += 1) lab.submit(iotlb({ granularity: 1 }));
    expect(lab.read('IQH')).toBe(255n * 16n);
    lab.replace(255, iotlb({ granularity: 1 }));
    lab.write('IQT', 0);
    expect(lab.read('IQH')).toBe(0n);
  });
});

describe('device-TLB invalidation', () => {
  const lab = (answer: 'done' | 'timed out' | 'malformed') => {
    const seen: DeviceTlbInvalidation[] = [];
    const made = new VtdLab({
      configuration: serverUnit(),
      onDeviceTlbInvalidation: (invalidation) => {
        seen.push(invalidation);
        return answer;
      },
    });
    made.startQueue(32);
    return { made, seen };
  };
  const one = (values: Fields<typeof DeviceTlbDescriptor>) =>
    encodeDescriptor(DeviceTlbDescriptor, DescriptorType.deviceTlb, { sourceId: REQUESTER, ...values });

  it.each([
    ['one page', { address: 0x7000n }, 0],
    ['two pages', { address: 0x6000n, size: 1 }, 1],
    ['eight pages', { address: 0x3000n, size: 1 }, 3],
    ['everything', { address: 0x7ffffffffffff000n, size: 1 }, 52],
  ])('codes its size in the address: %s', (_name, values, mask) => {
    const { made, seen } = lab('done');
    made.submit(one(values));
    expect(seen).toMatchObject([{ requesterId: REQUESTER, pasid: -1, mask }]);
  });

  it('names a PASID, or all', () => {
    const { made, seen } = lab('done');
    const values = { sourceId: REQUESTER, pasid: 5, address: 0x7000n };
    made.submit(encodeDescriptor(PasidDeviceTlbDescriptor, DescriptorType.pasidDeviceTlb, values));
    made.submit(
      encodeDescriptor(PasidDeviceTlbDescriptor, DescriptorType.pasidDeviceTlb, { ...values, global: 1 }),
    );
    expect(seen.map(({ pasid, allPasids }) => [pasid, allPasids])).toEqual([
      [5, false],
      [5, true],
    ]);
  });

  it('that times out halts the queue and aborts the wait that follows', () => {
    const { made } = lab('timed out');
    const status = made.page();
    made.submit(one({ address: 0x7000n }), wait({ statusWrite: 1, statusAddress: status, statusData: 1 }));
    expect(made.read('FSTS')).toBe(BigInt(FaultStatusBit.timeOutError));
    expect((made.read('IQERCD') >> 32n) & 0xffffn).toBe(BigInt(REQUESTER));
    expect(made.memory.read32(status)).toBe(0);
    made.submit(wait({ statusWrite: 1, statusAddress: status, statusData: 2 }));
    expect(made.memory.read32(status)).toBe(0);
    made.write('FSTS', FaultStatusBit.timeOutError);
    expect(made.memory.read32(status)).toBe(2);
    expect(made.read('IQERCD')).toBe(0n);
  });

  it('that is answered wrongly is told, and the queue goes on', () => {
    const { made } = lab('malformed');
    const status = made.page();
    made.submit(one({ address: 0x7000n }), wait({ statusWrite: 1, statusAddress: status, statusData: 1 }));
    expect(made.read('FSTS')).toBe(BigInt(FaultStatusBit.completionError));
    expect(made.read('IQERCD') >> 48n).toBe(BigInt(REQUESTER));
    expect(made.memory.read32(status)).toBe(1);
  });
});

describe('page group responses', () => {
  it('reach the device side', () => {
    const lab = new VtdLab();
    lab.startQueue(32);
    const values = { pasidPresent: 1, pasid: 5, requesterId: REQUESTER, group: 17, responseCode: 1 };
    const response = encodeDescriptor(PageGroupResponseDescriptor, DescriptorType.pageGroupResponse, values);
    const privateData = [1, 2, 3, 4];
    lab.submit(Uint32Array.of(...response, ...privateData));
    expect(lab.read('FSTS')).toBe(0n);
    expect(lab.read('IQH')).toBe(32n);
  });
});
