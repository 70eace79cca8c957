import { readFileSync } from 'node:fs';

/** The version in package.json, which stands one folder above both the sources and the built program. */
export function programVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
