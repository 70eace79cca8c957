/** The DMAR table: read, written back, broken. VT-d 8; ACPI 5.2.6. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmarError, type DmarStructure, type DmarTable } from '../../../hw/acpi/dmar.ts';
import { readDmar } from '../../../hw/acpi/dmar-reader.ts';
import { writeDmar } from '../../../hw/acpi/dmar-writer.ts';
import { sharedFolder } from '../../support/shared.ts';

const REAL = sharedFolder('dmar');

const scopes = [
  { type: 1, flags: 0, enumerationId: 0, startBus: 0, path: [{ device: 2, function: 0 }] },
  {
    type: 2,
    flags: 0,
    enumerationId: 0,
    startBus: 0x3a,
    path: [
      { device: 0x1c, function: 4 },
      { device: 0, function: 1 },
    ],
  },
  { type: 3, flags: 0, enumerationId: 8, startBus: 0xf0, path: [{ device: 0x1f, function: 7 }] },
];

const structures: DmarStructure[] = [
  { kind: 'DRHD', includeAll: false, sizeShift: 1, segment: 2, registerBase: 0xfed90000n, scopes },
  { kind: 'DRHD', includeAll: true, sizeShift: 0, segment: 0, registerBase: 0x1_fed91000n, scopes: [] },
  { kind: 'RMRR', segment: 0, base: 0x7b800000n, limit: 0x7fffffffn, scopes: scopes.slice(0, 1) },
  { kind: 'ATSR', allPorts: true, segment: 0, scopes: [] },
  { kind: 'RHSA', registerBase: 0xfed90000n, proximityDomain: 3 },
  { kind: 'ANDD', deviceNumber: 7, name: '\\_SB.PCI0.SPI0' },
  { kind: 'SATC', atcRequired: true, segment: 0, scopes: scopes.slice(0, 1) },
  { kind: 'SIDP', segment: 0, scopes: scopes.slice(0, 1) },
];

const table: DmarTable = {
  revision: 1,
  oemId: 'VTDECK',
  oemTableId: 'TEST',
  oemRevision: 1,
  creatorId: 'TEST',
  creatorRevision: 2,
  hostAddressWidth: 46,
  interruptRemapping: true,
  x2apicOptOut: false,
  dmaControlOptIn: true,
  structures,
  warnings: [],
};

/** The bytes with a right checksum after a change. */
function changed(change: (bytes: Uint8Array) => void, from = writeDmar(table)): Uint8Array {
  const bytes = Uint8Array.from(from);
  change(bytes);
  bytes[9] = 0;
  bytes[9] = -bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0) & 0xff;
  return bytes;
}

const errorOf = (bytes: Uint8Array): DmarError => {
  try {
    readDmar(bytes);
  } catch (error) {
    return error as DmarError;
  }
  throw new Error('the table was read');
};

describe('a table made here', () => {
  it('reads back as it was written, all structure types', () => {
    const read = readDmar(writeDmar(table));
    const { headerBytes: _header, trailingBytes: _trailing, structures: found, ...rest } = read;
    expect(found.map(({ bytes: _bytes, ...structure }) => structure)).toEqual(structures);
    expect(rest).toEqual({ ...table, structures: undefined, warnings: [] });
  });

  it('keeps structures of unknown types and reserved bytes', () => {
    const unknown = Uint8Array.of(0x2a, 0, 7, 0, 1, 2, 3);
    const bytes = writeDmar({ ...table, structures: [{ kind: 'unknown', type: 42, bytes: unknown }] });
    const read = readDmar(changed((all) => all.fill(0xee, 38, 48), bytes));
    expect(read.structures).toEqual([{ kind: 'unknown', type: 42, bytes: unknown }]);
    expect(writeDmar(read).subarray(38, 48)).toEqual(new Uint8Array(10).fill(0xee));
  });
});

describe.skipIf(REAL === undefined)('tables of real machines (skipped where ../shared is absent)', () => {
  const files = REAL === undefined ? [] : readdirSync(REAL).filter((file) => file.endsWith('.bin'));
  it.each(files)('%s is written back byte for byte', (file) => {
    const bytes = readFileSync(join(REAL as string, file));
    const read = readDmar(bytes);
    expect(Buffer.from(writeDmar(read)).equals(bytes)).toBe(true);
    // Made anew from what was understood, it says the same.
    const again = {
      ...read,
      structures: read.structures.map(({ bytes: _bytes, ...rest }) => rest as DmarStructure),
    };
    const plain = (of: DmarTable) => of.structures.map(({ bytes: _bytes, ...rest }) => rest);
    expect(plain(readDmar(writeDmar(again)))).toEqual(plain(read));
  });
});

describe('a broken table', () => {
  it.each([
    ['is too short', Uint8Array.of(1, 2, 3), 0],
    ['has another signature', changed((bytes) => bytes.set([0x46], 0)), 0],
    ['has a wrong checksum', Uint8Array.from(writeDmar(table)).fill(1, 60, 61), 9],
    ['says that it is longer than it is', changed((bytes) => bytes.set([0xff, 0xff], 4)), 4],
    ['says that it is shorter than its header', changed((bytes) => bytes.set([8, 0], 4)), 4],
    ['has a structure that passes its end', changed((bytes) => bytes.set([0xff, 0x0f], 50)), 50],
    ['has a structure shorter than its header', changed((bytes) => bytes.set([3, 0], 50)), 50],
    ['has a structure too short for its type', changed((bytes) => bytes.set([9, 0], 50)), 50],
    ['has a scope with an odd length', changed((bytes) => bytes.set([9], 65)), 65],
    ['has a scope shorter than its header', changed((bytes) => bytes.set([4], 65)), 65],
    ['has a scope that passes its structure', changed((bytes) => bytes.set([0xf0], 65)), 65],
  ])('that %s is refused with the offset', (_name, bytes, offset) => {
    const error = errorOf(bytes);
    expect(error).toBeInstanceOf(DmarError);
    expect(error.offset).toBe(offset);
  });

  it('names the checksum that would be right', () => {
    const bytes = Uint8Array.from(writeDmar(table));
    const right = bytes[9];
    bytes[9] ^= 0x55;
    expect(errorOf(bytes).message).toContain(`0x${right.toString(16)} would be right`);
  });

  it('stops at a structure of length zero, as Linux does, and keeps the rest', () => {
    const bytes = changed((all) => all.set([0, 0], 50));
    const read = readDmar(bytes);
    expect(read.structures).toEqual([]);
    expect(read.warnings.join()).toContain('length zero');
    expect(writeDmar(read)).toEqual(bytes);
  });

  it('warns of what drivers refuse: no unit, register base 0, reserved memory in odd bytes', () => {
    const odd = {
      ...table,
      structures: [{ kind: 'RMRR', segment: 0, base: 0x1001n, limit: 0x1fffn, scopes: [] } as DmarStructure],
    };
    expect(readDmar(writeDmar(odd)).warnings).toHaveLength(2);
  });

  it('any bytes at all are read or refused by a DmarError', () => {
    const random = fc.tuple(fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }), fc.nat(400));
    fc.assert(
      fc.property(random, ([changes, length]) => {
        const bytes = changed((all) => {
          for (const [at, value] of changes) if (at < all.length) all[at] = value;
        });
        try {
          const read = readDmar(length < 48 ? bytes.subarray(0, length) : bytes);
          expect(readDmar(writeDmar(read)).structures).toEqual(read.structures);
        } catch (error) {
          if (!(error instanceof DmarError)) throw error;
          expect(error.offset).toBeLessThan(bytes.length + 4);
        }
      }),
      { seed: 8, numRuns: 2000 },
    );
  });
});
