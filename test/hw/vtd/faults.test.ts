/** Fault recording and the fault event with several records. VT-d 7.2.1; the driver loop is that of dmar.c. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Access } from '../../../hw/vtd/access.ts';
import { serverUnit } from '../../../hw/vtd/configuration.ts';
import { FaultStatusBit } from '../../../hw/vtd/registers.ts';
import { VtdLab } from '../../support/vtd-lab.ts';

const ADDRESS = 0x7000n;

describe('eight fault recording registers', () => {
  let lab: VtdLab;
  const records = (): number => lab.unit.file.faultRecordOffset;
  const fault = (requesterId: number): void => {
    lab.translate(ADDRESS, Access.write, -1, requesterId);
  };
  const clear = (index: number): void => lab.unit.mmioWrite(records() + index * 16 + 12, 4, 0x80000000n);
  const status = (): number => Number(lab.read('FSTS'));

  beforeEach(() => {
    lab = new VtdLab({ configuration: serverUnit() });
    lab.write('FEDATA', 0x41);
    lab.write('FEADDR', 0xfee01000);
    lab.write('FECTL', 0);
    lab.start(lab.page(), 0);
  });

  it('fills them in turn, and FRI is the one that made PPF rise', () => {
    for (const id of [0x100, 0x200, 0x300]) fault(id);
    expect(lab.unit.faults.records().map((record) => record.requesterId)).toEqual([0x100, 0x200, 0x300]);
    expect(status()).toBe(FaultStatusBit.pending);
    clear(0);
    clear(1);
    expect(status() & FaultStatusBit.pending).not.toBe(0);
    clear(2);
    expect(status() & FaultStatusBit.pending).toBe(0);
    fault(0x400);
    expect(status() >>> 8).toBe(3);
    expect(lab.unit.faults.records()[0]).toMatchObject({ index: 3, requesterId: 0x400, reason: 1 });
  });

  it('collapses faults of one requester while its record is there', () => {
    fault(0x100);
    fault(0x100);
    expect(lab.unit.faults.records()).toHaveLength(1);
  });

  it('sets PFO when all are taken, and records nothing until it is cleared', () => {
    for (let id = 1; id <= 8; id += 1) fault(id << 8);
    expect(status() & FaultStatusBit.overflow).toBe(0);
    fault(0x900);
    expect(status() & FaultStatusBit.overflow).toBe(FaultStatusBit.overflow);
    clear(0);
    fault(0xa00);
    expect(lab.unit.faults.records()).toHaveLength(7);
    lab.write('FSTS', FaultStatusBit.overflow);
    fault(0xa00);
    expect(lab.unit.faults.records().map((record) => record.requesterId)).toContain(0xa00);
  });

  it('sends one event until software has answered all of them', () => {
    fault(0x100);
    fault(0x200);
    expect(lab.interrupts).toHaveLength(1);
    expect(lab.interrupts[0]).toMatchObject({ origin: 'unit', vector: 0x41, destination: 1, data: 0x41 });
    clear(0);
    fault(0x300);
    expect(lab.interrupts).toHaveLength(1);
    clear(1);
    clear(2);
    fault(0x400);
    expect(lab.interrupts).toHaveLength(2);
  });

  it('keeps a masked event pending, sends it when unmasked, forgets it when nothing is left to tell', () => {
    lab.write('FECTL', 0x80000000);
    fault(0x100);
    expect(lab.read('FECTL')).toBe(0xc0000000n);
    clear(0);
    expect(lab.read('FECTL')).toBe(0x80000000n);
    fault(0x100);
    lab.write('FECTL', 0);
    expect(lab.interrupts).toHaveLength(1);
    expect(lab.read('FECTL')).toBe(0n);
  });

  it('sends messages to destinations above 255 by the upper address register', () => {
    lab.write('FEUADDR', 0x12345600);
    fault(0x100);
    expect(lab.interrupts[0].destination).toBe(0x12345601);
  });

  it('lets the loop of the driver end: records are contiguous from FRI', () => {
    for (const id of [0x100, 0x200, 0x300]) fault(id);
    const seen: number[] = [];
    for (let index = status() >>> 8; ; index = (index + 1) % 8) {
      const last = lab.unit.mmioRead(records() + index * 16 + 12, 4);
      if ((last & 0x80000000n) === 0n) break;
      seen.push(Number(lab.unit.mmioRead(records() + index * 16 + 8, 4)) & 0xffff);
      clear(index);
    }
    expect(seen).toEqual([0x100, 0x200, 0x300]);
  });
});

describe('what a record holds', () => {
  it('has direction, PASID and privilege; RID_PASID shows no PASID', () => {
    const lab = new VtdLab();
    lab.scalable({ 9: { present: 0 } }, { ridPasid: 9 });
    lab.translate(ADDRESS, Access.write, 9);
    expect(lab.takeFaults()[0]).toMatchObject({ reason: 0x59, pasid: 9, type: 'write', address: ADDRESS });
    lab.translate(ADDRESS, Access.read);
    expect(lab.takeFaults()[0]).toMatchObject({ reason: 0x59, pasid: undefined, type: 'read' });
  });

  it.each([
    ['the context entry', { context: 1, directory: 0, entry: 0 }],
    ['the PASID directory entry', { context: 0, directory: 1, entry: 0 }],
    ['the PASID-table entry', { context: 0, directory: 0, entry: 1 }],
  ])('is not written for a qualified fault when %s disables it, even when not present', (_name, where) => {
    const lab = new VtdLab();
    const placed = lab.scalable(
      { 0: { present: 0, faultDisable: where.entry } },
      { faultDisable: where.context },
    );
    if (where.directory) lab.memory.write32(placed.directory, lab.memory.read32(placed.directory) | 2);
    expect(lab.translate(ADDRESS)).toBeUndefined();
    expect(lab.takeFaults()).toEqual([]);
  });

  it('is written for an unqualified fault all the same', () => {
    const lab = new VtdLab();
    lab.scalable({}, { faultDisable: 1, pasidDirectoryPointer: 0x10000000 });
    expect(lab.reasonOf(ADDRESS)).toBe(0x50);
  });
});
