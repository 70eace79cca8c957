/**
 * The command line: finds the command asked for, loads it and nothing else, and turns whatever goes wrong into text or
 * JSON and one of the exit codes.
 */
import type { Argv } from 'yargs';
import { commands } from './commands/catalogue.ts';
import { ExitCode, errorToJson, formatError, toApplicationError, usageError } from './errors.ts';
import { printError, printJson } from './output.ts';
import { programVersion } from './version.ts';

/** Options that every command takes. */
const GLOBAL_OPTIONS = {
  json: { type: 'boolean', describe: 'print one JSON document, errors included', global: true },
  home: {
    type: 'string',
    describe: 'folder of sessions and preferences (else VTDECK_HOME, else XDG)',
    requiresArg: true,
    global: true,
  },
} as const;

/** Global options that take a value as the next word. */
const VALUED = new Set(['--home']);

/** yargs takes a lone dash for an option without a name; it passes as a word that nobody can type. */
const DASH = '\u0000-';

/** What is wrong with a command line, in this program's words. */
const WORDING = {
  'Not enough non-option arguments: got %s, need at least %s': {
    one: '%s argument given, at least %s needed',
    other: '%s arguments given, at least %s needed',
  },
  'Unknown argument: %s': { one: 'there is no "%s" here', other: 'these are not known here: %s' },
  'Unknown command: %s': { one: 'there is no "%s" here', other: 'these are not known here: %s' },
  'Did you mean %s?': 'there is no such command here; did you mean %s?',
  'Missing required argument: %s': { one: '--%s is missing', other: 'these options are missing: %s' },
  'Not enough arguments following: %s': '--%s needs a value',
  'Arguments %s and %s are mutually exclusive': '--%s and --%s exclude each other',
  'Argument: %s, Given: %s, Choices: %s': '%s: %s is none of %s',
};

/** Runs one command line and returns the exit code. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const json = wantsJson(words);
  try {
    if (words.length === 0) await (await import('./commands/open.ts')).openLast();
    else await parserFor(words).then((parser) => parser.parseAsync());
    return Number(process.exitCode ?? ExitCode.done);
  } catch (thrown) {
    const error = toApplicationError(thrown);
    if (json) printJson(errorToJson(error));
    else printError(formatError(error));
    if (process.env.VTDECK_TRACE === '1' && thrown instanceof Error) printError(thrown.stack ?? '');
    return error.exitCode;
  }
}

async function parserFor(words: readonly string[]): Promise<Argv> {
  const { default: yargs } = await import('yargs');
  const wanted = firstWord(words);
  const end = words.indexOf('--');
  if (wanted === undefined && end >= 0 && end + 1 < words.length)
    throw usageError(
      `there is no command before "--"`,
      `leave it out: vtdeck ${words.slice(end + 1).join(' ')}`,
    );
  const parser = yargs(words.map((word) => (word === '-' ? DASH : word)))
    .scriptName('vtdeck')
    .usage(
      '$0 [command]\n\nA console for device assignment over an emulated host. Without a command it opens the console.',
    )
    .locale('en')
    .updateStrings(WORDING as never)
    .version(programVersion())
    .help()
    .alias('h', 'help')
    .options(GLOBAL_OPTIONS)
    .middleware(
      ((argv: Record<string, unknown>, current: { getOptions(): { array: string[] } }) => {
        readAgain(argv, current.getOptions().array);
        if (typeof argv.home === 'string') process.env.VTDECK_HOME = argv.home;
      }) as never,
      true,
    )
    .parserConfiguration({
      'parse-numbers': false,
      'camel-case-expansion': false,
      'parse-positional-numbers': false,
    })
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .strict()
    .recommendCommands()
    .epilogue('Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 refused for safety, 4 differs.')
    .exitProcess(false)
    .fail((message, thrown) => {
      if (thrown !== undefined && thrown.name !== 'YError') throw thrown;
      const said = (message ?? thrown.message).replace(/\s+/g, ' ').replace('Invalid values: ', '').trim();
      throw usageError(said, wanted === undefined ? 'vtdeck --help' : `vtdeck ${wanted} --help`);
    });
  const entry = commands.find((command) => command.name === wanted);
  if (entry !== undefined) return parser.command((await entry.load()).default);
  if (wanted !== undefined) {
    const near = commands.map((command) => command.name).filter((name) => similar(name, wanted));
    throw usageError(
      `there is no command "${wanted}"`,
      `${near.length > 0 ? `did you mean ${near.join(' or ')}? ` : ''}vtdeck --help lists all`,
    );
  }
  if (words.some((word) => ['--help', '-h', '--version'].includes(word))) {
    for (const command of commands) parser.command(command.name, command.summary);
    return parser;
  }
  const open = commands.find((command) => command.name === 'open');
  if (open === undefined) return parser;
  const module = (await open.load()).default;
  return parser.command({ ...module, command: ['$0'], builder: module.builder });
}

/** Gives lone dashes back, and refuses an option that is no list and was given more than once. */
function readAgain(argv: Record<string, unknown>, lists: readonly string[]): void {
  const undashed = (value: unknown): unknown => (value === DASH ? '-' : value);
  for (const [name, value] of Object.entries(argv)) {
    if (!Array.isArray(value)) argv[name] = undashed(value);
    else if (['_', '--'].includes(name) || lists.includes(name)) argv[name] = value.map(undashed);
    else throw usageError(`--${name} was given more than once`, 'give it once');
  }
}

/** The first word that is no option: the name of the command. */
function firstWord(words: readonly string[]): string | undefined {
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word === '--') return undefined;
    if (!word.startsWith('-')) return word;
    if (VALUED.has(word)) at += 1;
    else if (!['--json', '--no-json'].includes(word) && !word.startsWith('--home=')) return undefined;
  }
  return undefined;
}

function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  const considered = end < 0 ? words : words.slice(0, end);
  return considered.some((word) => word === '--json' || word === '--json=true');
}

/** At most two letters wrong, missing or added, or one the beginning of the other. */
function similar(a: string, b: string): boolean {
  if (a.startsWith(b) || b.startsWith(a)) return true;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length && a.length < 40; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] <= 2;
}
