import type { CommandModule } from 'yargs';
import { usageError } from '../../errors.ts';
import { printJson, printText } from '../../output.ts';
import { openWorkspace } from '../../session/open-workspace.ts';
import { changeDocument, sessionBusy } from '../../session/store.ts';
import type { Outcome } from '../../workspace.ts';

export const tag: CommandModule<object, { name: string; tags: string[]; remove?: boolean; json?: boolean }> =
  {
    command: 'tag <name> [tags..]',
    describe: 'give a session tags (--remove takes them)',
    builder: (yargs) =>
      yargs
        .positional('name', { type: 'string', demandOption: true })
        .positional('tags', { type: 'string', array: true, demandOption: true })
        .option('remove', { type: 'boolean' }) as never,
    handler: ({ name, tags, remove, json }) => {
      for (const text of tags) {
        if (!/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u.test(text))
          throw usageError(`"${text}" can't be a tag`, 'letters, digits, dot, dash');
      }
      const document = changeDocument(name, (old) => ({
        tags: remove
          ? old.tags.filter((text) => !tags.includes(text))
          : [...new Set([...old.tags, ...tags])].slice(0, 64),
      }));
      if (json) printJson({ ok: true, name, tags: document.tags });
      else printText(`${name}: ${document.tags.length === 0 ? 'no tags' : document.tags.join(', ')}`);
    },
  };

export const note: CommandModule<object, { name: string; text: string; json?: boolean }> = {
  command: 'note <name> <text>',
  describe: 'write the notes of a session (an empty text clears them)',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('text', { type: 'string', demandOption: true }) as never,
  handler: ({ name, text, json }) => {
    if (text.length > 65536) throw usageError('the notes are longer than 65536 characters');
    changeDocument(name, () => ({ notes: text }));
    if (json) printJson({ ok: true, name, notes: text });
    else printText(`${name}: noted`);
  },
};

export const branch: CommandModule<object, { name: string; to?: string; json?: boolean }> = {
  command: 'branch <name> [to]',
  describe: 'list the branches of a session, or go to one',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('to', { type: 'string' }) as never,
  handler: ({ name, to, json }) => {
    if (to !== undefined) return moved(name, json, (workspace) => workspace.switchBranch(to));
    const { branches } = openWorkspace({ session: name, readOnly: true, what: 'session branch' });
    if (json) return printJson({ branches });
    printText(
      branches.map(({ name, acts, current }) => `${current ? '*' : ' '} ${name}  ${acts} acts`).join('\n'),
    );
  },
};

export const goTo: CommandModule<object, { name: string; act: string; json?: boolean }> = {
  command: 'go-to <name> <act>',
  describe: 'undo or redo to an act (0: before the first)',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true })
      .positional('act', { type: 'string', demandOption: true }) as never,
  handler: ({ name, act, json }) => {
    if (!/^\d{1,9}$/.test(act))
      throw usageError(`"${act}" is no number of an act`, 'vtdeck session show lists them');
    moved(name, json, (workspace) => workspace.goTo(Number(act)));
  },
};

function moved(
  name: string,
  json: boolean | undefined,
  move: (workspace: ReturnType<typeof openWorkspace>) => Outcome,
): void {
  const workspace = openWorkspace({ session: name, readOnly: false, what: 'session move' });
  try {
    if (workspace.readOnlyReason !== undefined) throw sessionBusy(name, workspace.readOnlyReason);
    const outcome = move(workspace);
    if (!outcome.ok) throw outcome.error;
    if (json) printJson({ ok: true, name, summary: outcome.summary, branches: workspace.branches });
    else printText(outcome.summary);
  } finally {
    workspace.close();
  }
}
