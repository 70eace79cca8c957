/** `vtdeck plan --host H --assign BDF…`: what an assignment takes, locks out, needs, and what blocks it. */
import type { CommandModule } from 'yargs';
import { ExitCode, usageError } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { listOf, memoryBytes, type TargetArguments, targetOptions } from '../plan/options.ts';
import { makePlan } from '../plan/plan.ts';
import { parseStatedRoles } from '../plan/roles.ts';
import { planMarkdown, planText } from '../plan/text.ts';
import { type PlanView, viewOfDescription, viewOfHost } from '../plan/view.ts';

interface PlanArguments extends TargetArguments {
  host?: string;
  session?: string;
  assign?: unknown;
  vm?: string;
  memory?: string;
  viommu?: boolean;
  'accept-siblings'?: unknown;
  role?: unknown;
  markdown?: boolean;
  json?: boolean;
}

const command: CommandModule<object, PlanArguments> = {
  command: 'plan',
  describe: 'what an assignment takes, locks out, needs, and what blocks it',
  builder: (yargs) =>
    yargs
      .option('host', {
        type: 'string',
        describe: 'a folder, a file, or the name of a host',
        requiresArg: true,
      })
      .option('session', {
        type: 'string',
        describe: 'the host of a session as it is now',
        requiresArg: true,
      })
      .conflicts('host', 'session')
      .option('assign', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'PCI addresses and UUIDs to hand out',
      })
      .option('vm', { type: 'string', default: 'guest', describe: 'name of the virtual machine' })
      .option('memory', { type: 'string', default: '4G', describe: 'memory of the virtual machine' })
      .option('viommu', { type: 'boolean', describe: 'the guest gets an IOMMU of its own' })
      .option('accept-siblings', { type: 'string', array: true, describe: 'devices whose loss is accepted' })
      .option('role', {
        type: 'string',
        array: true,
        describe: 'ADDRESS=ROLE: what a device does for the host',
      })
      .option('markdown', { type: 'boolean', describe: 'print a report for a change ticket' })
      .options(targetOptions) as never,
  handler: async (argv) => {
    const assign = listOf(argv.assign);
    if (assign.length === 0) throw usageError('--assign names no device', 'write --assign 0000:6a:01.0');
    const view = await viewOf(argv);
    const plan = makePlan(view, {
      assign,
      machine: argv.vm ?? 'guest',
      memoryBytes: memoryBytes(argv.memory ?? '4G'),
      virtualIommu: argv.viommu === true,
      acceptSiblings: listOf(argv['accept-siblings']),
      roles: parseStatedRoles(listOf(argv.role)),
    });
    if (argv.json === true) printJson(plan);
    else if (argv.markdown === true) printText(planMarkdown(plan, view.name, assign));
    else printText(planText(plan, assign));
    if (!plan.ok) process.exitCode = ExitCode.refused;
  },
};

export default command;

async function viewOf(argv: PlanArguments): Promise<PlanView> {
  if (argv.session !== undefined) {
    const { openWorkspace } = await import('../session/open-workspace.ts');
    return viewOfHost(openWorkspace({ session: argv.session, readOnly: true, what: 'plan' }).host);
  }
  if (argv.host === undefined) throw usageError('no host was named', 'say --host FOLDER, or --session NAME');
  const { hostFrom } = await import('./host-option.ts');
  return viewOfDescription(hostFrom(argv.host).description);
}
