/** `vtdeck replay PATH…`: runs transcripts against the engine and tells the first difference of each. */
import type { CommandModule } from 'yargs';
import { ExitCode } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { replay } from '../replay/index.ts';
import type { ReplayResult } from '../replay/runner.ts';

interface ReplayArguments {
  path: string[];
  quiet?: boolean;
  json?: boolean;
}

/** One file that failed, as people read it. */
function failureText(result: ReplayResult): string {
  const difference = result.difference;
  if (difference === null) return '';
  const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
  return [
    `${result.file}:${difference.line}: differs at operation ${difference.op} (${difference.note})`,
    `  expected ${show(difference.expected)}`,
    `  actual   ${show(difference.actual)}`,
  ].join('\n');
}

const command: CommandModule<object, ReplayArguments> = {
  command: 'replay <path..>',
  describe: 'run transcripts against the engine, telling the first difference of each',
  builder: (yargs) =>
    yargs
      .positional('path', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'transcripts (.jsonl) and folders of them',
      })
      .option('quiet', { type: 'boolean', alias: 'q', describe: 'only what differs, and the sum' }) as never,
  handler: async (argv) => {
    const report = await replay(argv.path, (result) => {
      if (argv.json) return;
      if (!result.ok) printText(failureText(result));
      else if (!argv.quiet) printText(`${result.file}: ${result.ops} operations, no difference`);
    });
    if (argv.json) printJson(report);
    else {
      const { spec, allow } = report.judged;
      const judged = spec + allow > 0 ? `; ${spec} results judged by "spec", ${allow} by "allow"` : '';
      printText(`${report.passed} of ${report.files} transcripts pass, ${report.ops} operations${judged}`);
    }
    if (report.failed > 0) process.exitCode = ExitCode.differs;
  },
};

export default command;
