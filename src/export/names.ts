import { usageError } from '../errors.ts';

/**
 * The name of a machine as it may stand in file names, XML and units.
 * @throws ApplicationError (usage) for control characters, path separators, an empty or overlong name.
 */
export function checkedName(text: string): string {
  if (text.length === 0 || text.length > 200) {
    throw usageError(`a name has 1 to 200 characters, this one ${text.length}`, 'give a shorter name');
  }
  if (/[\u0000-\u001f\u007f-\u009f/]/.test(text) || text === '.' || text === '..') {
    throw usageError(
      `the name ${JSON.stringify(text)} has characters that no tool takes in a name`,
      'use letters, digits, - and _',
    );
  }
  return text;
}

/** A file name made from any name: what is neither letter, digit, dot, dash nor underscore becomes a dash. */
export function fileName(text: string, ending: string): string {
  const safe = text.replace(/[^A-Za-z0-9._-]/g, '-').replace(/^[.-]+/, '') || 'unnamed';
  return `${safe.slice(0, 120)}.${ending}`;
}
