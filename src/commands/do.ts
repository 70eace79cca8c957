/** `vtdeck do ACTION [--argument value]… --session S` */
import type { CommandModule } from 'yargs';
import { describeArguments, parseArguments } from '../actions/arguments.ts';
import { actionNamed, actions } from '../actions/registry.ts';
import { ExitCode, safetyError, usageError } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { ensureSession } from '../session/ensure.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { sessionBusy } from '../session/store.ts';
import { listenForCalls, type TracedLine } from '../trace/call-lines.ts';
import { sessionOf, sessionOption } from './options.ts';

interface DoArguments {
  action?: string;
  session?: string;
  host?: string;
  yes?: boolean;
  list?: boolean;
  'dry-run'?: boolean;
  trace?: boolean;
  json?: boolean;
  assignments?: string[];
  [argument: string]: unknown;
}

/** Words of the command itself; every other option is an argument of the action. */
const OWN = new Set([
  '_',
  '$0',
  'action',
  'assignments',
  'session',
  'yes',
  'y',
  'host',
  'list',
  'dry-run',
  'trace',
  'json',
  'home',
  'help',
  'h',
  'version',
]);

/** Moves of the session that are no actions of the host. */
const MOVES = ['undo', 'redo'] as const;

const command: CommandModule<object, DoArguments> = {
  command: 'do [action] [assignments..]',
  describe: 'run one action on a session',
  builder: (yargs) =>
    yargs
      .positional('action', {
        type: 'string',
        describe: 'name of the action, such as mdev.create; or undo, redo',
      })
      .positional('assignments', { type: 'string', array: true, describe: 'arguments as name=value' })
      .option('session', sessionOption)
      .option('host', {
        type: 'string',
        describe:
          'begin the session on this host (a folder, a file or a name), when there is none of its name',
        requiresArg: true,
      })
      .option('yes', { type: 'boolean', alias: 'y', describe: 'go on with what it takes and loses' })
      .option('dry-run', {
        type: 'boolean',
        describe: 'say what it would do, and whether it can; do nothing',
      })
      .option('trace', {
        type: 'boolean',
        describe:
          'print the kernel calls it makes, and below each the table writes and descriptors it causes',
      })
      .option('list', { type: 'boolean', describe: 'list all actions with their arguments' })
      .strictOptions(false)
      .strict(false)
      .example('$0 do mdev.create --session lab --parent 0000:6a:01.0 --type idxd-1dwq-v1', '')
      .example('$0 do vm.assign vm=alpha device=0000:6b:00.0 --session lab --yes', '') as never,
  handler: async (argv) => {
    if (argv.list) return listActions(argv.json === true);
    if (argv.action === undefined) throw usageError('no action was named', 'vtdeck do --list shows all');
    await runOne(argv.action, collect(argv), argv);
  },
};

export default command;

async function runOne(name: string, args: Record<string, unknown>, argv: DoArguments): Promise<void> {
  const move = MOVES.find((candidate) => candidate === name);
  const action = move === undefined ? actionNamed(name) : undefined;
  if (move !== undefined && Object.keys(args).length > 0)
    throw usageError(`${move} has no arguments`, 'vtdeck session go-to NAME ACT moves to an act');
  const session = sessionOf(argv);
  const dryRun = argv['dry-run'] === true;
  if (action !== undefined) parseArguments(action, args);
  const ensured = dryRun || move !== undefined ? undefined : await ensureSession(session, argv.host, '5.15');
  const workspace = openWorkspace({ session, readOnly: dryRun, what: `do ${name}` });
  let done = false;
  try {
    if (!dryRun && workspace.readOnlyReason !== undefined)
      throw sessionBusy(session, workspace.readOnlyReason);
    for (const notice of workspace.notices) process.stderr.write(`vtdeck: ${notice}\n`);
    if (action !== undefined) {
      const prepared = workspace.prepare(name, args);
      if (dryRun) {
        printPlan(prepared, argv.json === true);
        return;
      }
      if (action.danger !== 'none' && argv.yes !== true && prepared.consequences.length > 0) {
        throw safetyError(`${name}: ${prepared.consequences.join('; ')}`, 'say --yes if that is meant');
      }
    }
    const traced: TracedLine[] = [];
    const stop = argv.trace === true ? listenForCalls(workspace.host.trace, traced) : undefined;
    const outcome = move === undefined ? workspace.dispatch(name, args) : workspace[move]();
    stop?.();
    if (!outcome.ok) throw outcome.error;
    done = true;
    if (ensured?.created && !argv.json) process.stderr.write(`vtdeck: session ${session} is new\n`);
    const { summary, value, commands } = outcome;
    if (argv.json) {
      printJson({
        ok: true,
        action: name,
        summary,
        value,
        commands,
        ...(argv.trace ? { trace: traced } : {}),
      });
    } else {
      const lines = traced.map(({ depth, text }) => `${'  '.repeat(depth + 1)}${text}`);
      printText([summary, ...commands.map((line) => `  $ ${line}`), ...lines].join('\n'));
    }
  } finally {
    const heard = workspace.notices.length;
    workspace.close();
    for (const notice of workspace.notices.slice(heard)) process.stderr.write(`vtdeck: ${notice}\n`);
    if (!done) ensured?.discard();
  }
}

function printPlan(
  prepared: {
    disabledReason: string | undefined;
    consequences: readonly string[];
    commands: readonly string[];
  },
  json: boolean,
): void {
  if (json) printJson({ possible: prepared.disabledReason === undefined, ...prepared });
  else {
    const first =
      prepared.disabledReason === undefined ? 'it can run' : `it can't run: ${prepared.disabledReason}`;
    printText(
      [
        first,
        ...prepared.consequences.map((line) => `  ! ${line}`),
        ...prepared.commands.map((line) => `  $ ${line}`),
      ].join('\n'),
    );
  }
  if (prepared.disabledReason !== undefined) process.exitCode = ExitCode.failed;
}

/** Arguments of the action: options, and name=value words. */
function collect(argv: DoArguments): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(argv)) {
    if (OWN.has(name) || value === undefined) continue;
    if (Array.isArray(value)) throw usageError(`--${name} was given more than once`, 'give it once');
    args[name] = value;
  }
  for (const word of [...(argv.assignments ?? []), ...((argv._ as unknown[]) ?? []).slice(1)]) {
    const text = String(word);
    const equals = text.indexOf('=');
    if (equals < 1) throw usageError(`"${text}" is no argument`, 'write --name value or name=value');
    const name = text.slice(0, equals);
    if (name in args) throw usageError(`${name} was given more than once`, 'give it once');
    args[name] = text.slice(equals + 1);
  }
  return args;
}

function listActions(json: boolean): void {
  const list = actions.map((action) => ({
    name: action.name,
    title: action.title,
    danger: action.danger,
    arguments: describeArguments(action.arguments),
  }));
  if (json) {
    printJson({ actions: list });
    return;
  }
  const lines = list.flatMap(({ name, title, arguments: args }) => [
    `${name.padEnd(20)} ${title}`,
    ...args.map((argument) => {
      const choices = argument.choices.length > 0 ? ` (${argument.choices.join(', ')})` : '';
      const initial = argument.byDefault === undefined ? '' : ` [${String(argument.byDefault)}]`;
      const name_ = argument.required ? argument.name : `[${argument.name}]`;
      return `${' '.repeat(21)}--${name_.padEnd(12)} ${argument.description}${choices}${initial}`;
    }),
  ]);
  printText(lines.join('\n'));
}
