import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../../../hw/layout.ts';
import { SiovDvsec } from '../../../hw/pci/capabilities/dvsec.ts';
import { declarationOf } from '../../../hw/pci/capabilities/registry.ts';
import { capability, endpointConfiguration } from '../../../hw/pci/configuration-builder.ts';
import { ConfigurationSpace } from '../../../hw/pci/configuration-space.ts';
import { decodeFunction } from '../../../hw/pci/decode.ts';

const DECLARATIONS = [
  ...[0x01, 0x03, 0x05, 0x09, 0x0d, 0x10, 0x11, 0x13].map((id) => declarationOf('standard', id)),
  ...[0x01, 0x03, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x13, 0x1b, 0x23].map((id) => declarationOf('extended', id)),
].filter((one) => one !== undefined);

describe('capabilities as data', () => {
  it.each(DECLARATIONS.map((one) => [one.name, one] as const))(
    '%s: what is encoded is decoded field by field, wherever it stands',
    (_name, declaration) => {
      const names = Object.keys(declaration.layout.fields).filter(
        (name) => !['capabilityId', 'capabilityVersion', 'nextCapability'].includes(name),
      );
      fc.assert(
        fc.property(
          fc.array(fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }), {
            minLength: names.length,
            maxLength: names.length,
          }),
          (raw) => {
            const values: Record<string, bigint> = {};
            names.forEach((name, index) => {
              const { width } = declaration.layout.fields[name];
              values[name] = raw[index] & ((1n << BigInt(width)) - 1n);
            });
            // A DVSEC that happens to be Intel's SIOV decodes by its own layout.
            if (declaration.key === 'dvsec') values.vendor = 0x1234n;
            const bytes = endpointConfiguration({
              header: { vendorId: 1 },
              capabilities: [capability(declaration, values)],
            });
            const space = new ConfigurationSpace(bytes);
            const decoded = decodeFunction((offset, size) => space.read(offset, size), 4096);
            expect(decoded.problems).toEqual([]);
            expect(decoded.capabilities).toHaveLength(1);
            for (const field of decoded.capabilities[0].fields) {
              // MSI decodes by its form, which has more fields than the four forms share.
              if (declaration.key === 'msi' && values[field.name] === undefined) continue;
              expect([field.name, field.value]).toEqual([field.name, values[field.name]]);
            }
          },
        ),
        { numRuns: 25 },
      );
    },
  );

  it('the SIOV DVSEC: the six dwords of a virtual DSA (Intel SIOV; lspci prints <?> there)', () => {
    const words = Uint32Array.from([0x00010023, 0x01818086, 0x00000005, 1, 1, 0]);
    const fields = Object.fromEntries(
      SiovDvsec.layout.decode(words).map((field) => [field.name, field.value]),
    );
    expect(fields).toMatchObject({
      vendor: 0x8086n,
      revision: 1n,
      length: 0x18n,
      dvsecId: 5n,
      supportedPageSizes: 1n,
      systemPageSize: 1n,
      interruptMessageStorage: 0n,
    });
    const made = capability(SiovDvsec, {
      vendor: 0x8086,
      revision: 1,
      length: 0x18,
      dvsecId: 5,
      supportedPageSizes: 1,
      systemPageSize: 1,
    });
    const bytes = endpointConfiguration({ header: { vendorId: 1 }, capabilities: [made] });
    expect([...wordsOf(bytes.slice(0x100, 0x118))]).toEqual([...words]);
  });

  it.each([
    [
      '32-bit',
      0x0000,
      [
        'enable',
        'multipleCapable',
        'multipleEnable',
        'address64',
        'perVectorMask',
        'messageAddress',
        'messageData',
      ],
    ],
    [
      '64-bit with masks',
      0x0180,
      [
        'enable',
        'multipleCapable',
        'multipleEnable',
        'address64',
        'perVectorMask',
        'messageAddress',
        'messageAddressHigh',
        'messageData',
        'vectorMask',
        'vectorPending',
      ],
    ],
  ])(
    'MSI, %s: its own registers, and data that software can write (PCI 3.0, 6.8.1)',
    (_form, control, names) => {
      const bytes = new Uint8Array(256);
      bytes[6] = 0x10;
      bytes[0x34] = 0x50;
      bytes.set([0x05, 0, control & 0xff, control >> 8], 0x50);
      const space = new ConfigurationSpace(bytes);
      const data = (control & 0x80) === 0 ? 0x58 : 0x5c;
      space.write(data, 2, 0x4321);
      const decoded = decodeFunction((offset, size) => space.read(offset, size), 256).capabilities[0];
      expect(decoded.fields.map((field) => field.name)).toEqual(names);
      expect(decoded.fields.find((field) => field.name === 'messageData')?.value).toBe(0x4321n);
    },
  );

  it('capabilities find room one after the other, and the lists are chained', () => {
    const bytes = endpointConfiguration({
      header: { vendorId: 1 },
      capabilities: DECLARATIONS.filter((one) => one.list === 'extended').map((one) => capability(one)),
    });
    const space = new ConfigurationSpace(bytes);
    const decoded = decodeFunction((offset, size) => space.read(offset, size), 4096);
    expect(decoded.capabilities.map((one) => one.id)).toEqual([
      1, 3, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x13, 0x1b, 0x23,
    ]);
    expect(decoded.capabilities[0].offset).toBe(0x100);
  });

  it('no room is an error that names the capability', () => {
    const express = declarationOf('standard', 0x10);
    if (express === undefined) throw new Error('no Express declaration');
    expect(() =>
      endpointConfiguration({ header: {}, capabilities: [capability(express, {}, { offset: 0xf0 })] }),
    ).toThrow(/PCI Express: no room at 0xf0/);
  });
});
