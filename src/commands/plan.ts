/** `vtdeck plan --host H --assign BDF…`: what an assignment takes, locks out, needs, and what blocks it. */
import type { CommandModule } from 'yargs';
import { buildHost, type Host, type HostDescription } from '../../hw/index.ts';
import { ExitCode, usageError } from '../errors.ts';
import type { Assignment } from '../export/assignment.ts';
import type { Targets } from '../export/targets.ts';
import { assignmentFromDomainXml } from '../imports/libvirt.ts';
import { mdevsFromJson } from '../imports/mdevctl.ts';
import { assignmentFromQemu } from '../imports/qemu.ts';
import { readInput } from '../input.ts';
import { printJson, printText } from '../output.ts';
import { writeWholeFile } from '../output-file.ts';
import {
  listOf,
  memoryBytes,
  profileFor,
  type TargetArguments,
  targetOptions,
  targetsOf,
} from '../plan/options.ts';
import { planSvg } from '../plan/picture.ts';
import { makePlan, type Plan, type PlanRequest } from '../plan/plan.ts';
import { type Preparation, prepare } from '../plan/prepare.ts';
import { recheckPlan } from '../plan/recheck.ts';
import { rehearse } from '../plan/rehearse.ts';
import { parseStatedRoles } from '../plan/roles.ts';
import { planMarkdown, planText, recheckText, rehearsalText } from '../plan/text.ts';
import { type PlanView, viewOfDescription, viewOfHost } from '../plan/view.ts';

interface PlanArguments extends TargetArguments {
  host?: string;
  dmar?: string;
  session?: string;
  fleet?: string;
  assign?: unknown;
  vf?: unknown;
  mdev?: unknown;
  from?: string;
  vm?: string;
  memory?: string;
  viommu?: boolean;
  'accept-siblings'?: unknown;
  role?: unknown;
  rehearse?: boolean;
  newer?: string;
  markdown?: boolean;
  svg?: string;
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
      .option('dmar', { type: 'string', describe: 'DMAR table beside the text', requiresArg: true })
      .option('session', {
        type: 'string',
        describe: 'the host of a session as it is now',
        requiresArg: true,
      })
      .option('fleet', {
        type: 'string',
        describe: 'a folder of captures: one line of JSON for each',
        requiresArg: true,
      })
      .option('assign', { type: 'string', array: true, describe: 'PCI addresses and UUIDs to hand out' })
      .option('vf', {
        type: 'string',
        array: true,
        describe: 'ADDRESS=COUNT: make virtual functions and hand them out',
      })
      .option('mdev', {
        type: 'string',
        array: true,
        describe: 'PARENT/TYPE=COUNT: make mediated devices and hand them out',
      })
      .option('from', {
        type: 'string',
        describe: 'a libvirt domain, a QEMU command line or mdevctl JSON: what it assigns',
        requiresArg: true,
      })
      .option('vm', { type: 'string', describe: 'name of the virtual machine', requiresArg: true })
      .option('memory', { type: 'string', describe: 'memory of the virtual machine [4G]', requiresArg: true })
      .option('viommu', { type: 'boolean', describe: 'the guest gets an IOMMU of its own' })
      .option('accept-siblings', { type: 'string', array: true, describe: 'devices whose loss is accepted' })
      .option('role', {
        type: 'string',
        array: true,
        describe: 'ADDRESS=ROLE: what a device does for the host',
      })
      .option('rehearse', {
        type: 'boolean',
        describe: 'run it on the emulated host, DMA and all, and undo it',
      })
      .option('newer', {
        type: 'string',
        describe: 'a newer capture of the machine: does the plan still hold there',
        requiresArg: true,
      })
      .option('svg', {
        type: 'string',
        describe: 'write a picture of the plan to this file',
        requiresArg: true,
      })
      .option('markdown', { type: 'boolean', describe: 'print a report for a change ticket' })
      .options(targetOptions)
      .conflicts('host', ['session', 'fleet'])
      .conflicts('session', ['fleet', 'newer'])
      .conflicts('fleet', ['vf', 'mdev', 'rehearse', 'newer', 'svg', 'markdown', 'dmar'])
      .example('$0 plan --host capture/ --assign 0000:6a:01.0 --rehearse', '')
      .example('$0 plan --fleet captures/ > plans.jsonl', '') as never,
  handler: async (argv) => {
    let request = requestOf(argv);
    const targets = targetsOf(argv);
    if (argv.fleet !== undefined) return planFolder(argv.fleet, request);
    const toMake = { functions: listOf(argv.vf), mdevs: listOf(argv.mdev) };
    const makes = toMake.functions.length + toMake.mdevs.length > 0;
    if (request.assign.length === 0 && !makes)
      throw usageError('no device was named', 'write --assign 0000:6a:01.0, or --from FILE');
    const source = await sourceOf(argv, targets);
    if (argv.newer !== undefined && source.description !== undefined) {
      const { hostFrom } = await import('./host-option.ts');
      const recheck = recheckPlan(source.description, hostFrom(argv.newer).description, request);
      if (argv.json === true) printJson(recheck);
      else printText(recheckText(recheck));
      if (!recheck.holds) process.exitCode = ExitCode.differs;
      return;
    }
    const host = makes || argv.rehearse === true ? source.host() : undefined;
    const preparation =
      host === undefined || !makes ? undefined : prepare(host, toMake.functions, toMake.mdevs);
    request = { ...request, assign: [...request.assign, ...(preparation?.made ?? [])] };
    const plan = withPreparation(
      makePlan(host === undefined || !makes ? source.view : viewOfHost(host), request),
      preparation,
    );
    const named = request.assign.length > 0 ? request.assign : [...toMake.functions, ...toMake.mdevs];
    const rehearsal =
      argv.rehearse === true && host !== undefined ? rehearse(host, plan, request) : undefined;
    if (argv.svg !== undefined) {
      writeWholeFile(argv.svg, planSvg(planText(plan, named), `plan on ${source.view.name}`));
    }
    if (argv.json === true) printJson(rehearsal === undefined ? plan : { ...plan, rehearsal });
    else if (argv.markdown === true) printText(planMarkdown(plan, source.view.name, named));
    else
      printText(
        `${planText(plan, named)}${rehearsal === undefined ? '' : `\n\n${rehearsalText(rehearsal)}`}`,
      );
    if (!plan.ok) process.exitCode = ExitCode.refused;
    else if (rehearsal !== undefined && !(rehearsal.ok && rehearsal.restored))
      process.exitCode = ExitCode.failed;
  },
};

export default command;

interface Source {
  readonly view: PlanView;
  readonly description: HostDescription | undefined;
  /** A host to rehearse on; built when asked for. */
  host(): Host;
}

async function sourceOf(argv: PlanArguments, targets: Targets): Promise<Source> {
  if (argv.session !== undefined) {
    const { openWorkspace } = await import('../session/open-workspace.ts');
    const { host } = openWorkspace({ session: argv.session, readOnly: true, what: 'plan' });
    return { view: viewOfHost(host), description: undefined, host: () => host };
  }
  if (argv.host === undefined) throw usageError('no host was named', 'say --host FOLDER, or --session NAME');
  const { hostFrom } = await import('./host-option.ts');
  const { description } = hostFrom(argv.host, { dmar: argv.dmar });
  return {
    view: viewOfDescription(description),
    description,
    // Auxiliary domains, and with them mediated devices isolated by PASID, are in 5.15 alone.
    host: () =>
      buildHost(description, {
        profile: listOf(argv.mdev).length > 0 ? '5.15' : profileFor(targets),
      }),
  };
}

function requestOf(argv: PlanArguments): PlanRequest {
  const given = argv.from === undefined ? undefined : importedAssignment(argv.from, readInput(argv.from));
  const named = (given?.devices ?? []).map((device) =>
    device.kind === 'pci' ? device.address : device.uuid,
  );
  return {
    assign: [...listOf(argv.assign), ...named],
    machine: argv.vm ?? given?.machine ?? 'guest',
    memoryBytes: argv.memory === undefined ? (given?.memoryBytes ?? 4 * 2 ** 30) : memoryBytes(argv.memory),
    virtualIommu: argv.viommu ?? given?.virtualIommu !== undefined,
    acceptSiblings: listOf(argv['accept-siblings']),
    roles: parseStatedRoles(listOf(argv.role)),
  };
}

/** By what it looks like: XML, JSON, else a command line. */
function importedAssignment(file: string, text: string): Pick<Assignment, 'devices'> & Partial<Assignment> {
  const start = text.trimStart()[0];
  if (start === '<') return assignmentFromDomainXml(text, file);
  if (start === '[' || start === '{') return { devices: mdevsFromJson(text, file) };
  return assignmentFromQemu(text, file);
}

/** What had to be made first stands in the way first, and is done and undone around the rest. */
function withPreparation(plan: Plan, preparation: Preparation | undefined): Plan {
  if (preparation === undefined) return plan;
  const blockers = [...preparation.blockers, ...plan.blockers];
  return {
    ...plan,
    ok: blockers.length === 0,
    blockers,
    commands: [...preparation.commands, ...plan.commands],
    undo: [...plan.undo, ...preparation.undo],
  };
}

async function planFolder(folder: string, request: PlanRequest): Promise<void> {
  const { fleetHosts, planFleet } = await import('../plan/fleet.ts');
  const hosts = fleetHosts(folder);
  const { roles: _roles, ...rest } = request;
  let done = 0;
  let failed = 0;
  await planFleet(hosts, rest, (result) => {
    done += 1;
    if ('error' in result) failed += 1;
    printText(JSON.stringify(result));
    if (process.stderr.isTTY || done === hosts.length) {
      process.stderr.write(
        `${process.stderr.isTTY ? '\r' : ''}${done} of ${hosts.length} hosts, ${failed} not readable${done === hosts.length ? '\n' : ''}`,
      );
    }
  });
  if (failed > 0) process.exitCode = ExitCode.failed;
}
