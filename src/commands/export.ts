/** `vtdeck export KIND --session S [--vm V] [--out DIR]`: what the session's assignments are on a real host. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandModule } from 'yargs';
import { ApplicationError, ExitCode } from '../errors.ts';
import { artefactsOf, exporters } from '../export/all.ts';
import type { Artefact } from '../export/assignment.ts';
import { assignmentOfMachine, goneDevices, hostFacts, machinesToExport } from '../export/from-host.ts';
import { printError, printJson, printText } from '../output.ts';
import { writeWholeFile } from '../output-file.ts';
import { type TargetArguments, targetOptions, targetsOf } from '../plan/options.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { makeFolder } from '../session/paths.ts';
import { sessionOf, sessionOption } from './options.ts';

interface ExportArguments extends TargetArguments {
  kind: string;
  session?: string;
  vm?: string;
  out?: string;
  force?: boolean;
  viommu?: boolean;
  iommufd?: boolean;
  json?: boolean;
}

const command: CommandModule<object, ExportArguments> = {
  command: 'export <kind>',
  describe: 'write the assignments of a session as files and commands for a real host',
  builder: (yargs) =>
    yargs
      .positional('kind', { choices: [...Object.keys(exporters), 'all'], describe: 'for which tool' })
      .option('session', sessionOption)
      .option('vm', { type: 'string', describe: 'this machine only', requiresArg: true })
      .option('out', {
        type: 'string',
        describe: 'folder to write the files into; else they are printed',
        requiresArg: true,
      })
      .option('force', { type: 'boolean', describe: 'overwrite files that are there' })
      .option('viommu', { type: 'boolean', describe: 'the guest gets an IOMMU of its own' })
      .option('iommufd', { type: 'boolean', describe: 'through iommufd in place of VFIO groups' })
      .options(targetOptions) as never,
  handler: (argv) => {
    const targets = targetsOf(argv);
    const { host } = openWorkspace({ session: sessionOf(argv), readOnly: true, what: 'export' });
    const kinds = argv.kind === 'all' ? Object.keys(exporters) : [argv.kind];
    const machines = machinesToExport(host, argv.vm);
    const assignments = machines.map((machine) =>
      assignmentOfMachine(host, machine, { virtualIommu: argv.viommu, iommufd: argv.iommufd }),
    );
    for (const device of machines.flatMap((machine) => goneDevices(host, machine))) {
      printError(`vtdeck: ${device} is neither there nor defined: left out`);
    }
    const artefacts = artefactsOf(kinds, assignments, targets, (all) => hostFacts(host, all));
    if (argv.out !== undefined) writeAll(argv.out, artefacts, argv.force === true);
    if (argv.json === true) printJson({ artefacts });
    else if (argv.out !== undefined)
      printText(artefacts.map((one) => `${join(argv.out ?? '', one.file)}  ${one.purpose}`).join('\n'));
    else
      printText(
        artefacts
          .map((one) =>
            artefacts.length === 1 ? one.text.trimEnd() : `# ${one.file}: ${one.purpose}\n${one.text}`,
          )
          .join('\n'),
      );
  },
};

export default command;

/** All or nothing: an existing file stops it before the first is written. */
function writeAll(folder: string, artefacts: readonly Artefact[], force: boolean): void {
  const there = artefacts.map((one) => join(folder, one.file)).find((path) => existsSync(path));
  if (there !== undefined && !force) {
    throw new ApplicationError('EEXIST', 'the file is there already; nothing was written', {
      rule: 'overwrite',
      place: { file: there },
      remedy: 'say --force, or another folder',
      exitCode: ExitCode.refused,
    });
  }
  makeFolder(folder);
  for (const one of artefacts)
    writeWholeFile(join(folder, one.file), one.text, one.file.endsWith('.sh') ? 0o755 : 0o644);
}
