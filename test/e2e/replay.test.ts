/** `vtdeck replay` and `vtdeck dmar` of the built program: output, JSON, exit codes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeDmar } from '../../hw/acpi/dmar-writer.ts';
import { outputSchemas } from '../../src/output-schemas.ts';
import { vtdeck } from './program.ts';

const TRANSCRIPTS = fileURLToPath(new URL('../fixtures/transcripts/vtd', import.meta.url));
const COUNT = readdirSync(TRANSCRIPTS).length;
const TABLE = writeDmar({
  revision: 1,
  oemId: 'VTDECK',
  oemTableId: 'TEST',
  oemRevision: 1,
  creatorId: 'TEST',
  creatorRevision: 1,
  hostAddressWidth: 46,
  interruptRemapping: true,
  x2apicOptOut: false,
  dmaControlOptIn: false,
  structures: [
    {
      kind: 'DRHD',
      includeAll: true,
      sizeShift: 0,
      segment: 0,
      registerBase: 0xfed90000n,
      scopes: [
        { type: 3, flags: 0, enumerationId: 2, startBus: 0xf0, path: [{ device: 0x1f, function: 0 }] },
      ],
    },
  ],
  warnings: [],
});

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vtdeck-replay-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

describe('vtdeck replay', () => {
  it('a folder: one line each, a sum, exit 0', async () => {
    const { code, stdout } = await vtdeck(['replay', TRANSCRIPTS]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/fault-event\.jsonl: \d+ operations, no difference/);
    expect(stdout.trim().split('\n').at(-1)).toMatch(
      new RegExp(`^${COUNT} of ${COUNT} transcripts pass, \\d+ operations; \\d+ results judged`),
    );
  });

  it('JSON of the shape that ships', async () => {
    const { code, stdout } = await vtdeck(['replay', TRANSCRIPTS, '--json']);
    expect(code).toBe(0);
    expect(outputSchemas.replay.parse(JSON.parse(stdout))).toMatchObject({
      files: COUNT,
      passed: COUNT,
      failed: 0,
    });
  });

  it('a difference: where, expected, actual, exit 4', async () => {
    const lines = readFileSync(join(TRANSCRIPTS, 'fault-event.jsonl'), 'utf8').replace(
      '"expect":"0x5c"',
      '"expect":"0x5d"',
    );
    const file = put('changed.jsonl', lines);
    const { code, stdout } = await vtdeck(['replay', file]);
    expect(code).toBe(4);
    expect(stdout).toContain(`${file}:12: differs at operation 10 (mmio.read 0x3c)`);
    expect(stdout).toContain('expected "0x5d"');
    expect(stdout).toContain('actual   "0x5c"');
  });

  it.each([
    ['a line that is cut off', 'cut.jsonl', ':2'],
    ['a missing file', undefined, 'no such file'],
  ])('%s: exit 2, said where', async (_name, name, words) => {
    const header = readFileSync(join(TRANSCRIPTS, 'fault-event.jsonl'), 'utf8').split('\n')[0];
    const file = name === undefined ? join(folder, 'none.jsonl') : put(name, `${header}\n{"op":`);
    const { code, stderr } = await vtdeck(['replay', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(file);
    expect(stderr).toContain(words);
  });
});

describe('vtdeck dmar', () => {
  it('shows structures with their scopes', async () => {
    const { code, stdout } = await vtdeck(['dmar', put('dmar.bin', TABLE)]);
    expect(code).toBe(0);
    expect(stdout).toContain('host address width 46 bits; flags: interrupt remapping');
    expect(stdout).toContain(
      'DRHD  registers at 0xfed90000 (0x1000 bytes), segment 0, all other PCI devices',
    );
    expect(stdout).toContain('IO-APIC f0:1f.0, id 2');
  });

  it('as JSON', async () => {
    const { stdout } = await vtdeck(['dmar', put('dmar.bin', TABLE), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      hostAddressWidth: 46,
      structures: [{ kind: 'DRHD', registerBase: '0xfed90000', scopes: [{ text: 'f0:1f.0' }] }],
    });
  });

  it('a table that is damaged: exit 2 with the offset', async () => {
    const bytes = Uint8Array.from(TABLE);
    bytes[60] ^= 1;
    const file = put('bad.bin', bytes);
    const { code, stderr } = await vtdeck(['dmar', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${file} (offset 0x9): checksum is`);
  });
});
