/**
 * `vtdeck run FILE`: a script of actions. One a line, as `do` takes them (`mdev.create parent=… type=…`), blank lines
 * and lines from `#` left out; or a JSON list of `{"action":…,"args":{…}}`. Stops at the first that is refused.
 */
import type { CommandModule } from 'yargs';
import type { ProfileName } from '../../hw/index.ts';
import { ApplicationError, fileError } from '../errors.ts';
import { readInput } from '../input.ts';
import { printJson, printText } from '../output.ts';
import { parseJson } from '../session/document.ts';
import { ensureSession } from '../session/ensure.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { sessionBusy } from '../session/store.ts';
import { sessionOf, sessionOption } from './options.ts';

interface RunArguments {
  file: string;
  session?: string;
  host?: string;
  profile: ProfileName;
  'keep-going'?: boolean;
  json?: boolean;
}

interface Step {
  readonly line: number;
  readonly action: string;
  readonly args: Record<string, unknown>;
}

/** A script beyond this is refused before it is read as one. */
const MAX_SCRIPT_BYTES = 1 << 26;

const command: CommandModule<object, RunArguments> = {
  command: 'run <file>',
  describe: 'run a file of actions on a session',
  builder: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'the script; - reads standard input',
      })
      .option('session', sessionOption)
      .option('host', {
        type: 'string',
        describe: 'begin the session on this host, when there is none of its name',
        requiresArg: true,
      })
      .option('profile', {
        choices: ['5.15', '6.1', '7.2'] as const,
        default: '5.15',
        describe: 'kernel generation of a new session',
      })
      .option('keep-going', { type: 'boolean', describe: 'go on after a refused action' }) as never,
  handler: async (argv) => {
    const text = readInput(argv.file);
    const steps = parseScript(text, argv.file);
    const session = sessionOf(argv);
    await ensureSession(session, argv.host, argv.profile);
    const workspace = openWorkspace({ session, readOnly: false, what: 'run', syncEachAct: false });
    const results: { line: number; action: string; ok: boolean; summary: string }[] = [];
    let failure: ApplicationError | undefined;
    try {
      if (workspace.readOnlyReason !== undefined) throw sessionBusy(session, workspace.readOnlyReason);
      for (const step of steps) {
        const outcome =
          step.action === 'undo' || step.action === 'redo'
            ? workspace[step.action]()
            : workspace.dispatch(step.action, step.args);
        results.push({
          line: step.line,
          action: step.action,
          ok: outcome.ok,
          summary: outcome.ok ? outcome.summary : `${outcome.error.code}: ${outcome.error.message}`,
        });
        if (outcome.ok) continue;
        const { error } = outcome;
        failure ??= new ApplicationError(error.code, error.message, {
          rule: error.rule,
          place: { file: argv.file, line: step.line },
          remedy: error.remedy,
          exitCode: error.exitCode,
        });
        if (!argv['keep-going']) break;
      }
    } finally {
      const heard = workspace.notices.length;
      workspace.close();
      for (const notice of workspace.notices.slice(heard)) process.stderr.write(`vtdeck: ${notice}\n`);
    }
    if (argv.json && failure === undefined) printJson({ ok: true, session, results });
    if (!argv.json)
      printText(results.map((result) => `${result.ok ? 'ok     ' : 'refused'} ${result.summary}`).join('\n'));
    if (failure !== undefined) throw failure;
  },
};

export default command;

function parseScript(text: string, file: string): Step[] {
  if (text.length > MAX_SCRIPT_BYTES) throw fileError('the script is too large', { file });
  return text.trimStart().startsWith('[') ? parseJsonScript(text, file) : parseLines(text, file);
}

function parseJsonScript(text: string, file: string): Step[] {
  const value = parseJson(text, file);
  return (value as unknown[]).map((item, at) => {
    const { action, args } = (typeof item === 'object' && item !== null ? item : {}) as {
      action?: unknown;
      args?: unknown;
    };
    if (typeof action !== 'string') throw fileError(`[${at}].action is missing, or no text`, { file });
    return { line: at + 1, action, args: (args ?? {}) as Record<string, unknown> };
  });
}

function parseLines(text: string, file: string): Step[] {
  const steps: Step[] = [];
  for (const [at, raw] of text.split('\n').entries()) {
    const words = splitWords(raw, file, at + 1);
    if (words.length === 0) continue;
    const args: Record<string, unknown> = {};
    for (const word of words.slice(1)) {
      const equals = word.indexOf('=');
      if (equals < 1) throw fileError(`"${word}" is no argument`, { file, line: at + 1 }, 'write name=value');
      args[word.slice(0, equals).replace(/^--/, '')] = word.slice(equals + 1);
    }
    steps.push({ line: at + 1, action: words[0], args });
  }
  return steps;
}

/** Words of a line; double quotes keep blanks, `#` at the start of a word ends the line. */
function splitWords(line: string, file: string, number: number): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quoted = false;
  for (const character of line) {
    if (character === '"') {
      quoted = !quoted;
      word ??= '';
    } else if (!quoted && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (!quoted && character === '#' && word === undefined) {
      return words;
    } else word = (word ?? '') + character;
  }
  if (quoted) throw fileError('a quotation mark is not closed', { file, line: number });
  if (word !== undefined) words.push(word);
  return words;
}
