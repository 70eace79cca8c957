/** Posted interrupts and extended mode: what no transcript reaches. VT-d 5.2, 9.10, 9.11. */
import { beforeEach, describe, expect, it } from 'vitest';
import { serverUnit } from '../../../hw/vtd/configuration.ts';
import {
  DescriptorType,
  encodeDescriptor,
  InterruptEntryCacheDescriptor,
} from '../../../hw/vtd/descriptors.ts';
import { Fault } from '../../../hw/vtd/fault-reasons.ts';
import { InterruptEntry, PostedInterruptDescriptor, PostedInterruptEntry } from '../../../hw/vtd/layouts.ts';
import { GlobalBit } from '../../../hw/vtd/registers.ts';
import { REQUESTER, VtdLab } from '../../support/vtd-lab.ts';

const INDEX = 5;
const VIRTUAL_VECTOR = 0x47;
/** Remappable format, handle in bits 19:5. */
const address = (index: number): number => 0xfee00010 | (index << 5);

let lab: VtdLab;
let table: number;
let descriptor: number;
const send = (index = INDEX, data = 0, requesterId = REQUESTER): boolean =>
  lab.unit.messageInterrupt({ requesterId, addressHigh: 0, addressLow: address(index) >>> 0, data });
const put = (words: Uint32Array, index = INDEX): void => lab.put(table + index * 16, words);

const posted = (more: Partial<Record<keyof typeof PostedInterruptEntry.fields, number>> = {}): Uint32Array =>
  PostedInterruptEntry.encode({
    present: 1,
    mode: 1,
    virtualVector: VIRTUAL_VECTOR,
    descriptorAddressLow: descriptor / 64,
    ...more,
  });

const describeCpu = (
  more: Partial<Record<keyof typeof PostedInterruptDescriptor.fields, number>> = {},
): void =>
  lab.put(
    descriptor,
    PostedInterruptDescriptor.encode({ notificationVector: 0xf2, notificationDestination: 0x300, ...more }),
  );

beforeEach(() => {
  lab = new VtdLab({ configuration: serverUnit() });
  table = lab.page();
  descriptor = lab.page() + 128;
  lab.write('IRTA', BigInt(table) | 0x807n);
  lab.command(GlobalBit.interruptTable);
  lab.command(GlobalBit.interruptRemapping);
  lab.startQueue();
});

describe('posted interrupts', () => {
  it('set the bit of the virtual vector and notify once', () => {
    describeCpu();
    put(posted());
    expect(send()).toBe(true);
    expect(send()).toBe(true);
    expect(lab.interrupts).toHaveLength(1);
    expect(lab.interrupts[0]).toMatchObject({ origin: 'posted', vector: 0xf2, destination: 0x300 });
    expect(lab.memory.read32(descriptor + (VIRTUAL_VECTOR >>> 5) * 4)).toBe(1 << (VIRTUAL_VECTOR & 31));
    expect(lab.memory.read32(descriptor + 32) & 1).toBe(1);
  });

  it('notify again once software has taken ON back', () => {
    describeCpu();
    put(posted());
    send();
    lab.memory.write32(descriptor + 32, lab.memory.read32(descriptor + 32) & ~1);
    send();
    expect(lab.interrupts).toHaveLength(2);
  });

  it('are quiet while notifications are suppressed, but for urgent ones', () => {
    describeCpu({ suppress: 1 });
    put(posted());
    send();
    expect(lab.interrupts).toHaveLength(0);
    expect(lab.memory.read32(descriptor + (VIRTUAL_VECTOR >>> 5) * 4)).not.toBe(0);
    put(posted({ urgent: 1 }), INDEX + 1);
    send(INDEX + 1);
    expect(lab.interrupts).toHaveLength(1);
  });

  it('fault when the descriptor is outside memory or holds reserved bits', () => {
    put(posted({ descriptorAddressLow: 0x20000000 / 64 }));
    expect(send()).toBe(false);
    expect(lab.takeFaults()[0]).toMatchObject({ reason: Fault.postedDescriptorAccess });
    lab.memory.write32(descriptor + 40, 1);
    put(posted(), INDEX + 1);
    expect(send(INDEX + 1)).toBe(false);
    expect(lab.takeFaults()[0]).toMatchObject({ reason: Fault.postedDescriptorReserved });
  });

  it('are reserved on a unit that has none', () => {
    lab = new VtdLab({ configuration: serverUnit({ postedInterrupts: 0 }) });
    lab.write('IRTA', BigInt(table) | 0x807n);
    lab.command(GlobalBit.interruptTable);
    lab.command(GlobalBit.interruptRemapping);
    put(posted());
    expect(send()).toBe(false);
    expect(lab.takeFaults()[0].reason).toBe(Fault.interruptReserved);
  });
});

describe('remapped interrupts', () => {
  const remapped = (more: Partial<Record<keyof typeof InterruptEntry.fields, number>> = {}): Uint32Array =>
    InterruptEntry.encode({ present: 1, vector: 0x31, destination: 0x12345, ...more });

  it('reach 32-bit destinations in extended mode', () => {
    put(remapped());
    send();
    expect(lab.interrupts[0]).toMatchObject({ origin: 'device', vector: 0x31, destination: 0x12345 });
  });

  it('stay cached until their entry is invalidated, and no longer', () => {
    put(remapped());
    send();
    put(remapped({ vector: 0x32 }));
    send();
    expect(lab.interrupts[1].vector).toBe(0x31);
    const invalidate = (index: number): void =>
      lab.submit(
        encodeDescriptor(InterruptEntryCacheDescriptor, DescriptorType.interruptEntryCache, {
          granularity: 1,
          index,
        }),
      );
    invalidate(INDEX + 1);
    send();
    expect(lab.interrupts[2].vector).toBe(0x31);
    invalidate(INDEX);
    send();
    expect(lab.interrupts[3].vector).toBe(0x32);
  });

  it('verify a bus range: start in the high byte of SID, end in the low', () => {
    put(remapped({ sourceValidation: 2, sourceId: 0x0103 }));
    expect([0x0100, 0x02ff, 0x0300].map((id) => send(INDEX, 0, id))).toEqual([true, true, true]);
    expect([0x00ff, 0x0400].map((id) => send(INDEX, 0, id))).toEqual([false, false]);
  });

  it('are blocked in compatibility format in extended mode, whatever CFI says', () => {
    lab.command(GlobalBit.compatibilityFormat);
    expect(lab.read('GSTS') & 0x800000n).not.toBe(0n);
    const message = { requesterId: REQUESTER, addressHigh: 0, addressLow: 0xfee01000, data: 0x31 };
    expect(lab.unit.messageInterrupt(message)).toBe(false);
    expect(lab.takeFaults()[0].reason).toBe(Fault.interruptCompatibility);
  });

  it('fault when the table is outside memory', () => {
    lab.write('IRTA', 0x10000007n);
    lab.command(GlobalBit.interruptTable);
    expect(send()).toBe(false);
    expect(lab.takeFaults()[0]).toMatchObject({
      reason: Fault.interruptTableAccess,
      address: BigInt(INDEX) << 48n,
    });
  });

  it('fault when the request has reserved bits: an upper address, or data above the subhandle', () => {
    const message = { requesterId: REQUESTER, addressHigh: 1, addressLow: address(INDEX) >>> 0, data: 0 };
    lab.unit.messageInterrupt(message);
    expect(lab.takeFaults()[0].reason).toBe(Fault.interruptRequestReserved);
    lab.unit.messageInterrupt({
      ...message,
      addressHigh: 0,
      addressLow: (address(INDEX) | 8) >>> 0,
      data: 0x10000,
    });
    expect(lab.takeFaults()[0].reason).toBe(Fault.interruptRequestReserved);
  });
});
