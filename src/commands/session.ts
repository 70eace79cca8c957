/** `vtdeck session …` */
import type { CommandModule } from 'yargs';
import type { AnyCommand } from './catalogue.ts';
import { bin, empty, recover, remove, restore } from './session/bin.ts';
import { create } from './session/create.ts';
import { diff } from './session/diff.ts';
import { copy, exportOne, importOne, rename, save } from './session/keep.ts';
import { list, show } from './session/list.ts';
import { branch, goTo, note, tag } from './session/mark.ts';
import { verify } from './session/verify.ts';

const command: CommandModule = {
  command: 'session <verb>',
  describe: 'list, show, verify, export … sessions',
  builder: (yargs) => {
    const verbs: AnyCommand[] = [
      list,
      show,
      create,
      save,
      copy,
      rename,
      remove,
      restore,
      bin,
      empty,
      exportOne,
      importOne,
      verify,
      diff,
    ];
    verbs.push(recover, tag, note, branch, goTo);
    for (const verb of verbs) yargs.command(verb);
    return yargs.demandCommand(1, 'say what to do with sessions');
  },
  handler: () => undefined,
};

export default command;
