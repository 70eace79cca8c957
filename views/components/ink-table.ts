/**
 * ink-table, made loadable. Version 3 is CommonJS and requires `ink`, which is an ES module with top-level await, so
 * outside a bundle its `require` fails. Handing it the namespace that is loaded already, through the cache of
 * CommonJS modules, makes both the same Ink. In the bundle esbuild has joined them, and nothing is left to do.
 *
 * It loads on demand, after the first frame: no table is on that.
 */
import { createRequire } from 'node:module';
import * as ink from 'ink';
import type { ComponentType, PropsWithChildren } from 'react';

/** What of ink-table is used. Props are fixed when it is mounted: give it a key to change them. */
export interface TableProps {
  readonly data: readonly Readonly<Record<string, string>>[];
  readonly columns: readonly string[];
  readonly padding: number;
  readonly header: ComponentType<PropsWithChildren>;
  readonly cell: ComponentType<PropsWithChildren<{ readonly column: number }>>;
  readonly skeleton: ComponentType<PropsWithChildren>;
}

let loaded: ComponentType<TableProps> | undefined;

/** The component, once it is loaded. */
export function inkTable(): ComponentType<TableProps> | undefined {
  return loaded;
}

export async function loadInkTable(): Promise<void> {
  if (loaded !== undefined) return;
  if (import.meta.filename.endsWith('.ts')) shareInk();
  const module: unknown = await import('ink-table');
  loaded = componentIn(module);
}

/** Puts the Ink that is loaded where `require('ink')` looks. */
function shareInk(): void {
  const require = createRequire(import.meta.filename);
  const path = createRequire(require.resolve('ink-table')).resolve('ink');
  require.cache[path] ??= {
    id: path,
    filename: path,
    loaded: true,
    exports: ink,
  } as unknown as NodeJS.Module;
}

/** A CommonJS default export arrives once or twice wrapped, depending on who loads it. */
function componentIn(module: unknown): ComponentType<TableProps> {
  let candidate = module;
  while (typeof candidate === 'object' && candidate !== null && 'default' in candidate)
    candidate = candidate.default;
  return candidate as ComponentType<TableProps>;
}
