/**
 * What an operator reads when something can't be done: what, where, by which rule, and what to do instead. Everything
 * the application refuses is one of these; the engine's own refusals (KernelError) are turned into one at the edge.
 */

/** Exit codes of the program. */
export const ExitCode = { done: 0, failed: 1, usage: 2, refused: 3, differs: 4 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Where in a file a thing is wrong. Lines and columns from 1, offsets in bytes from 0. */
export interface Place {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly offset?: number;
}

export interface ErrorDetails {
  /** A short stable name of the rule that refused. */
  readonly rule?: string;
  readonly place?: Place;
  readonly remedy?: string;
  readonly exitCode?: ExitCode;
  readonly cause?: unknown;
}

/** `code` is an errno name, or for what no errno fits an upper-case word: USAGE, CORRUPT, FORMAT, DIFFERS, SAFETY. */
export class ApplicationError extends Error {
  readonly code: string;
  readonly rule: string;
  readonly place: Place | undefined;
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(
      message.replace(/\S{240,}/g, (word) => `${word.slice(0, 200)}…`),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = 'ApplicationError';
    this.code = code;
    this.rule = details.rule ?? code.toLowerCase();
    this.place = details.place;
    this.remedy = details.remedy;
    this.exitCode = details.exitCode ?? ExitCode.failed;
  }
}

/** A wrong command line or argument: exit code 2. */
export function usageError(message: string, remedy?: string): ApplicationError {
  return new ApplicationError('USAGE', message, { rule: 'usage', remedy, exitCode: ExitCode.usage });
}

/** A file that can't be read as what it should be: exit code 2, with its place. */
export function fileError(message: string, place: Place, remedy?: string): ApplicationError {
  return new ApplicationError('FORMAT', message, {
    rule: 'file format',
    place,
    remedy,
    exitCode: ExitCode.usage,
  });
}

/** Refused because it would take more than was asked for, or lose something: exit code 3. */
export function safetyError(message: string, remedy?: string): ApplicationError {
  return new ApplicationError('SAFETY', message, { rule: 'safety', remedy, exitCode: ExitCode.refused });
}

/** What the engine and the file system throw, as far as their shape tells. */
interface ErrorShape {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  rule?: unknown;
  remedy?: unknown;
  path?: unknown;
  syscall?: unknown;
  offset?: unknown;
}

const FILE_MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a folder',
  ENOTDIR: 'is no folder, or lies below what is none',
  ELOOP: 'symbolic links that lead in a circle',
  EIO: "it can't be read or written (I/O error)",
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  EEXIST: 'exists already',
};

const FILE_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'check who may read and write there',
  EPERM: 'check who may read and write there',
  EROFS: 'name a place that can be written',
  ENOSPC: 'make room, or name another place',
};

/**
 * Any thrown value as an ApplicationError. Kernel refusals keep errno, rule and remedy; system errors of Node get their
 * path; anything else is a fault of this program and says so.
 */
export function toApplicationError(thrown: unknown): ApplicationError {
  if (thrown instanceof ApplicationError) return thrown;
  const shape = (
    typeof thrown === 'object' && thrown !== null ? thrown : { message: String(thrown) }
  ) as ErrorShape;
  const message = typeof shape.message === 'string' ? shape.message : String(thrown);
  if (shape.name === 'KernelError' && typeof shape.code === 'string') {
    return new ApplicationError(shape.code, message, {
      rule: typeof shape.rule === 'string' ? shape.rule : 'kernel',
      remedy: typeof shape.remedy === 'string' ? shape.remedy : undefined,
      cause: thrown,
    });
  }
  if (shape.name === 'DmarError' && typeof shape.offset === 'number') {
    return fileError(message, { file: 'DMAR table', offset: shape.offset });
  }
  if (typeof shape.syscall === 'string' && typeof shape.code === 'string') {
    const file = typeof shape.path === 'string' ? shape.path : undefined;
    if (shape.syscall === 'uv_cwd') return usageError('the current folder is gone', 'change to another: cd');
    const notFound = ['ENOENT', 'EISDIR', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(shape.code);
    return new ApplicationError(shape.code, FILE_MEANINGS[shape.code] ?? message, {
      rule: `system call ${shape.syscall}`,
      place: file === undefined ? undefined : { file },
      remedy: notFound ? 'check the path' : FILE_REMEDIES[shape.code],
      exitCode: notFound ? ExitCode.usage : ExitCode.failed,
      cause: thrown,
    });
  }
  return new ApplicationError('INTERNAL', message, {
    rule: 'fault of vtdeck',
    remedy: 'run again with VTDECK_TRACE=1 for the stack, and report it; the session on disk is as it was',
    cause: thrown,
  });
}

/** `file:line:column: ` or `file (offset 0x30): `, or nothing. */
export function formatPlace(place: Place | undefined): string {
  if (place === undefined) return '';
  let text = place.file === undefined ? '' : place.file === '-' ? 'standard input' : printable(place.file);
  if (place.line !== undefined) text += `${text === '' ? 'line ' : ':'}${place.line}`;
  if (place.line !== undefined && place.column !== undefined) text += `:${place.column}`;
  if (place.offset !== undefined) text += `${text === '' ? '' : ' '}(offset 0x${place.offset.toString(16)})`;
  return text === '' ? '' : `${text}: `;
}

/** The error as a person reads it: one line, and the remedy on a second. */
export function formatError(error: ApplicationError): string {
  const rule = error.rule === error.code.toLowerCase() ? '' : `: ${error.rule}`;
  const [first, ...more] = printable(error.message).split('\n');
  const said = [`vtdeck: ${formatPlace(error.place)}${first} (${error.code}${rule})`, ...more];
  return [...said, ...(error.remedy === undefined ? [] : [`  ${printable(error.remedy)}`])].join('\n');
}

/** The error as `--json` prints it. */
export function errorToJson(error: ApplicationError): { error: Record<string, unknown> } {
  const { code, rule, message, remedy, place } = error;
  return { error: { code, rule, message, ...(remedy === undefined ? {} : { remedy }), ...place } };
}

/** Text that can't drive the terminal: control characters (but for line feed and tab) shown as `\xNN`. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
