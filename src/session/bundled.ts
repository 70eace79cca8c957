/** The sessions and demos that come with the program. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeWholeSession, type WholeSession } from './document.ts';
import { isSessionName } from './paths.ts';

/** Beside the built program, or at the top of the source tree. */
function folder(): string {
  const beside = join(import.meta.dirname, 'saved-sessions');
  return existsSync(beside) ? beside : join(import.meta.dirname, '../../saved-sessions');
}

function namesOf(extension: string): string[] {
  const place = folder();
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .filter((file) => file.endsWith(extension))
    .map((file) => file.slice(0, -extension.length))
    .sort();
}

export function bundledSessionNames(): string[] {
  return namesOf('.json');
}

export function bundledDemoNames(): string[] {
  return namesOf('.tape');
}

/** The bundled session of that name, or undefined. */
export function bundledSession(name: string): WholeSession | undefined {
  if (!isSessionName(name)) return undefined;
  const path = join(folder(), `${name}.json`);
  return existsSync(path) ? decodeWholeSession(readFileSync(path, 'utf8'), path) : undefined;
}

/** Path of a bundled demo, or undefined. */
export function bundledDemoPath(name: string): string | undefined {
  if (!isSessionName(name)) return undefined;
  const path = join(folder(), `${name}.tape`);
  return existsSync(path) ? path : undefined;
}

/** What a bundled demo says it shows. */
export function bundledDemoTitle(name: string): string {
  const path = bundledDemoPath(name);
  const text = path === undefined ? '' : readFileSync(path, 'utf8');
  return /^#: Set Title "([^"]*)"/m.exec(text)?.[1] ?? name;
}
