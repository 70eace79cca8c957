import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import { safetyError } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { bundledSession } from '../../session/bundled.ts';
import { decodeWholeSession, encodeWholeSession, type WholeSession } from '../../session/document.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { prefer, preference } from '../../session/preferences.ts';
import {
  createSession,
  readSession,
  renameSession,
  sessionBusy,
  sessionExists,
} from '../../session/store.ts';

/** A session of the store or of those bundled. */
function wholeSession(name: string): Pick<WholeSession, 'document' | 'records'> {
  const bundled = sessionExists(name) ? undefined : bundledSession(name);
  if (bundled !== undefined) return bundled;
  const { document, records } = readSession(name);
  return { document, records: [...records] };
}

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
  const { document, records } = wholeSession(name);
  const { origin, title, tags, notes } = document;
  createSession(to, { origin, title: title === name ? to : title, tags, notes, records }, new Date());
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
    const text = encodeWholeSession(wholeSession(name));
    if (file === '-') {
      process.stdout.write(text);
      return;
    }
    if (existsSync(file) && !force)
      throw safetyError(`${file} is there already`, 'say --force to overwrite it');
    const building = `${file}.${randomUUID()}`;
    try {
      writeFileSync(building, text, { mode: 0o600, flag: 'wx' });
      renameSync(building, file);
    } finally {
      rmSync(building, { force: true });
    }
    said(json, `${name} is in ${file} (${Buffer.byteLength(text)} bytes)`, {
      name,
      file,
      bytes: Buffer.byteLength(text),
    });
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
    const session = decodeWholeSession(readFileSync(file === '-' ? 0 : file, 'utf8'), file);
    // Replayed before it is taken in: what does not run is not imported.
    const digest =
      file === '-'
        ? ''
        : openWorkspace({ session: asPath(file), readOnly: true, what: 'import' }).host.digest();
    const as = name ?? nameFor(session.document.title);
    const { origin, title, tags, notes } = session.document;
    createSession(as, { origin, title, tags, notes, records: session.records }, new Date());
    const from =
      session.fromVersion < session.document.version ? `, from format version ${session.fromVersion}` : '';
    said(json, `${file} is now session ${as}${from}`, { name: as, fromVersion: session.fromVersion, digest });
  },
};

function asPath(file: string): string {
  return file.includes('/') ? file : `./${file}`;
}

/** A title as a name of a session. */
function nameFor(title: string): string {
  const plain = title
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|-+$/g, '')
    .replace(/\.{2,}/g, '.');
  return plain.slice(0, 64) || 'imported';
}
