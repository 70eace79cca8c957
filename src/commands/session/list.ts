import type { CommandModule } from 'yargs';
import { finish } from '../../../hw/index.ts';
import { printJson, printText } from '../../output.ts';
import { bundledSession, bundledSessionNames } from '../../session/bundled.ts';
import { describeOwner, lockHolder } from '../../session/lock.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { hostName, type IndexedSession, indexedSessions } from '../../session/session-index.ts';
import { lockPath, sessionFolder } from '../../session/store.ts';

interface Listed extends IndexedSession {
  readonly bundled: boolean;
  readonly openIn: string | null;
}

function listed(session: IndexedSession): Listed {
  const held = lockHolder(lockPath(sessionFolder(session.name)));
  return { ...session, bundled: false, openIn: held === undefined ? null : describeOwner(held.owner) };
}

function listedBundled(name: string): Listed {
  const session = bundledSession(name);
  const document = session?.document;
  return {
    name,
    bundled: true,
    title: document?.title ?? name,
    host: document === undefined ? '' : hostName(document),
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
    const own = finish(indexedSessions()).map(listed);
    const names = new Set(own.map((session) => session.name));
    const all = [
      ...own,
      ...bundledSessionNames()
        .filter((name) => !names.has(name))
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
