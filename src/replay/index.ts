import { fileError } from '../errors.ts';
import type { JsonObject, ReplayReport, ReplayResult, ReplayRunner, Transcript } from './runner.ts';
import { findTranscripts, readTranscript } from './transcript-file.ts';

interface TranscriptKind {
  readonly name: string;
  /** Does a transcript with this header belong to it? Tried in order. */
  matches(header: JsonObject): boolean;
  load(): Promise<ReplayRunner>;
}

/** Every kind of transcript, with the runner that knows it. */
const kinds: readonly TranscriptKind[] = [
  {
    name: 'vtd',
    matches: (header) => 'cap' in header && 'ecap' in header,
    load: async () => (await import('./vtd/run.ts')).vtdRunner,
  },
  {
    name: 'aux',
    matches: ({ kernel, setup }) =>
      typeof kernel === 'string' && typeof setup === 'object' && setup !== null && 'unit' in setup,
    load: async () => (await import('./aux/run.ts')).auxRunner,
  },
  {
    name: 'vfio',
    matches: ({ setup }) => typeof setup === 'object' && setup !== null && 'topology' in setup,
    load: async () => (await import('./vfio/run.ts')).vfioRunner,
  },
];

const loaded = new Map<string, Promise<ReplayRunner>>();

/** Runs one transcript by the runner of its kind. @throws ApplicationError for a header of no known kind. */
async function replayOne(transcript: Transcript): Promise<ReplayResult> {
  const kind = kinds.find((candidate) => candidate.matches(transcript.header));
  if (kind === undefined)
    throw fileError(
      'the header names no kind of transcript that can be replayed',
      { file: transcript.file, line: 1 },
      `Known kinds: ${kinds.map((candidate) => candidate.name).join(', ')}.`,
    );
  let runner = loaded.get(kind.name);
  if (runner === undefined) {
    runner = kind.load();
    loaded.set(kind.name, runner);
  }
  const outcome = (await runner).run(transcript);
  return { file: transcript.file, kind: kind.name, ok: outcome.difference === null, ...outcome };
}

/** Replays every transcript that the paths name. `onResult` sees each as it is done. */
export async function replay(
  paths: readonly string[],
  onResult?: (result: ReplayResult) => void,
): Promise<ReplayReport> {
  const results: ReplayResult[] = [];
  for (const file of findTranscripts(paths)) {
    const result = await replayOne(readTranscript(file));
    results.push(result);
    onResult?.(result);
  }
  const failed = results.filter((result) => !result.ok).length;
  const sum = (pick: (result: ReplayResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  return {
    files: results.length,
    passed: results.length - failed,
    failed,
    ops: sum((result) => result.ops),
    judged: {
      spec: sum((result) => result.judged?.spec ?? 0),
      allow: sum((result) => result.judged?.allow ?? 0),
    },
    results,
  };
}
