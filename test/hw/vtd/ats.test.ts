/** Translation requests, translated requests, page requests. VT-d 4, 7.4. */
import { describe, expect, it } from 'vitest';
import { Access } from '../../../hw/vtd/access.ts';
import { cacheContents } from '../../../hw/vtd/cache-contents.ts';
import { serverUnit } from '../../../hw/vtd/configuration.ts';
import { explain } from '../../../hw/vtd/explain.ts';
import { REQUESTER, VtdLab } from '../../support/vtd-lab.ts';

const plain = { requesterId: REQUESTER, pasid: 5, noWrite: false, privileged: false, execute: false };

/** PASID 5 through first-level tables: 0x5000 read/write, 0x6000 read-only, 2 MiB at 0x400000. */
function build() {
  const lab = new VtdLab();
  const top = lab.page();
  const leaf = lab.map(top, 4, 0x5000n, 1, 0x3000007n);
  lab.map(top, 4, 0x6000n, 1, 0x3001005n);
  lab.map(top, 4, 0x400000n, 2, 0x1000087n);
  const enabled = { deviceTlbEnable: 1, pageRequestEnable: 1 };
  lab.scalable({ 5: { translationType: 1, firstLevelPointer: top } }, enabled);
  return { lab, leaf };
}

describe('translation requests', () => {
  it('answer with address, size and rights', () => {
    const { lab } = build();
    const ask = (address: bigint, more = {}) => lab.unit.translationRequest({ ...plain, address, ...more });
    expect(ask(0x5123n)).toMatchObject({ physical: 0x3000000n, sizeBytes: 4096, read: true, write: true });
    expect(ask(0x6000n)).toMatchObject({ physical: 0x3001000n, read: true, write: false });
    expect(ask(0x455000n)).toMatchObject({ physical: 0x1000000n, sizeBytes: 0x200000, write: true });
    expect(ask(0x5000n, { noWrite: true })).toMatchObject({ read: true, write: false });
    expect(lab.takeFaults()).toEqual([]);
  });

  it('where nothing is mapped grant nothing, and are no fault', () => {
    const { lab } = build();
    expect(lab.unit.translationRequest({ ...plain, address: 0x9000n })).toMatchObject({
      read: false,
      write: false,
    });
    expect(lab.takeFaults()).toEqual([]);
  });

  it.each([
    [-1, false],
    [5, true],
  ])('grant execution to requests with a PASID only: PASID %i', (pasid, granted) => {
    const lab = new VtdLab({ configuration: serverUnit({ executeRequests: 1 }) });
    const top = lab.page();
    lab.map(top, 4, 0x5000n, 1, 0x3000007n);
    const entry = { translationType: 1, firstLevelPointer: top, executeRequestEnable: 1 };
    lab.scalable({ 0: entry, 5: entry }, { deviceTlbEnable: 1 });
    const answer = lab.unit.translationRequest({ ...plain, pasid, execute: true, address: 0x5000n });
    expect(answer).toMatchObject({ read: true, execute: granted });
  });

  it('that may write set the dirty bit, as the device then writes unseen', () => {
    const { lab, leaf } = build();
    lab.unit.translationRequest({ ...plain, address: 0x5000n, noWrite: true });
    expect(lab.memory.read32(leaf) & 0x60).toBe(0x20);
    lab.unit.translationRequest({ ...plain, address: 0x5000n });
    expect(lab.memory.read32(leaf) & 0x60).toBe(0x60);
  });

  it('are recorded with their address type when a structure refuses them', () => {
    const { lab } = build();
    lab.unit.translationRequest({ ...plain, pasid: 6, address: 0x5000n });
    const [record] = lab.takeFaults();
    expect(record).toMatchObject({ reason: 0x59, pasid: 6, type: 'read' });
    expect(record.fields.find((field) => field.name === 'addressType')?.value).toBe(1n);
  });
});

describe('page requests', () => {
  const request = {
    requesterId: REQUESTER,
    pasid: 5,
    read: true,
    write: false,
    last: true,
    group: 9,
    privileged: false,
    execute: false,
  };

  it('go into the queue with an event for the first', () => {
    const { lab } = build();
    const queue = lab.page();
    lab.write('PQA', BigInt(queue));
    lab.write('PEDATA', 0x55);
    lab.write('PEADDR', 0xfee02000);
    lab.write('PECTL', 0);
    expect(lab.unit.pageRequest({ ...request, address: 0x123456789abcn })).toBe(true);
    expect(lab.unit.pageRequest({ ...request, pasid: -1, address: 0x7000n })).toBe(false);
    expect(lab.read('PQT')).toBe(32n);
    expect(lab.memory.read64(queue)).toBe(0x0000000500000101n | (BigInt(REQUESTER) << 16n));
    expect(lab.memory.read64(queue + 8)).toBe(0x123456789000n | (9n << 3n) | 4n | 1n);
    expect(lab.interrupts).toMatchObject([{ origin: 'unit', vector: 0x55 }]);
    expect(lab.read('PRS')).toBe(1n);
  });

  it('overflow when the queue is full, until software clears it', () => {
    const { lab } = build();
    lab.write('PQA', BigInt(lab.page()));
    let accepted = 0;
    while (lab.unit.pageRequest({ ...request, address: 0x5000n }) && accepted < 1000) accepted += 1;
    expect(accepted).toBe(127);
    expect(lab.read('PRS')).toBe(3n);
    lab.write('PQH', lab.read('PQT'));
    expect(lab.unit.pageRequest({ ...request, address: 0x5000n })).toBe(false);
    lab.write('PRS', 3);
    expect(lab.unit.pageRequest({ ...request, address: 0x5000n })).toBe(true);
  });

  it('are refused by a unit that has none', () => {
    const lab = new VtdLab({ configuration: serverUnit({ pageRequests: 0 }) });
    lab.scalable({ 5: {} });
    expect(lab.unit.pageRequest({ ...request, address: 0x5000n })).toBe(false);
  });
});

describe('what a unit shows of itself', () => {
  it('tells what the IOTLB would answer, and that the tables say otherwise', () => {
    const { lab, leaf } = build();
    lab.translate(0x5000n, Access.read, 5);
    lab.memory.write64(leaf, 0x3456067n);
    const walk = explain(lab.unit, REQUESTER, 0x5008n, Access.read, 5);
    expect(walk).toMatchObject({
      ok: true,
      cached: 'iotlb',
      physical: 0x3456008n,
      cachedPhysical: 0x3000008n,
    });
    expect(walk.steps.map((step) => step.structure)).toEqual([
      'scalable-mode root entry',
      'scalable-mode context entry',
      'PASID directory entry',
      'PASID-table entry',
      'first-level entry, level 4',
      'first-level entry, level 3',
      'first-level entry, level 2',
      'first-level entry, level 1',
    ]);
  });

  it('lists its caches in words', () => {
    const { lab } = build();
    lab.translate(0x5000n, Access.read, 5);
    const caches = Object.fromEntries(cacheContents(lab.unit).map(({ name, entries }) => [name, entries]));
    expect(caches['context cache']).toHaveLength(1);
    expect(caches['PASID cache']).toEqual(['01:02.3 PASID 5 → first-level, domain 7']);
    expect(caches.IOTLB).toEqual(['domain 7, PASID 5 (first-level): 0x5000 → 0x3000000 4K r-']);
  });
});
