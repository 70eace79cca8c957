/** `vtdeck import FILE`: what another tool's file says, as JSON or in short. */
import type { CommandModule } from 'yargs';
import { usageError } from '../errors.ts';
import { mappedPages, translationLines } from '../imports/debugfs.ts';
import { assignmentFromDomainXml, nodeDeviceFromXml } from '../imports/libvirt.ts';
import { mdevsFromJson, typesFromJson } from '../imports/mdevctl.ts';
import { assignmentFromQemu } from '../imports/qemu.ts';
import { readInput } from '../input.ts';
import { printJson } from '../output.ts';

type Kind = 'domain' | 'nodedev' | 'mdevs' | 'mdev-types' | 'qemu' | 'tables' | 'mappings';

const READERS: Readonly<Record<Kind, (text: string, file: string) => unknown>> = {
  domain: assignmentFromDomainXml,
  nodedev: nodeDeviceFromXml,
  mdevs: mdevsFromJson,
  'mdev-types': typesFromJson,
  qemu: assignmentFromQemu,
  tables: translationLines,
  mappings: mappedPages,
};

interface ImportArguments {
  file: string;
  as?: Kind;
  json?: boolean;
}

const command: CommandModule<object, ImportArguments> = {
  command: 'import <file>',
  describe: "read a libvirt, mdevctl or QEMU file, or a kernel's tables from debugfs",
  builder: (yargs) =>
    yargs.positional('file', { type: 'string', describe: 'the file; - for standard input' }).option('as', {
      choices: Object.keys(READERS),
      describe: 'what it is; else told from its content',
    }) as never,
  handler: (argv) => {
    const text = readInput(argv.file);
    const kind = argv.as ?? kindOf(text, argv.file);
    printJson({ kind, content: READERS[kind](text, argv.file) });
  },
};

export default command;

function kindOf(text: string, file: string): Kind {
  const start = text.trimStart();
  if (start.startsWith('<')) return /<domain[\s>]/.test(start) ? 'domain' : 'nodedev';
  if (start.startsWith('[')) return start.includes('"available_instances"') ? 'mdev-types' : 'mdevs';
  if (/^IOMMU \S+: Root Table Address/m.test(text)) return 'tables';
  if (/^IOVA_PFN/m.test(text)) return 'mappings';
  if (/qemu-(system-|kvm)/.test(text)) return 'qemu';
  throw usageError(
    `${file} is none of the kinds that are read`,
    `say --as with one of ${Object.keys(READERS).join(', ')}`,
  );
}
