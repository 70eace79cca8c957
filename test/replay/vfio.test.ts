import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonObject, Transcript } from '../../src/replay/runner.ts';
import { readTranscript } from '../../src/replay/transcript-file.ts';
import { vfioRunner } from '../../src/replay/vfio/run.ts';
import { sharedFolder } from '../support/shared.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/transcripts/vfio');

function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl') && name !== 'INDEX.jsonl')
    .map((name) => join(folder, name));
}

describe('transcripts of Linux 7.2 and 6.1 that ship with the tests', () => {
  it.each(filesOf(FIXTURES).map((file) => [file.slice(FIXTURES.length + 1), file]))('%s', (_name, file) => {
    expect(vfioRunner.run(readTranscript(file)).difference).toBeNull();
  });

  it('a result that differs is found, whichever it is', () => {
    const transcript = readTranscript(join(FIXTURES, 'map-memlock-s.jsonl'));
    const step = Math.ceil(transcript.operations.length / 12);
    for (let changed = 0; changed < transcript.operations.length; changed += step) {
      const operations = transcript.operations.map((each, index) =>
        index === changed ? { ...each, content: { ...each.content, ret: 77 } as JsonObject } : each,
      );
      const altered: Transcript = { ...transcript, operations };
      expect(vfioRunner.run(altered).difference?.op).toBe(changed);
    }
  });
});

const all = sharedFolder('transcripts/vfio');

describe.skipIf(all === undefined)('all transcripts of the shared folder (skipped when it is absent)', () => {
  it('every file passes', () => {
    const wrong: string[] = [];
    for (const file of filesOf(all ?? '')) {
      const { difference } = vfioRunner.run(readTranscript(file));
      if (difference !== null) wrong.push(`${file}: operation ${difference.op}: ${difference.note}`);
    }
    expect(wrong).toEqual([]);
  });
});
