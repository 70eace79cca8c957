/** The `--host` option, and what is said about a host that was not read without fault. */
import type { HostDescription } from '../../hw/index.ts';
import { type ImportedHost, type ImportOptions, loadHost } from '../hosts/import.ts';
import { printError } from '../output.ts';

export const hostOption = {
  type: 'string',
  demandOption: true,
  requiresArg: true,
  describe: 'a folder with lspci.txt, an lspci text, or the name of a host',
} as const;

export const dmarOption = {
  type: 'string',
  requiresArg: true,
  describe: 'DMAR table beside the text: raw, or the output of acpidump',
} as const;

/** Loads a host and tells on stderr what was wrong with its source; at most ten lines of it. */
export function hostFrom(source: string, options: ImportOptions = {}): ImportedHost {
  const loaded = loadHost(source, options);
  const shown = loaded.problems.slice(0, 10);
  for (const problem of shown) printError(problem);
  if (loaded.problems.length > shown.length) {
    printError(`… and ${loaded.problems.length - shown.length} more problems in the source`);
  }
  return loaded;
}

/** `ISA bridge: Intel Corporation …` of a device, or an empty text. */
export function deviceTitle(description: HostDescription, address: string): string {
  const one = description.functions.find((candidate) => candidate.address === address);
  if (one === undefined) return '';
  return [one.className, one.name].filter((part) => part !== undefined && part !== '').join(': ');
}
