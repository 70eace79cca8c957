/** Transcripts of auxiliary domains (Linux 5.15.85): every call, descriptor, table entry and message. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { replay } from '../../src/replay/index.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/transcripts/aux', import.meta.url));
const SHARED = `${process.env.VTDECK_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url))}/transcripts/aux`;

describe('transcripts kept with the tests', () => {
  it('one detach too many, and a stale PASID that another domain took', async () => {
    const report = await replay([FIXTURES]);
    expect(report.results.map(({ ok, difference }) => ok || difference)).toEqual([true, true]);
    expect(report.ops).toBeGreaterThan(20);
  });
});

describe.skipIf(!existsSync(SHARED))(
  'all transcripts of auxiliary domains (skipped without the shared folder)',
  () => {
    it('agree in everything that was recorded', async () => {
      const report = await replay([SHARED]);
      const differences = report.results.filter(({ ok }) => !ok);
      expect(differences).toEqual([]);
      expect(report.files).toBeGreaterThanOrEqual(48);
    });
  },
);
