/** Decoded fields as lines: bits, name, value, meaning. */
import type { DecodedField } from '../../hw/index.ts';
import { type Line, styled } from './line.ts';

/**
 * @param quiet Leave out fields that are zero and have no meaning of their own.
 */
export function fieldLines(fields: readonly DecodedField[], quiet = false): Line[] {
  const shown = quiet
    ? fields.filter((field) => field.value !== 0n || field.meaning !== undefined)
    : [...fields];
  // A name that is much longer than the others does not push their values out of a narrow pane.
  const longest = Math.min(
    26,
    shown.reduce((most, field) => Math.max(most, spoken(field.name).length), 0),
  );
  return shown.map((field) => fieldLine(field, longest));
}

function fieldLine(field: DecodedField, nameColumns: number): Line {
  const bits = field.low === field.high ? `${field.low}` : `${field.high}:${field.low}`;
  return [
    styled('dim', bits.padStart(7)),
    ' ',
    spoken(field.name).padEnd(nameColumns),
    ' = ',
    styled(field.value === 0n ? 'dim' : 'strong', field.text),
    field.meaning === undefined ? '' : styled('accent', `  ${field.meaning}`),
  ];
}

/** `secondLevelPointer` as `second level pointer`. */
function spoken(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
