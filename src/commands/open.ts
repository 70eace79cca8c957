/** `vtdeck [open NAME|FILE]`: the console; without a terminal, the bundled tour to its end. */
import { existsSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import type { ProfileName } from '../../hw/index.ts';
import type { Mount } from '../demo/player.ts';
import { safetyError, usageError } from '../errors.ts';
import { printError } from '../output.ts';
import { type Follow, launch } from '../session/launch.ts';
import { prefer, preference } from '../session/preferences.ts';
import { Shelf } from '../session/shelf.ts';
import { follow } from '../terminal/follow.ts';

interface OpenArguments {
  session?: string;
  host?: string;
  profile: ProfileName;
  'read-only'?: boolean;
  ascii?: boolean;
  color?: boolean;
  'screen-reader'?: boolean;
  mouse?: boolean;
  record?: string;
  json?: boolean;
}

/** The kernel generation of a new session, unless another is asked for. */
const DEFAULT_PROFILE: ProfileName = '5.15';

const command: CommandModule<object, OpenArguments> = {
  command: 'open [session]',
  describe: 'open the console on a session',
  builder: (yargs) =>
    yargs
      .positional('session', {
        type: 'string',
        describe: 'name of a session, or the file of an exported one',
      })
      .option('host', { type: 'string', describe: 'begin a new session on this host', requiresArg: true })
      .option('profile', {
        choices: ['5.15', '6.1', '7.2'] as const,
        default: DEFAULT_PROFILE,
        describe: 'kernel generation of a new session',
      })
      .option('read-only', { type: 'boolean', describe: 'look, and change nothing' })
      .option('ascii', { type: 'boolean', describe: 'draw with ASCII characters only' })
      .option('color', {
        type: 'boolean',
        default: true,
        describe: 'colours (--no-color, or NO_COLOR: none)',
      })
      .option('screen-reader', { type: 'boolean', describe: 'text that reads well aloud' })
      .option('mouse', { type: 'boolean', describe: 'take mouse clicks and the wheel' })
      .option('record', {
        type: 'string',
        describe: 'write what is typed to this tape',
        requiresArg: true,
      }) as never,
  handler: open,
};

export default command;

/** `vtdeck` alone, the way most starts go: without the parser for a command line that is empty. */
export async function openLast(): Promise<void> {
  await open({ profile: DEFAULT_PROFILE });
}

async function open(argv: OpenArguments): Promise<void> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) {
    if (argv.session !== undefined || argv.host !== undefined) {
      throw usageError(
        'the console needs a terminal',
        'without one: vtdeck session show, vtdeck do, vtdeck demo play',
      );
    }
    const { playTour } = await import('./demo.ts');
    await playTour(argv.json === true);
    return;
  }
  await openInTerminal(argv);
}

async function openInTerminal(argv: OpenArguments): Promise<void> {
  const shelf = new Shelf({ now: Date.now, readOnly: argv['read-only'] === true });
  try {
    const following: Follow = (work, what) =>
      follow(work, {
        what,
        once: argv['screen-reader'] === true,
        write: (text) => process.stdout.write(text),
      });
    const workspace = await launch(requestOf(argv, Date.now), shelf, following);
    const { openConsole } = await import('../../views/App.tsx');
    const recorder =
      argv.record === undefined ? undefined : await startRecording(argv.record, shelf, workspace.sessionName);
    try {
      await openConsole(workspace, {
        ...appearance(argv),
        input: recorder?.input(process.stdin) ?? process.stdin,
        output: process.stdout,
        sessions: shelf,
        colourDepth: process.stdout.getColorDepth?.() as 1 | 4 | 8 | 24 | undefined,
        program: [process.execPath, ...process.execArgv, process.argv[1]],
        signals: true,
        preferences: preference('console'),
        prefer: (change) => prefer('console', { ...preference('console'), ...change }),
      });
    } finally {
      recorder?.finish();
    }
    const last = shelf.latest ?? workspace;
    await following(last.inSteps.close(), `saving ${last.sessionName}`);
    workspace.close();
  } finally {
    for (const notice of shelf.close()) printError(`vtdeck: ${notice}`);
  }
}

async function startRecording(
  path: string,
  shelf: Shelf,
  session: string,
): Promise<import('../demo/recorder.ts').Recorder> {
  if (existsSync(path)) throw safetyError(`${path} is there already`, 'remove it, or record to another file');
  const { Recorder } = await import('../demo/recorder.ts');
  const { columns = 80, rows = 24 } = process.stdout;
  const header = [
    `# Recorded by vtdeck on session ${session}; it plays on a copy of it with:`,
    `# vtdeck demo play ${path} --session ${session}`,
    `#: Set Columns ${columns}`,
    `#: Set Rows ${rows}`,
  ];
  const acts = (): number => (shelf.latest === undefined ? 0 : shelf.latest.journal.length);
  const recorder = new Recorder(path, header, acts);
  recorder.finish(); // a path that can't be written shows before anything is typed
  return recorder;
}

function requestOf(argv: OpenArguments, now: () => number): Parameters<typeof launch>[0] {
  const { session, host, profile } = argv;
  return { session, host, profile, readOnly: argv['read-only'] === true, now };
}

function appearance(argv: OpenArguments): {
  ascii: boolean;
  noColor: boolean;
  screenReader: boolean;
  mouse?: boolean;
} {
  const { NO_COLOR } = process.env;
  return {
    ascii: argv.ascii === true,
    noColor: argv.color === false || (NO_COLOR !== undefined && NO_COLOR !== ''),
    screenReader: argv['screen-reader'] === true,
    ...(argv.mouse === undefined ? {} : { mouse: argv.mouse }),
  };
}

/** For players: the console on a stage of theirs, with sessions of the current home. */
export function mountWith(now: () => number, uuid: () => string): Mount {
  return async (words, { input, output, clock }) => {
    const { default: yargs } = await import('yargs');
    const argv = (await yargs([...words])
      .command({ ...command, command: ['$0', 'open'], handler: () => undefined })
      .positional('session', { type: 'string' })
      .parserConfiguration({ 'parse-numbers': false, 'camel-case-expansion': false })
      .exitProcess(false)
      .fail((message) => {
        throw usageError(message);
      })
      .parseAsync()) as unknown as OpenArguments & { _: string[] };
    const session = argv.session ?? argv._.find((word) => word !== 'open');
    const shelf = new Shelf({ now, chance: { uuid }, readOnly: argv['read-only'] === true });
    const first = await launch(requestOf({ ...argv, session }, now), shelf);
    const { openConsole } = await import('../../views/App.tsx');
    const finished = openConsole(first, {
      ...appearance(argv),
      input,
      output,
      clock,
      sessions: shelf,
    }).finally(() => {
      first.close();
      shelf.close();
    });
    return {
      finished,
      state: () => stateOf(shelf.latest ?? first),
    };
  };
}

/** The session in words, for `Wait+State` and `Expect+State`. */
function stateOf(workspace: import('../workspace.ts').Workspace): string {
  const { sessionName, journal, redoable, branches, readOnly, unsavedActs, travellingAt, host } = workspace;
  const machines = host.machineStates();
  return [
    `session=${sessionName}`,
    `acts=${journal.length}`,
    `undone=${redoable.length}`,
    `branch=${branches.find((branch) => branch.current)?.name ?? ''}`,
    `unsaved=${unsavedActs}`,
    `readonly=${readOnly}`,
    `travelling=${travellingAt ?? 'no'}`,
    `mdevs=${host.mdevs().length}`,
    `machines=${machines.length}`,
    `running=${machines.filter((machine) => machine.state === 'running').length}`,
    `assigned=${machines.reduce((sum, machine) => sum + machine.devices.length, 0)}`,
    `faults=${host.events().filter((event) => event.kind === 'fault').length}`,
  ].join(' ');
}
