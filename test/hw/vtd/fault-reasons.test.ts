/** Every reason code that the reference lists for address translation can be brought about. VT-d 7.1.3. */
import { describe, expect, it } from 'vitest';
import { Access, privileged } from '../../../hw/vtd/access.ts';
import { serverUnit } from '../../../hw/vtd/configuration.ts';
import { explain } from '../../../hw/vtd/explain.ts';
import { Fault, faultReasons } from '../../../hw/vtd/fault-reasons.ts';
import { REQUESTER, ROM_START, VtdLab } from '../../support/vtd-lab.ts';

const OUTSIDE = 0x10000000;
const ADDRESS = 0x12345000n;
const READ_WRITE = 3n;

/** Brings one reason about; returns what the fault record shows. */
type Scenario = (lab: VtdLab) => number | undefined;

const secondLevel = (lab: VtdLab, leaf: bigint | undefined, more = {}): number => {
  const top = lab.page();
  if (leaf !== undefined) lab.map(top, 4, ADDRESS, 1, leaf);
  lab.scalable({ 0: { translationType: 2, addressWidth: 2, secondLevelPointer: top, ...more } });
  return top;
};

const firstLevel = (lab: VtdLab, leaf: bigint | undefined, more = {}): number => {
  const top = lab.page();
  if (leaf !== undefined) lab.map(top, 4, ADDRESS, 1, leaf);
  lab.scalable({ 0: { translationType: 1, firstLevelPointer: top, ...more } });
  return top;
};

/** Nested: the second level maps these pages to themselves with these rights; the rest isn't mapped. */
const nested = (lab: VtdLab, build: (first: number, second: number) => void): void => {
  const first = lab.page();
  const second = lab.page();
  build(first, second);
  const entry = { translationType: 3, addressWidth: 2, secondLevelPointer: second, firstLevelPointer: first };
  lab.scalable({ 0: entry });
};

const identity = (lab: VtdLab, second: number, page: number, rights = READ_WRITE): void => {
  lab.map(second, 4, BigInt(page), 1, BigInt(page) | rights);
};

const scenarios: Readonly<Record<number, Scenario>> = {
  [Fault.rootNotPresent]: (lab) => {
    lab.start(lab.page(), 0);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.contextNotPresent]: (lab) => {
    lab.legacy({ present: 0 });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.contextInvalid]: (lab) => {
    lab.legacy({ translationType: 3, secondLevelPointer: lab.page() });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.addressTooWide]: (lab) => {
    lab.legacy({ addressWidth: 1, secondLevelPointer: lab.page() });
    return lab.reasonOf(1n << 39n);
  },
  [Fault.write]: (lab) => {
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 1, 0x1001n);
    lab.legacy({ secondLevelPointer: top });
    return lab.reasonOf(ADDRESS, Access.write);
  },
  [Fault.read]: (lab) => {
    lab.legacy({ secondLevelPointer: lab.page() });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.tableAccess]: (lab) => {
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 2, BigInt(OUTSIDE) | READ_WRITE);
    lab.legacy({ secondLevelPointer: top });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.rootAccess]: (lab) => {
    lab.start(OUTSIDE, 0);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.contextAccess]: (lab) => {
    const root = lab.page();
    lab.memory.write64(root + 16, BigInt(OUTSIDE) | 1n);
    lab.start(root, 0);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.rootReserved]: (lab) => {
    const root = lab.page();
    lab.memory.write64(root + 16, BigInt(lab.page()) | 3n);
    lab.start(root, 0);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.contextReserved]: (lab) => {
    const entry = lab.legacy({ secondLevelPointer: lab.page() });
    lab.memory.write32(entry + 12, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.entryReserved]: (lab) => {
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 2, 0x81083n);
    lab.legacy({ secondLevelPointer: top });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.translationTypeBlocks]: (lab) => {
    lab.legacy({ secondLevelPointer: lab.page() });
    lab.unit.translationRequest({
      requesterId: REQUESTER,
      pasid: -1,
      address: ADDRESS,
      noWrite: false,
      privileged: false,
      execute: false,
    });
    return lab.takeFaults()[0]?.reason;
  },
  [Fault.interruptRange]: (lab) => {
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 1, 0xfee01003n);
    lab.legacy({ secondLevelPointer: top });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.tableMode]: (lab) => {
    lab.start(lab.page(), 2);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidInLegacyMode]: (lab) => {
    lab.legacy({ secondLevelPointer: lab.page() });
    return lab.reasonOf(ADDRESS, Access.read, 3);
  },
  [Fault.pageRequestInLegacyMode]: (lab) => {
    lab.legacy({ secondLevelPointer: lab.page() });
    return pageRequest(lab, 3);
  },
  [Fault.scalableRootAccess]: (lab) => {
    lab.start(OUTSIDE, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableRootNotPresent]: (lab) => {
    lab.start(lab.page(), 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableRootReserved]: (lab) => {
    const root = lab.page();
    lab.memory.write64(root + 16, BigInt(lab.page()) | 0x801n);
    lab.start(root, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableContextAccess]: (lab) => {
    const root = lab.page();
    lab.memory.write64(root + 16, BigInt(OUTSIDE) | 1n);
    lab.start(root, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableContextNotPresent]: (lab) => {
    lab.scalable({}, { present: 0 });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableContextReserved]: (lab) => {
    const { context } = lab.scalable({});
    lab.memory.write32(context + 28, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.scalableContextInvalid]: (lab) => {
    lab.scalable({}, { ridPasid: 0x2000 });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.deviceTlbDisabled]: (lab) => {
    lab.scalable({});
    lab.unit.admitTranslated(REQUESTER, -1, 0, 0x12345, Access.read);
    return lab.takeFaults()[0]?.reason;
  },
  [Fault.pasidDisabled]: (lab) => {
    lab.scalable({}, { pasidEnable: 0 });
    return lab.reasonOf(ADDRESS, Access.read, 3);
  },
  [Fault.pasidTooBig]: (lab) => {
    lab.scalable({});
    return lab.reasonOf(ADDRESS, Access.read, 0x2000);
  },
  [Fault.pageRequestDisabled]: (lab) => {
    lab.scalable({});
    return pageRequest(lab, 3);
  },
  [Fault.pasidDirectoryAccess]: (lab) => {
    lab.scalable({}, { pasidDirectoryPointer: OUTSIDE });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidDirectoryNotPresent]: (lab) => {
    lab.scalable({});
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidDirectoryReserved]: (lab) => {
    const { directory } = lab.scalable({ 0: {} });
    lab.memory.write32(directory, lab.memory.read32(directory) | 4);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidTableAccess]: (lab) => {
    const { directory } = lab.scalable({});
    lab.memory.write64(directory, BigInt(OUTSIDE) | 1n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidNotPresent]: (lab) => {
    lab.scalable({ 0: { present: 0 } });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidReserved]: (lab) => {
    const { entry } = lab.scalable({ 0: { translationType: 4 } });
    lab.memory.write32(entry(0) + 60, 1);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.pasidInvalid]: (lab) => {
    lab.scalable({ 0: { translationType: 6 } });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.executeDisabled]: (lab) => {
    firstLevel(lab, 0x1007n);
    return lab.reasonOf(ADDRESS, Access.execute);
  },
  [Fault.supervisorDisabled]: (lab) => {
    firstLevel(lab, 0x1007n);
    return lab.reasonOf(ADDRESS, privileged(Access.read));
  },
  [Fault.firstLevelAccess]: (lab) => {
    const top = firstLevel(lab, undefined);
    lab.map(top, 4, ADDRESS, 3, BigInt(OUTSIDE) | 7n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.firstLevelNotPresent]: (lab) => {
    firstLevel(lab, 0n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.firstLevelReserved]: (lab) => {
    const top = firstLevel(lab, undefined);
    lab.map(top, 4, ADDRESS, 2, 0x2087n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.firstLevelRootAccess]: (lab) => {
    lab.scalable({ 0: { translationType: 1, firstLevelPointer: OUTSIDE } });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.nestedAddressTooWide]: (lab) => {
    nested(lab, (first, second) => {
      identity(lab, second, first);
      lab.memory.write64(first, (1n << 50n) | 7n);
    });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.nestedRootRead]: (lab) => {
    nested(lab, () => {});
    return lab.reasonOf(ADDRESS);
  },
  [Fault.nestedTableRead]: (lab) => {
    nested(lab, (first, second) => {
      identity(lab, second, first);
      lab.memory.write64(first, BigInt(lab.page()) | 7n);
    });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.nestedFlagWrite]: (lab) => {
    nested(lab, (first, second) => {
      identity(lab, second, first, 1n);
      lab.memory.write64(first, BigInt(lab.page()) | 7n);
    });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelAccess]: (lab) => {
    const top = secondLevel(lab, undefined);
    lab.map(top, 4, ADDRESS, 2, BigInt(OUTSIDE) | READ_WRITE);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelNotPresent]: (lab) => {
    nested(lab, (first, second) => {
      const leaf = lab.map(first, 4, ADDRESS, 1, 0x3456000n | 7n);
      for (let page = first & ~0xfffff; page <= leaf; page += 4096) identity(lab, second, page);
    });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelReserved]: (lab) => {
    secondLevel(lab, 0x4000000000001003n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelRootAccess]: (lab) => {
    lab.scalable({ 0: { translationType: 2, addressWidth: 2, secondLevelPointer: OUTSIDE } });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelFlagSnoop]: (lab) => {
    secondLevel(lab, 0x1003n, { secondLevelAccessDirtyEnable: 1, pageWalkSnoop: 0 });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.secondLevelFlagUpdate]: (lab) => {
    const more = { secondLevelAccessDirtyEnable: 1, secondLevelPointer: ROM_START };
    lab.scalable({ 0: { translationType: 2, addressWidth: 2, ...more } });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.notCanonical]: (lab) => {
    firstLevel(lab, undefined);
    return lab.reasonOf(1n << 47n);
  },
  [Fault.userToSupervisor]: (lab) => {
    firstLevel(lab, 0x1003n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.execute]: (lab) => {
    firstLevel(lab, (1n << 63n) | 0x1007n, { executeRequestEnable: 1 });
    return lab.reasonOf(ADDRESS, Access.execute);
  },
  [Fault.hostAddressTooWide]: (lab) => {
    lab.scalable({ 0: { translationType: 4 } });
    return lab.reasonOf(1n << 52n);
  },
  [Fault.secondLevelTooWide]: (lab) => {
    secondLevel(lab, undefined);
    return lab.reasonOf(1n << 48n);
  },
  [Fault.scalableWrite]: (lab) => {
    secondLevel(lab, 0x1001n);
    return lab.reasonOf(ADDRESS, Access.write);
  },
  [Fault.scalableRead]: (lab) => {
    secondLevel(lab, 0x1002n);
    return lab.reasonOf(ADDRESS, Access.read);
  },
  [Fault.scalableInterruptRange]: (lab) => {
    secondLevel(lab, 0xfee00003n);
    return lab.reasonOf(ADDRESS);
  },
  [Fault.firstLevelFlagSnoop]: (lab) => {
    firstLevel(lab, 0x1007n, { pageWalkSnoop: 0 });
    return lab.reasonOf(ADDRESS);
  },
  [Fault.firstLevelFlagUpdate]: (lab) => {
    // A table in read-only memory: present, never accessed.
    const rom = new VtdLab({ configuration: lab.unit.configuration });
    const chunk = rom.memory.chunkForWrite(ROM_START / 0x200000);
    chunk[0] = (rom.page() | 7) >>> 0;
    rom.scalable({ 0: { translationType: 1, firstLevelPointer: ROM_START } });
    return rom.reasonOf(0x1000n);
  },
};

/** A page request (PRI) with this PASID; the reason that it records. */
function pageRequest(lab: VtdLab, pasid: number): number | undefined {
  const asked = { read: true, write: false, last: true, privileged: false, execute: false, group: 0 };
  lab.unit.pageRequest({ requesterId: REQUESTER, pasid, address: ADDRESS, ...asked });
  return lab.takeFaults()[0]?.reason;
}

const configuration = serverUnit({ executeRequests: 1 });

describe('fault reasons of address translation', () => {
  it.each(Object.entries(scenarios))('%i', (code, scenario) => {
    const lab = new VtdLab({ configuration });
    if (Number(code) === Fault.secondLevelFlagUpdate)
      lab.memory.chunkForWrite(ROM_START / 0x200000)[0] = (lab.page() | 3) >>> 0;
    const reason = scenario(lab);
    expect(reason?.toString(16)).toBe(Number(code).toString(16));
  });

  it.each([
    ['a right that an upper level lacks', 0x3n, 0x0n, Fault.userToSupervisor],
    ['a right, then a table outside memory', 0x3n, BigInt(OUTSIDE) | 7n, Fault.userToSupervisor],
    ['a right and a reserved bit of one entry', 0x7n, (1n << 51n) | 3n, Fault.userToSupervisor],
    ['a write, then an entry that is absent', 0x5n, 0x0n, Fault.scalableWrite],
    ['an entry that is absent before a right', 0x7n, 0x2n, Fault.firstLevelNotPresent],
  ])('a first-level walk ends where the first thing is wrong: %s', (_name, link, next, reason) => {
    const lab = new VtdLab({ configuration });
    const top = lab.page();
    const third = lab.map(top, 4, ADDRESS, 3, next, link);
    lab.scalable({ 0: { translationType: 1, firstLevelPointer: top } });
    expect(lab.reasonOf(ADDRESS, Access.write)).toBe(reason);
    expect(lab.memory.read64(third)).toBe(next);
  });

  it.each([
    ['second', { translationType: 2, addressWidth: 2 }, 1n, Fault.scalableWrite],
    ['first', { translationType: 1 }, 5n, Fault.scalableWrite],
  ])('a way that is cached refuses as one that is not: %s level', (_level, values, link, reason) => {
    const lab = new VtdLab({ configuration });
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 1, 0x1007n, link);
    const pointers = { secondLevelPointer: top, firstLevelPointer: top };
    lab.scalable({ 0: { ...values, ...pointers } });
    expect(lab.translate(ADDRESS)).toBeDefined();
    expect(lab.reasonOf(ADDRESS + 0x1000n, Access.write)).toBe(reason);
  });

  it('a first-level entry that refuses is not marked as accessed', () => {
    const lab = new VtdLab({ configuration });
    const top = lab.page();
    lab.map(top, 4, ADDRESS, 1, 0x1007n, 0x5n);
    lab.scalable({ 0: { translationType: 1, firstLevelPointer: top } });
    expect(lab.reasonOf(ADDRESS, Access.write)).toBe(Fault.scalableWrite);
    expect(lab.memory.read64(top) & 0x20n).toBe(0n);
  });

  it('has a scenario for every reason that a walk can give', () => {
    const interrupts = (code: number): boolean => code >= 0x20 && code <= 0x2f;
    // 48h: the split against 43h isn't settled; RID_PASID beyond the directory is reported as 43h.
    const listed = [...faultReasons.keys()].filter((code) => !interrupts(code) && code !== 0x48);
    expect(listed.filter((code) => scenarios[code] === undefined)).toEqual([]);
  });

  it('is told by the recording walk as well, without a record', () => {
    const lab = new VtdLab({ configuration });
    secondLevel(lab, 0x1001n);
    const walk = explain(lab.unit, REQUESTER, ADDRESS, Access.write);
    expect(walk.fault).toMatchObject({ reason: Fault.scalableWrite, recorded: true });
    expect(lab.unit.faults.records()).toEqual([]);
  });
});
