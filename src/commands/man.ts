/** `vtdeck man`: the manual page, made from the definitions of the commands. */
import yargs, { type CommandModule } from 'yargs';
import { printText } from '../output.ts';
import { programVersion } from '../version.ts';
import { type AnyCommand, commands } from './catalogue.ts';

const command: CommandModule<object, object> = {
  command: 'man',
  describe: 'print the manual page (roff): vtdeck man | man -l -',
  handler: async () => printText(await manualPage()),
};

export default command;

/** The page in the man macros: a section a command, with its own help as it is on the terminal. */
async function manualPage(): Promise<string> {
  const lines = [
    `.TH VTDECK 1 "" "vtdeck ${programVersion()}"`,
    '.SH NAME',
    'vtdeck \\- a console for device assignment over an emulated PCI, VT\\-d and VFIO host',
    '.SH SYNOPSIS',
    '.B vtdeck',
    '[command] [options]',
    '.SH DESCRIPTION',
    'Without a command the console opens. Every view and every act of it has a command of its own; with \\-\\-json each prints one document.',
    '.SH COMMANDS',
  ];
  for (const entry of commands) {
    const help = await helpOf(entry.name, (await entry.load()).default);
    lines.push(
      `.SS "vtdeck ${roff(entry.name)}"`,
      roff(entry.summary),
      '.PP',
      '.nf',
      ...roff(help).split('\n'),
      '.fi',
    );
  }
  lines.push(
    '.SH EXIT STATUS',
    '0 done, 1 failed, 2 wrong usage or input, 3 refused for safety, 4 differs.',
    '.SH ENVIRONMENT',
    '.B VTDECK_HOME',
    'folder of sessions and preferences;',
    '.B NO_COLOR',
    'no colours;',
    '.B VTDECK_SHARED',
    'where tests look for captures.',
  );
  return lines.join('\n');
}

/** What the command's own --help prints. A parse with a callback hands it over in place of printing it. */
function helpOf(name: string, module: AnyCommand): Promise<string> {
  return new Promise((resolve) => {
    void yargs([])
      .scriptName('vtdeck')
      .command(module)
      .locale('en')
      .version(false)
      .wrap(78)
      .exitProcess(false)
      .parse([name, '--help'], {}, (_error, _argv, output) => resolve(output));
  });
}

/** Backslashes, dashes, and lines that would begin with a request. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');
}
