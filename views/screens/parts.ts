/** Pieces that several screens say in the same way. */
import type { Requirement } from '../../hw/index.ts';
import { type Line, styled } from '../format/line.ts';

/** Requirements with a mark for met and missing, and where each was looked up. */
export function requirementLines(requirements: readonly Requirement[]): Line[] {
  return requirements.map((requirement) => [
    requirement.met ? styled('good', '✓ met     ') : styled('bad', '✗ missing '),
    requirement.requirement,
    styled('dim', `  ${requirement.where}`),
  ]);
}

/** `name   value`, the names in one column. */
export function pairLine(name: string, value: string, columns = 18): Line {
  return [styled('dim', name.padEnd(columns)), value];
}
