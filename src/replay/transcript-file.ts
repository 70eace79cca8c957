import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileError, usageError } from '../errors.ts';
import { readInput } from '../input.ts';
import type { JsonObject, Transcript, TranscriptOperation } from './runner.ts';

/** A list of the scenarios of a folder, not a transcript. */
const INDEX_FILE = 'INDEX.jsonl';

/**
 * The transcript files that the paths name: files as they are, folders with every .jsonl below them but INDEX.jsonl,
 * in order of name. @throws ApplicationError when a path is missing or a folder holds none.
 */
export function findTranscripts(paths: readonly string[]): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    const entries = readdirSync(folder, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.jsonl') && entry.name !== INDEX_FILE) found.push(path);
    }
  };
  for (const path of paths) {
    if (!statSync(path).isDirectory()) {
      found.push(path);
      continue;
    }
    const before = found.length;
    visit(path);
    if (found.length === before)
      throw usageError(`${path} holds no transcript`, 'Transcripts are files that end in .jsonl.');
  }
  return found;
}

function parseLine(text: string, file: string, line: number): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fileError('this line is no JSON', { file, line }, 'The file may be cut off.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fileError('a line of a transcript is a JSON object', { file, line });
  return value as JsonObject;
}

/** Reads a transcript. Empty lines are skipped. @throws ApplicationError naming file and line. */
export function readTranscript(file: string): Transcript {
  const lines = readInput(file).split('\n');
  let header: JsonObject | undefined;
  const operations: TranscriptOperation[] = [];
  lines.forEach((text, index) => {
    if (text.trim() === '') return;
    const content = parseLine(text, file, index + 1);
    if (header === undefined) header = content;
    else operations.push({ op: operations.length, line: index + 1, content });
  });
  if (header === undefined) throw fileError('the transcript is empty', { file, line: 1 });
  return { file, header, operations };
}
