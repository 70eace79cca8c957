/** Registers: access, reset values, capabilities, switches. VT-d 11.4. */
import { describe, expect, it } from 'vitest';
import { capabilitiesOf, qemuUnit, serverUnit, unitWithRegisters } from '../../../hw/vtd/configuration.ts';
import { GlobalBit, registers } from '../../../hw/vtd/registers.ts';
import { VtdLab } from '../../support/vtd-lab.ts';

describe('capabilities', () => {
  it.each([
    [{}, 0x80d2008c222f0606n, 0xf00f4an],
    [{ 'aw-bits': 39 }, 0x80d2008c22260206n, 0xf00f4an],
    [{ 'dma-translation': false }, 0x80d2008c222f0006n, 0xf00f4an],
    [{ intremap: false }, 0x80d2008c222f0606n, 0xf42n],
    [
      { 'scalable-mode': true, 'caching-mode': true, 'snoop-control': true },
      0x80d2008c222f0686n,
      0x480080f00fcan,
    ],
    [
      { 'scalable-mode': true, fsts: true, 'pasid-bits': 20, 'device-iotlb': true, svm: true },
      0x81d2008c222f0606n,
      0x8d9a20f00f4en,
    ],
  ])('of a QEMU unit with %o', (options, cap, ecap) => {
    const unit = qemuUnit(options);
    expect([unit.cap, unit.ecap]).toEqual([cap, ecap]);
  });

  it('of a real unit are taken as they are', () => {
    const unit = unitWithRegisters(0xd2008c40660462n, 0xf050dan, 39);
    const lab = new VtdLab({ configuration: unit });
    expect([lab.read('CAP'), lab.read('ECAP')]).toEqual([unit.cap, unit.ecap]);
    expect(lab.unit.file.faultRecordOffset).toBe(capabilitiesOf(unit).faultRecordOffset * 16);
  });
});

describe('register accesses', () => {
  it.each([1, 2, 3, 16, 0, -4])('of %i bytes read zero and write nothing', (size) => {
    const lab = new VtdLab();
    lab.unit.mmioWrite(registers.RTADDR.offset, size, 0xffffffffn);
    expect(lab.read('RTADDR')).toBe(0n);
    expect(lab.unit.mmioRead(registers.CAP.offset, size)).toBe(0n);
  });

  it.each([1, 2, 3, -8, 0x100000])('at offset %i read zero and write nothing', (offset) => {
    const lab = new VtdLab();
    lab.unit.mmioWrite(offset, 4, 0xffffffffn);
    expect(lab.unit.mmioRead(offset, 4)).toBe(0n);
    expect(lab.unit.mmioRead(offset, 8)).toBe(0n);
  });

  it('of 64 bits at a 4-byte boundary are two halves', () => {
    const lab = new VtdLab();
    lab.unit.mmioWrite(registers.FEDATA.offset, 8, 0xfee0100000000041n);
    expect(lab.read('FEDATA')).toBe(0x41n);
    expect(lab.read('FEADDR')).toBe(0xfee01000n);
    expect(lab.unit.mmioRead(registers.FEDATA.offset, 8)).toBe(0xfee0100000000041n);
  });

  it('keep addresses within the host address width', () => {
    const lab = new VtdLab({ configuration: serverUnit({}, 46) });
    lab.write('RTADDR', 0xffffffffffffffffn);
    expect(lab.read('RTADDR')).toBe(0x3ffffffffc00n);
    lab.write('PQA', 0xffffffffffffffffn);
    expect(lab.read('PQA')).toBe(0x3ffffffff007n);
  });

  it('reset masks every event', () => {
    const lab = new VtdLab();
    expect([lab.read('FECTL'), lab.read('IECTL'), lab.read('PECTL')]).toEqual([
      0x80000000n,
      0x80000000n,
      0x80000000n,
    ]);
  });

  it('registers of features that the unit lacks read zero', () => {
    const lab = new VtdLab({ configuration: unitWithRegisters(qemuUnit().cap, 0xf40n, 48) });
    for (const name of ['IQA', 'IRTA', 'PQA', 'IECTL', 'FEUADDR', 'PMEN', 'AFLOG'] as const) {
      lab.unit.mmioWrite(registers[name].offset, registers[name].widthBytes, 0xffffffffffffffffn);
      expect(
        lab.unit.mmioRead(registers[name].offset, 8) & (2n ** BigInt(registers[name].widthBytes * 8) - 1n),
      ).toBe(0n);
    }
  });
});

describe('global command', () => {
  it('reads zero, and its status follows at once', () => {
    const lab = new VtdLab();
    lab.command(GlobalBit.rootTable);
    lab.command(GlobalBit.translation);
    expect(lab.read('GCMD')).toBe(0n);
    expect(lab.read('GSTS')).toBe(0xc0000000n);
    lab.write('GCMD', 0);
    expect(lab.read('GSTS')).toBe(0x40000000n);
  });

  it('compatibility format is a state of interrupt remapping', () => {
    const lab = new VtdLab();
    lab.command(GlobalBit.compatibilityFormat);
    expect(lab.read('GSTS')).toBe(0n);
    lab.command(GlobalBit.interruptTable);
    lab.command(GlobalBit.interruptRemapping);
    lab.command(GlobalBit.compatibilityFormat);
    expect(lab.read('GSTS')).toBe(0x3800000n);
    lab.write('GCMD', 0x2000000);
    expect(lab.read('GSTS')).toBe(0x3000000n);
  });

  it('a flush of the write buffer is done at once', () => {
    const lab = new VtdLab({ configuration: serverUnit({ writeBufferFlushing: 1 }) });
    lab.command(GlobalBit.writeBuffer);
    expect(lab.read('GSTS')).toBe(0n);
  });
});

describe('virtual commands', () => {
  const response = (lab: VtdLab) => {
    const value = lab.read('VCRSP');
    return { status: Number((value >> 1n) & 0x7fn), pasid: Number((value >> 16n) & 0xfffffn) };
  };

  it('hand out PASIDs, the lowest free first, until there are none', () => {
    const lab = new VtdLab({ configuration: serverUnit({ virtualCommands: 1, pasidSize: 1 }) });
    expect(lab.read('VCCAP')).toBe(1n);
    const given = [1, 2, 3, 4].map(() => {
      lab.write('VCMD', 1);
      return response(lab);
    });
    expect(given.map(({ pasid }) => pasid)).toEqual([1, 2, 3, 0]);
    expect(given[3].status).toBe(16);
    lab.write('VCMD', 2n | (2n << 16n));
    expect(response(lab)).toEqual({ status: 0, pasid: 0 });
    lab.write('VCMD', 1);
    expect(response(lab).pasid).toBe(2);
  });

  it('refuse what was not given, and commands that do not exist', () => {
    const lab = new VtdLab({ configuration: serverUnit({ virtualCommands: 1 }) });
    lab.write('VCMD', 2n | (9n << 16n));
    expect(response(lab).status).toBe(16);
    lab.write('VCMD', 7);
    expect(response(lab).status).toBe(1);
    const without = new VtdLab();
    without.unit.mmioWrite(0xe10, 8, 1n);
    expect(without.unit.mmioRead(0xe20, 8)).toBe(0n);
  });
});

describe('memory type registers', () => {
  it('exist only where the unit has memory types', () => {
    const lab = new VtdLab({ configuration: serverUnit({ memoryTypes: 1 }) });
    lab.unit.mmioWrite(0x108, 8, 0xffffffffffffffffn);
    expect(lab.unit.mmioRead(0x108, 8)).toBe(0xcffn);
    const without = new VtdLab();
    without.unit.mmioWrite(0x108, 8, 0xffffffffffffffffn);
    expect(without.unit.mmioRead(0x108, 8)).toBe(0n);
  });
});

describe('declarations', () => {
  it('fields of one register do not overlap and lie inside it', () => {
    for (const register of Object.values(registers)) {
      const last = register.layout.ordered.at(-1);
      expect(last?.high ?? 0).toBeLessThan(register.widthBytes * 8);
    }
  });

  it('registers do not overlap, with every feature there is', () => {
    const all = { memoryTypes: 1, performanceMonitoring: 1, virtualCommands: 1, protectedLowMemory: 1 };
    const lab = new VtdLab({
      configuration: serverUnit({ ...all, protectedHighMemory: 1, advancedFaultLogging: 1 }),
    });
    let end = 0;
    for (const { register, offset } of lab.unit.file.placed) {
      expect(offset, register.name).toBeGreaterThanOrEqual(end);
      end = offset + register.widthBytes;
    }
  });
});
