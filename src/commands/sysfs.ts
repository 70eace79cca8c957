/** `vtdeck sysfs list|read|write PATH`: the emulated machine's /sys, as ls, cat and echo see it. */
import type { CommandModule } from 'yargs';
import { safetyError, usageError } from '../errors.ts';
import { printJson, printText } from '../output.ts';
import { openWorkspace } from '../session/open-workspace.ts';
import { sessionBusy } from '../session/store.ts';
import type { AnyCommand } from './catalogue.ts';
import { sessionOf, sessionOption } from './options.ts';

interface SysfsArguments {
  session?: string;
  path?: string;
  data?: string;
  yes?: boolean;
  json?: boolean;
}

/** `/sys` in front may be left out. */
function fullPath(text: string | undefined): string {
  const path = text === undefined || text === '' ? '/sys' : text;
  if (path.startsWith('/')) return path;
  return `/sys/${path}`;
}

const list: CommandModule<object, SysfsArguments> = {
  command: ['list [path]', 'ls [path]'],
  describe: 'what a directory holds',
  builder: (yargs) =>
    yargs.positional('path', { type: 'string', describe: 'directory; /sys when left out' }) as never,
  handler(argv) {
    const path = fullPath(argv.path);
    const workspace = openWorkspace({ session: sessionOf(argv), readOnly: true, what: 'sysfs list' });
    const entries = workspace.host.listSysfs(path);
    if (argv.json === true) {
      printJson({ path, entries });
      return;
    }
    printText(
      entries
        .map(({ name, kind, target, readable, writable }) => {
          if (kind === 'directory') return `${name}/`;
          if (kind === 'link') return `${name} -> ${target}`;
          return `${name}${readable ? '' : '  (write-only)'}${readable && writable ? '  (writable)' : ''}`;
        })
        .join('\n'),
    );
  },
};

const read: CommandModule<object, SysfsArguments> = {
  command: ['read <path>', 'cat <path>'],
  describe: 'content of a file',
  builder: (yargs) => yargs.positional('path', { type: 'string', describe: 'file' }) as never,
  handler(argv) {
    const path = fullPath(argv.path);
    const workspace = openWorkspace({ session: sessionOf(argv), readOnly: true, what: 'sysfs read' });
    const text = workspace.host.readSysfs(path);
    if (argv.json === true) printJson({ path, text });
    else printText(text.endsWith('\n') ? text.slice(0, -1) : text);
  },
};

const write: CommandModule<object, SysfsArguments> = {
  command: 'write <path> <data>',
  describe: 'write to a file; an act of the session',
  builder: (yargs) =>
    yargs
      .positional('path', { type: 'string', describe: 'file' })
      .positional('data', { type: 'string', describe: 'what is written' })
      .option('yes', {
        type: 'boolean',
        alias: 'y',
        describe: 'go on with what it takes and loses',
      }) as never,
  handler(argv) {
    if (argv.data === undefined) throw usageError('nothing to write', 'vtdeck sysfs write PATH DATA');
    const session = sessionOf(argv);
    const args = { path: fullPath(argv.path), data: String(argv.data) };
    const workspace = openWorkspace({ session, readOnly: false, what: 'sysfs write' });
    try {
      if (workspace.readOnlyReason !== undefined) throw sessionBusy(session, workspace.readOnlyReason);
      const { consequences } = workspace.prepare('sysfs.write', args);
      if (consequences.length > 0 && argv.yes !== true)
        throw safetyError(consequences.join('; '), 'say --yes if that is meant');
      const outcome = workspace.dispatch('sysfs.write', args);
      if (!outcome.ok) throw outcome.error;
      if (argv.json === true) printJson({ ok: true, ...args, written: args.data.length });
      else printText(outcome.summary);
    } finally {
      workspace.close();
    }
  },
};

const verbs: AnyCommand[] = [list, read, write];

const sysfs: CommandModule = {
  command: 'sysfs <verb>',
  describe: "browse and write the emulated machine's sysfs",
  builder: (yargs) => {
    yargs.option('session', sessionOption);
    for (const verb of verbs) yargs.command(verb);
    return yargs.demandCommand(1, 'list, read or write');
  },
  handler: () => undefined,
};

export default sysfs;
