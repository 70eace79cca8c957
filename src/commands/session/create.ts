import type { CommandModule } from 'yargs';
import type { ProfileName } from '../../../hw/index.ts';
import { printJson, printText } from '../../output.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { originOf } from '../../session/origin.ts';
import { prefer } from '../../session/preferences.ts';
import { createSession } from '../../session/store.ts';

interface CreateArguments {
  name: string;
  host?: string;
  profile: ProfileName;
  json?: boolean;
}

export const create: CommandModule<object, CreateArguments> = {
  command: 'create <name>',
  describe: 'a new session on a host',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .option('host', {
        type: 'string',
        describe: 'folder or file of a capture, or name of a host (else the built-in server)',
        requiresArg: true,
      })
      .option('profile', {
        choices: ['5.15', '6.1', '7.2'] as const,
        default: '5.15',
        describe: 'kernel generation',
      }) as never,
  handler: async ({ name, host, profile, json }) => {
    const origin = await originOf(host, profile);
    createSession(name, { origin }, new Date());
    const workspace = openWorkspace({ session: name, readOnly: false, what: 'session create' });
    const digest = workspace.host.digest();
    // The digest before the first act is recorded: from then on a replay is held against it.
    workspace.save();
    workspace.close();
    prefer('lastSession', name);
    if (json) printJson({ ok: true, name, host: workspace.host.description.name, profile, digest });
    else printText(`${name}: ${workspace.host.description.name}, kernel ${profile}`);
  },
};
