/** Stands in for the package of this name in the bundle: the same answer for what a terminal shows, without its start-up. */
import { textWidth } from './width.ts';

const ESCAPES = /\u001b(?:\[[0-9;:<=>?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\))/g;

export default function stringWidth(text: string): number {
  return textWidth(text.includes('\u001b') ? text.replace(ESCAPES, '') : text);
}
