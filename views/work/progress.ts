/** How far long work is, for the eye and for the ear. */
import { type Line, styled } from '../format/line.ts';
import { counted, grouped } from '../format/values.ts';
import type { Job } from './jobs.ts';

const BAR = 16;
const SPINNER = ['|', '/', '-', '\\'];

/** @param age Milliseconds since it began. */
export function progressLine(job: Job, age: number): Line {
  const { progress, what, noun, cancelling } = job;
  const { done, total } = progress;
  const seconds = `${(age / 1000).toFixed(1)} s`;
  const known = total !== undefined && total > 0;
  const filled = known ? Math.round((BAR * Math.min(done, total)) / total) : 0;
  const sign = known
    ? [styled('accent', '█'.repeat(filled)), styled('dim', '░'.repeat(BAR - filled))]
    : [styled('accent', SPINNER[Math.floor(age / 100) % SPINNER.length])];
  const count = known ? `: ${grouped(done)} of ${grouped(total)}${noun === '' ? '' : ` ${noun}`}` : '';
  const stop = cancelling
    ? []
    : progress.indivisible === true
      ? [styled('key', 'Esc'), ' cancels when this piece is done']
      : [styled('key', 'Esc'), ' cancels'];
  return [
    ...sign,
    ` ${cancelling ? `taking back: ${what}` : what}${count}`,
    styled('dim', `  ${seconds}  `),
    ...stop,
  ];
}

/** Seconds between two announcements of work whose end is not known. */
const SELDOM = 5;

/** The same to be read aloud: another text only at each quarter, or every five seconds. */
export function progressReading(job: Job, age: number): string {
  const { progress, what, cancelling } = job;
  if (cancelling) return `taking back: ${what}`;
  const { done, total } = progress;
  const quarter = total === undefined || total === 0 ? 0 : Math.floor((4 * done) / total);
  const told = Math.floor(age / 1000 / SELDOM) * SELDOM;
  const far =
    total !== undefined && total > 0
      ? quarter === 0
        ? ''
        : `, ${25 * quarter} percent done`
      : told === 0
        ? ''
        : `, for ${counted(told, 'second')}`;
  return `working: ${what}${far}. Escape cancels`;
}
