/** `vtdeck completion`: a script for the shell; and what that script asks for candidates. */
import type { CommandModule } from 'yargs';
import { describeArguments } from '../actions/arguments.ts';
import { actionNamed, actions } from '../actions/registry.ts';
import { usageError } from '../errors.ts';
import { printText } from '../output.ts';
import { bundledDemoNames, bundledSessionNames } from '../session/bundled.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { preference } from '../session/preferences.ts';
import { sessionNames } from '../session/store.ts';
import { commands } from './catalogue.ts';

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_vtdeck() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(vtdeck completion --words -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _vtdeck vtdeck`,
  zsh: `#compdef vtdeck
_vtdeck() {
  local -a found
  found=("\${(@f)$(vtdeck completion --words -- "\${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
  compadd -a found || _files
}
compdef _vtdeck vtdeck`,
  fish: `complete -c vtdeck -f -a '(vtdeck completion --words -- (commandline -opc)[2..] 2>/dev/null)'`,
};

const command: CommandModule<
  object,
  { shell: string; words?: boolean; _: (string | number)[]; '--'?: string[] }
> = {
  command: 'completion [shell]',
  describe: 'print a script for shell completion',
  builder: (yargs) =>
    yargs
      .positional('shell', { type: 'string', choices: Object.keys(SCRIPTS), default: 'bash' })
      .option('words', {
        type: 'boolean',
        hidden: true,
        describe: 'candidates for the word after those given',
      })
      .strict(false) as never,
  handler: (argv) => {
    if (!argv.words) {
      const script = SCRIPTS[argv.shell];
      if (script === undefined)
        throw usageError(
          `no completion for "${argv.shell}"`,
          `there are: ${Object.keys(SCRIPTS).join(', ')}`,
        );
      printText(script);
      return;
    }
    const at = process.argv.indexOf('--');
    const found = candidates(at < 0 ? [] : process.argv.slice(at + 1));
    if (found.length > 0) printText(found.join('\n'));
  },
};

export default command;

/** What may come after the words so far. */
function candidates(words: readonly string[]): string[] {
  if (words.length === 0) return commands.map((entry) => entry.name);
  const last = words[words.length - 1];
  if (last === '--session') return sessionsKnown();
  switch (words[0]) {
    case 'open':
      return sessionsKnown();
    case 'session':
      return words.length === 1
        ? [
            'list',
            'show',
            'create',
            'save',
            'copy',
            'rename',
            'remove',
            'restore',
            'bin',
            'empty-bin',
            'export',
            'import',
            'verify',
            'diff',
            'recover',
            'tag',
            'note',
            'branch',
            'go-to',
          ]
        : sessionsKnown();
    case 'demo':
      return words.length === 1 ? ['list', 'play'] : bundledDemoNames();
    case 'do':
      return words.length === 1 ? actions.map((action) => action.name) : argumentsOf(words);
    default:
      return [];
  }
}

function sessionsKnown(): string[] {
  return [...new Set([...sessionNames(), ...bundledSessionNames()])];
}

/** Options of the action named, or values for the option just written, from the host of the session. */
function argumentsOf(words: readonly string[]): string[] {
  const action = actionNamed(words[1]);
  const described = describeArguments(action.arguments);
  const last = words[words.length - 1];
  const argument = described.find((candidate) => `--${candidate.name}` === last);
  if (argument === undefined)
    return ['--session', '--yes', '--dry-run', '--json', ...described.map((one) => `--${one.name}`)];
  if (argument.choices.length > 0) return [...argument.choices];
  if (argument.kind === 'yes-no') return ['true', 'false'];
  const at = words.indexOf('--session');
  const session = at >= 0 ? words[at + 1] : (process.env.VTDECK_SESSION ?? preference('lastSession'));
  if (session === undefined) return [];
  const given: Record<string, string> = {};
  for (let index = 2; index + 1 < words.length; index++) {
    if (words[index].startsWith('--')) given[words[index].slice(2)] = words[index + 1];
  }
  const { host } = openWorkspace({ session, readOnly: true, what: 'completion' });
  return action.candidates?.(host, argument.name as never, given) ?? [];
}
