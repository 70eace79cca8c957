/** The keys of the screen of sessions and demos. */
import type { Command } from '../keymap.ts';
import {
  copySession,
  exportSession,
  importSession,
  newSession,
  openSession,
  playDemo,
  removeSession,
  renameSession,
  restoreSession,
  restoreTime,
  switchBranch,
  travelToAct,
  verifySession,
} from './sessions.ts';

/** A command for rows of this screen that stand for one kind of thing; without a kind for all rows. */
const onShelf = (
  command: Omit<Command, 'screens' | 'subjects'>,
  ...subjects: readonly ('session' | 'demo' | 'act')[]
): Command => ({
  ...command,
  changes: true,
  screens: ['sessions'],
  ...(subjects.length === 0 ? {} : { subjects }),
});

export const shelfCommands: readonly Command[] = [
  onShelf(
    { id: 'session.open', keys: ['Enter'], title: 'open the session', hint: 'open', run: openSession },
    'session',
  ),
  onShelf({ id: 'demo.play', keys: ['Enter'], title: 'play the demo', hint: 'play', run: playDemo }, 'demo'),
  onShelf(
    {
      id: 'session.travel',
      keys: ['Enter'],
      title: 'show the host as of this act',
      hint: 'as of then',
      run: travelToAct,
    },
    'act',
  ),
  onShelf({ id: 'session.new', keys: ['n'], title: 'new session', hint: 'new', run: newSession }),
  onShelf(
    { id: 'session.copy', keys: ['c'], title: 'copy the session', hint: 'copy', run: copySession },
    'session',
  ),
  onShelf(
    { id: 'session.rename', keys: ['r'], title: 'rename the session', hint: 'rename', run: renameSession },
    'session',
  ),
  onShelf(
    {
      id: 'session.remove',
      keys: ['D', 'Delete'],
      title: 'move the session to the bin',
      hint: 'remove',
      run: removeSession,
    },
    'session',
  ),
  onShelf({
    id: 'session.restore',
    keys: ['u'],
    title: 'take a session back from the bin',
    run: restoreSession,
  }),
  onShelf(
    {
      id: 'session.export',
      keys: ['e'],
      title: 'write the session to a file',
      hint: 'to file',
      run: exportSession,
    },
    'session',
  ),
  onShelf({
    id: 'session.import',
    keys: ['i'],
    title: 'bring a session in from a file',
    hint: 'from file',
    run: importSession,
  }),
  onShelf(
    {
      id: 'session.verify',
      keys: ['V'],
      title: 'replay the session and hold it against its digests',
      run: verifySession,
    },
    'session',
  ),
  onShelf({
    id: 'session.branch',
    keys: ['b'],
    title: 'go on with another branch of the journal',
    run: switchBranch,
  }),
  onShelf({ id: 'session.now', keys: ['.'], title: 'come back from a past act to now', run: restoreTime }),
];
