import type { CommandModule } from 'yargs';
import { finish } from '../../../hw/index.ts';
import { printJson, printText, writeAll } from '../../output.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { prefer, preference } from '../../session/preferences.ts';
import { renameSession, sessionBusy } from '../../session/store.ts';
import { copySession, exportSession, importSession, sessionText } from '../../session/whole.ts';

function said(json: boolean | undefined, text: string, value: Record<string, unknown>): void {
  if (json) printJson({ ok: true, ...value });
  else printText(text);
}

export const save: CommandModule<object, { name: string; to?: string; json?: boolean }> = {
  command: 'save <name> [to]',
  describe: 'write the snapshot of a session; with a second name: save as',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('to', { type: 'string' }) as never,
  handler: ({ name, to, json }) => {
    if (to !== undefined) return copyTo(name, to, json);
    const workspace = openWorkspace({ session: name, readOnly: false, what: 'session save' });
    try {
      if (workspace.readOnlyReason !== undefined) throw sessionBusy(name, workspace.readOnlyReason);
      const outcome = workspace.save();
      if (!outcome.ok) throw outcome.error;
      said(json, outcome.summary, { name });
    } finally {
      workspace.close();
    }
  },
};

export const copy: CommandModule<object, { name: string; to: string; json?: boolean }> = {
  command: 'copy <name> <to>',
  describe: 'a second session with the same acts',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('to', { type: 'string', demandOption: true }) as never,
  handler: ({ name, to, json }) => copyTo(name, to, json),
};

function copyTo(name: string, to: string, json: boolean | undefined): void {
  copySession(name, to, new Date());
  said(json, `${to} is a copy of ${name}`, { name: to, copyOf: name });
}

export const rename: CommandModule<object, { name: string; to: string; json?: boolean }> = {
  command: 'rename <name> <to>',
  describe: 'give a session another name',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('to', { type: 'string', demandOption: true }) as never,
  handler: ({ name, to, json }) => {
    renameSession(name, to);
    if (preference('lastSession') === name) prefer('lastSession', to);
    said(json, `${name} is now ${to}`, { name: to, was: name });
  },
};

export const exportOne: CommandModule<
  object,
  { name: string; file: string; force?: boolean; json?: boolean }
> = {
  command: 'export <name> <file>',
  describe: 'write a session to one file (- writes to standard output)',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('file', { type: 'string', demandOption: true })
      .option('force', { type: 'boolean', describe: 'overwrite the file' }) as never,
  handler: ({ name, file, force, json }) => {
    if (file === '-') {
      writeAll(1, sessionText(name));
      return;
    }
    const bytes = exportSession(name, file, force === true);
    said(json, `${name} is in ${file} (${bytes} bytes)`, { name, file, bytes });
  },
};

export const importOne: CommandModule<object, { file: string; name?: string; json?: boolean }> = {
  command: 'import <file> [name]',
  describe: 'bring an exported session in',
  builder: (yargs) =>
    yargs
      .positional('file', { type: 'string', demandOption: true })
      .positional('name', { type: 'string' }) as never,
  handler: ({ file, name, json }) => {
    const { name: as, fromVersion, version, digest } = finish(importSession(file, name, new Date()));
    const from = fromVersion < version ? `, from format version ${fromVersion}` : '';
    said(json, `${file} is now session ${as}${from}`, { name: as, fromVersion, digest });
  },
};
