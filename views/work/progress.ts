/** How far long work is, for the eye and for the ear. */
import { type Line, type Segment, styled } from '../format/line.ts';
import { counted } from '../format/values.ts';
import type { Job } from './jobs.ts';

const BAR = 16;
/** From this width on there is room for a bar. Columns. */
const WIDE = 60;
const SPINNER = ['|', '/', '-', '\\'];

const grouped = (number: number): string => number.toLocaleString('en-US');

/** @param age Milliseconds since it began. @param columns Where they are few the bar goes. */
export function progressLine(job: Job, age: number, columns: number): Line {
  const { progress, what, noun, cancelling } = job;
  const { done, total } = progress;
  const known = total !== undefined && total > 0;
  const sign: (string | Segment)[] = [];
  if (!known) sign.push(styled('accent', SPINNER[Math.floor(age / 100) % SPINNER.length]), ' ');
  else if (columns >= WIDE) {
    const filled = Math.round((BAR * Math.min(done, total)) / total);
    sign.push(styled('accent', '█'.repeat(filled)), styled('dim', '░'.repeat(BAR - filled)), ' ');
  }
  const count = known ? `: ${grouped(done)} of ${grouped(total)}${noun === '' ? '' : ` ${noun}`}` : '';
  const name = cancelling ? `taking back: ${what}` : what;
  const elapsed = styled('dim', `  ${(age / 1000).toFixed(1)} s  `);
  if (cancelling) return [...sign, name, count, elapsed];
  const stop = progress.indivisible === true ? ' cancels when this piece is done' : ' cancels';
  return [...sign, name, count, elapsed, styled('key', 'Esc'), stop];
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
