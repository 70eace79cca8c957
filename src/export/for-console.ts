/** What the console's export key offers: one text for each kind of file that the session's machines come to. */
import type { Host } from '../../hw/index.ts';
import { artefactsOf, exporters } from './all.ts';
import { assignmentOfMachine, hostFacts } from './from-host.ts';
import { DEFAULT_TARGETS } from './targets.ts';

/** Empty when no machine has a device. Kinds that come to nothing here are left out. */
export function exportTexts(host: Host): { readonly name: string; text(): string }[] {
  const assignments = host
    .machineStates()
    .map(({ name }) => assignmentOfMachine(host, name))
    .filter(({ devices }) => devices.length > 0);
  return Object.keys(exporters).flatMap((kind) => {
    const artefacts = artefactsOf([kind], assignments, DEFAULT_TARGETS, (all) => hostFacts(host, all));
    if (artefacts.length === 0) return [];
    const text = (): string =>
      artefacts.map((one) => `# ${one.file}: ${one.purpose}\n${one.text}`).join('\n');
    return [{ name: `${kind} (${artefacts.length} ${artefacts.length === 1 ? 'file' : 'files'})`, text }];
  });
}
