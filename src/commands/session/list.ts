import type { CommandModule } from 'yargs';
import { formatError, toApplicationError } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { bundledSession, bundledSessionNames } from '../../session/bundled.ts';
import type { SessionDocument } from '../../session/document.ts';
import { describeOwner, lockHolder } from '../../session/lock.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { lockPath, readSession, sessionFolder, sessionNames } from '../../session/store.ts';

interface Listed {
  name: string;
  bundled: boolean;
  title: string;
  host: string;
  profile: string;
  acts: number;
  savedAt: string | null;
  tags: readonly string[];
  openIn: string | null;
  problem: string | null;
}

function hostOf(document: SessionDocument): string {
  const { host } = document.origin;
  return 'builtin' in host ? String(host.builtin) : String(host.name);
}

function listed(name: string): Listed {
  try {
    const { document, records } = readSession(name);
    const held = lockHolder(lockPath(sessionFolder(name)));
    return {
      name,
      bundled: false,
      title: document.title,
      host: hostOf(document),
      profile: document.origin.profile,
      acts: records.filter((record) => record.kind === 'act').length,
      savedAt: document.savedAt,
      tags: document.tags,
      openIn: held === undefined ? null : describeOwner(held.owner),
      problem: null,
    };
  } catch (thrown) {
    const problem = formatError(toApplicationError(thrown))
      .split('\n')[0]
      .replace(/^vtdeck: /, '');
    const unknown = { title: '', host: '', profile: '', acts: 0, savedAt: null, tags: [], openIn: null };
    return { name, bundled: false, ...unknown, problem };
  }
}

function listedBundled(name: string): Listed {
  const session = bundledSession(name);
  const document = session?.document;
  return {
    name,
    bundled: true,
    title: document?.title ?? name,
    host: document === undefined ? '' : hostOf(document),
    profile: document?.origin.profile ?? '',
    acts: session?.records.filter((record) => record.kind === 'act').length ?? 0,
    savedAt: null,
    tags: document?.tags ?? [],
    openIn: null,
    problem: null,
  };
}

export const list: CommandModule<object, { json?: boolean; tag?: string }> = {
  command: 'list',
  describe: 'all sessions, yours and those that come with vtdeck',
  builder: (yargs) =>
    yargs.option('tag', { type: 'string', describe: 'only those with this tag', requiresArg: true }) as never,
  handler: ({ json, tag }) => {
    const own = sessionNames();
    const all = [
      ...own.map(listed),
      ...bundledSessionNames()
        .filter((name) => !own.includes(name))
        .map(listedBundled),
    ];
    const shown = tag === undefined ? all : all.filter((session) => session.tags.includes(tag));
    if (json) return printJson({ sessions: shown });
    if (shown.length === 0) return printText('no sessions yet; vtdeck opens one');
    const width = Math.max(...shown.map((session) => session.name.length));
    for (const session of shown) {
      const acts = `${session.acts} ${session.acts === 1 ? 'act' : 'acts'}`;
      const about =
        session.problem ??
        `${session.host}, ${session.profile}, ${acts}${session.title === session.name ? '' : `: ${session.title}`}`;
      const marks = [
        session.bundled ? 'bundled' : '',
        session.openIn === null ? '' : `open in ${session.openIn}`,
        ...session.tags,
      ];
      const mark = marks.filter((text) => text !== '').join(', ');
      printText(
        `${session.name.padEnd(width)}  ${session.problem === null ? '' : '! '}${about}${mark === '' ? '' : ` [${mark}]`}`,
      );
    }
  },
};

export const show: CommandModule<object, { name: string; json?: boolean }> = {
  command: 'show <name>',
  describe: 'one session: its host, its acts, its branches',
  builder: (yargs) => yargs.positional('name', { type: 'string', demandOption: true }) as never,
  handler: ({ name, json }) => {
    const workspace = openWorkspace({ session: name, readOnly: true, what: 'session show' });
    const { journal, redoable, branches, profile, host } = workspace;
    const document = workspace.document;
    if (json) {
      return printJson({
        name,
        title: document?.title ?? name,
        host: host.description.name,
        profile,
        tags: document?.tags ?? [],
        notes: document?.notes ?? '',
        savedAt: document?.savedAt ?? null,
        digest: host.digest(),
        acts: journal,
        redoable,
        branches,
      });
    }
    printText(`${name}: ${document?.title ?? name}`);
    printText(`  host ${host.description.name} (${host.description.origin}), kernel ${profile}`);
    if (document !== undefined && document.tags.length > 0) printText(`  tags ${document.tags.join(', ')}`);
    if (document !== undefined && document.notes !== '')
      printText(`  ${document.notes.replaceAll('\n', '\n  ')}`);
    for (const entry of workspace.commandLog)
      printText(`  ${String(entry.id).padStart(5)}  ${entry.summary}`);
    if (redoable.length > 0)
      printText(`  undone: ${redoable.map((entry) => `${entry.id} ${entry.action}`).join(', ')}`);
    if (branches.length > 1) {
      printText(
        `  branches: ${branches.map((branch) => `${branch.current ? '*' : ''}${branch.name} (${branch.acts})`).join(', ')}`,
      );
    }
    printText(`  digest ${host.digest()}`);
  },
};
