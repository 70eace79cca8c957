/**
 * What a runner of transcripts is. A transcript is a JSON-lines file: the first line is a header, each further line one
 * operation with what another implementation answered. Each kind of transcript has a runner; index.ts picks it by the
 * header.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** One line after the header. `op` counts from 0, `line` is the line in the file, from 1. */
export interface TranscriptOperation {
  readonly op: number;
  readonly line: number;
  readonly content: JsonObject;
}

export interface Transcript {
  readonly file: string;
  readonly header: JsonObject;
  readonly operations: readonly TranscriptOperation[];
}

/** The first place where the engine and the transcript differ. */
export interface Difference {
  /** Number of the operation, from 0. */
  readonly op: number;
  /** Line in the file, from 1. */
  readonly line: number;
  readonly expected: unknown;
  readonly actual: unknown;
  readonly note: string;
}

export interface ReplayOutcome {
  /** Operations that ran, the differing one included. */
  readonly ops: number;
  readonly difference: Difference | null;
  /** How many results were right by `spec`, and how many only by `allow`. */
  readonly judged?: { readonly spec: number; readonly allow: number };
}

export interface ReplayRunner {
  /** Runs until the first difference. @throws ApplicationError (fileError) for a line that makes no sense. */
  run(transcript: Transcript): ReplayOutcome;
}

/** The result of one file, as `replay --json` prints it. */
export interface ReplayResult extends ReplayOutcome {
  readonly file: string;
  readonly kind: string;
  readonly ok: boolean;
}

/** The result of all files, as `replay --json` prints it. */
export interface ReplayReport {
  readonly files: number;
  readonly passed: number;
  readonly failed: number;
  readonly ops: number;
  readonly judged: { readonly spec: number; readonly allow: number };
  readonly results: readonly ReplayResult[];
}
