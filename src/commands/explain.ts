import type { CommandModule } from 'yargs';
import { usageError } from '../errors.ts';
import { type Explanation, explainKernelLog } from '../explain/kernel-log.ts';
import { readInput } from '../input.ts';
import { printJson, printText } from '../output.ts';

interface ExplainArguments {
  line?: string[];
  file?: string;
  json?: boolean;
}

/** `vtdeck explain`: a pasted kernel log line, a file of them, or standard input. */
const explain: CommandModule<object, ExplainArguments> = {
  command: 'explain [line..]',
  describe: 'explain kernel log lines about DMA faults and assignment',
  builder: (yargs) =>
    yargs
      .positional('line', {
        type: 'string',
        array: true,
        describe: 'the line, quoted; without it standard input is read',
      })
      .option('file', { type: 'string', describe: 'a kernel log', requiresArg: true }) as never,
  handler(argv) {
    const words = argv.line ?? [];
    if (words.length > 0 && argv.file !== undefined) throw usageError('give a line or --file, not both');
    if (words.length === 0 && argv.file === undefined && process.stdin.isTTY) {
      throw usageError(
        'there is nothing to explain',
        'give a line in quotes, --file, or pipe in: dmesg | vtdeck explain',
      );
    }
    const text = words.length > 0 ? words.join(' ') : readInput(argv.file ?? '-');
    const found = explainKernelLog(text);
    if (argv.json === true) printJson({ explanations: found });
    else if (found.length === 0)
      printText('No line here speaks of DMA remapping, interrupts or device assignment.');
    else printText(found.map(describe).join('\n\n'));
  },
};

function describe(found: Explanation): string {
  const facts = [
    found.device === undefined
      ? undefined
      : `device   ${found.device}${found.pasid === undefined ? '' : `, PASID ${found.pasid}`}`,
    found.address === undefined
      ? undefined
      : found.access === 'interrupt'
        ? `index    ${found.address}`
        : `address  ${found.address} (${found.access})`,
    found.reason === undefined
      ? undefined
      : `reason   ${found.reason.code} ${found.reason.class}: ${found.reason.meaning}`,
    found.entry === undefined ? undefined : `entry    ${found.entry}`,
    found.reason === undefined ? `meaning  ${found.meaning}` : undefined,
    `remedy   ${found.remedy}`,
  ];
  return [found.line, ...facts.filter((line) => line !== undefined).map((line) => `  ${line}`)].join('\n');
}

export default explain;
