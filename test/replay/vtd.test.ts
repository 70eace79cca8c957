/** Register- and DMA-level transcripts of QEMU's intel-iommu, judged by the acceptance rule of their README. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { qemuUnit } from '../../hw/vtd/configuration.ts';
import { replay } from '../../src/replay/index.ts';
import { findTranscripts, readTranscript } from '../../src/replay/transcript-file.ts';
import { judge } from '../../src/replay/vtd/acceptance.ts';
import { sharedFolder } from '../support/shared.ts';

const OWN = resolve(import.meta.dirname, '../fixtures/transcripts/vtd');
const SHARED = sharedFolder('transcripts/vtd');

describe('transcripts of this repository', () => {
  it.each(findTranscripts([OWN]).map((file) => [file.slice(OWN.length + 1), file]))(
    '%s',
    async (_name, file) => {
      const report = await replay([file]);
      expect(report.results[0].difference).toBeNull();
      expect(report).toMatchObject({ files: 1, passed: 1, failed: 0 });
    },
  );

  it('name units that our profile builds from their options', () => {
    for (const file of findTranscripts([OWN])) {
      const { header } = readTranscript(file);
      const unit = qemuUnit(header.iommu as object);
      expect([`0x${unit.cap.toString(16)}`, `0x${unit.ecap.toString(16)}`]).toEqual([
        header.cap,
        header.ecap,
      ]);
    }
  });
});

describe.skipIf(SHARED === undefined)('shared transcripts (skipped where ../shared is absent)', () => {
  it('pass, all of them', async () => {
    const report = await replay([SHARED as string]);
    const differing = report.results.filter((result) => !result.ok);
    expect(differing.map(({ file, difference }) => ({ file, difference }))).toEqual([]);
    expect(report.files).toBeGreaterThan(100);
  }, 300_000);
});

describe('the acceptance rule', () => {
  it.each([
    ['expect', { expect: '0x1' }, '0x1', 'expect'],
    ['a difference', { expect: '0x1' }, '0x2', 'wrong'],
    ['spec before expect', { expect: '0x1', spec: '0x2' }, '0x2', 'spec'],
    ['expect does not count where spec stands', { expect: '0x1', spec: '0x2' }, '0x1', 'wrong'],
    ['a spec that fixes nothing', { expect: '0x1', spec: '*' }, '0x99', 'spec'],
    ['one of those allowed', { expect: '0x1', allow: ['0x0', '0x3'] }, '0x3', 'allow'],
    ['allowed beside spec', { expect: '0x1', spec: '0x2', allow: ['0x1'] }, '0x1', 'allow'],
    ['only bits of the mask', { expect: '0xf0', mask: '0xf0' }, '0xff', 'expect'],
    ['bits of the mask differ', { expect: '0xf0', mask: '0xf0' }, '0xe0', 'wrong'],
    [
      'lists by content',
      { expect: [{ event: 'deliver', dest: '0x1' }] },
      [{ dest: '0x1', event: 'deliver' }],
      'expect',
    ],
    ['lists by length', { expect: [] }, [{ event: 'deliver' }], 'wrong'],
    ['objects by content', { expect: { ok: true, hex: 'aa' } }, { ok: true, hex: 'ab' }, 'wrong'],
  ])('%s', (_name, operation, actual, verdict) => {
    expect(judge(operation, actual)).toBe(verdict);
  });
});

describe('a broken transcript', () => {
  let folder: string;
  const file = (): string => join(folder, 'broken.jsonl');
  const header = readFileSync(join(OWN, 'fault-event.jsonl'), 'utf8').split('\n')[0];
  const run = (...lines: string[]): Promise<unknown> => {
    writeFileSync(file(), lines.join('\n'));
    return replay([file()]).then(
      (report) => report.results[0],
      (error) => error,
    );
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtdeck-replay-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it.each([
    ['a line that is cut off', [header, '{"op":"mmio.read"', '{"op":"comment"}'], 2],
    ['a line that is no object', [header, '[]'], 2],
    ['an operation that does not exist', [header, '', '{"op":"mmio.peek"}'], 3],
    ['a field that is missing', [header, '{"op":"mmio.read","size":4,"expect":"0x0"}'], 2],
    [
      'a device that the header lacks',
      [header, '{"op":"dma.read","dev":"nobody","iova":"0x0","len":4,"expect":{}}'],
      2,
    ],
    ['a length that no transfer has', [header, '{"op":"mem.read","addr":"0x0","len":-1,"expect":""}'], 2],
    ['bytes that are none', [header, '{"op":"mem.write","addr":"0x0","hex":"0g"}'], 2],
    ['an empty file', [''], 1],
    ['a header of no known kind', ['{"scenario":"x"}'], 1],
    ['a header with a wrong number', [header.replace('"0x4000000"', '"lots"')], 1],
    ['a header whose devices are no list', [header.replace('"devices":[', '"devices":3,"x":[')], 1],
    ['a header with a device without requester id', [header.replace('"requesterId"', '"id"')], 1],
    [
      'a header with more memory than there are addresses',
      [header.replace('"0x4000000"', '"0xffffffffffffffff"')],
      1,
    ],
  ])('%s is told with file and line', async (_name, lines, line) => {
    expect(await run(...lines)).toMatchObject({ code: 'FORMAT', exitCode: 2, place: { file: file(), line } });
  });

  it('a difference is told with operation, line, both values', async () => {
    const result = await run(
      header,
      '{"op":"comment","text":"x"}',
      '{"op":"mmio.read","off":"0x0","size":4,"expect":"0x99"}',
    );
    expect(result).toMatchObject({
      ok: false,
      ops: 2,
      difference: { op: 1, line: 3, expected: '0x99', actual: '0x10' },
    });
  });

  it('lists beside transcripts are passed over', () => {
    writeFileSync(join(folder, 'INDEX.jsonl'), '{}');
    writeFileSync(join(folder, 'README.md'), '');
    writeFileSync(file(), header);
    expect(findTranscripts([folder])).toEqual([file()]);
  });
});
