import type { CommandModule } from 'yargs';
import { printJson, printText } from '../../output.ts';
import { binnedSessions, emptyBin, removeSession, restoreSession } from '../../session/bin.ts';
import { recoverSession } from '../../session/recover.ts';

export const remove: CommandModule<object, { name: string; json?: boolean }> = {
  command: 'remove <name>',
  describe: 'put a session into the bin',
  builder: (yargs) => yargs.positional('name', { type: 'string', demandOption: true }) as never,
  handler: ({ name, json }) => {
    removeSession(name, new Date());
    if (json) printJson({ ok: true, name, inBin: true });
    else printText(`${name} is in the bin; back with: vtdeck session restore ${name}`);
  },
};

export const restore: CommandModule<object, { name: string; as?: string; json?: boolean }> = {
  command: 'restore <name> [as]',
  describe: 'take a session back from the bin',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('as', { type: 'string' }) as never,
  handler: ({ name, as, json }) => {
    restoreSession(name, as ?? name);
    if (json) printJson({ ok: true, name: as ?? name });
    else printText(`${as ?? name} is back`);
  },
};

export const bin: CommandModule<object, { json?: boolean }> = {
  command: 'bin',
  describe: 'what is in the bin',
  handler: ({ json }) => {
    const sessions = binnedSessions();
    if (json) return printJson({ sessions: sessions.map(({ name, removedAt }) => ({ name, removedAt })) });
    printText(
      sessions.length === 0
        ? 'the bin is empty'
        : sessions.map(({ name, removedAt }) => `${name}  ${removedAt}`).join('\n'),
    );
  },
};

export const empty: CommandModule<object, { yes?: boolean; json?: boolean }> = {
  command: 'empty-bin',
  describe: 'remove what is in the bin for good',
  builder: (yargs) =>
    yargs.option('yes', { type: 'boolean', alias: 'y', describe: 'that is meant' }) as never,
  handler: ({ yes, json }) => {
    const removed = emptyBin(yes === true);
    if (json) printJson({ ok: true, removed });
    else printText(`${removed} sessions are gone for good`);
  },
};

export const recover: CommandModule<object, { name: string; json?: boolean }> = {
  command: 'recover <name>',
  describe: 'keep damaged files of a session aside and go on from what is whole',
  builder: (yargs) => yargs.positional('name', { type: 'string', demandOption: true }) as never,
  handler: ({ name, json }) => {
    const said = recoverSession(name, new Date());
    if (json) printJson({ ok: true, name, said });
    else printText(said.join('\n'));
  },
};
