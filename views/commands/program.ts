/** What concerns the program and the session rather than a row. */

import type { Command } from '../keymap.ts';
import { openHelp, openTour } from './guides.ts';
import { openPalette } from './palette.ts';
import { exportText } from './sessions.ts';
import {
  copyDetail,
  copyName,
  nextTheme,
  pageDetail,
  redo,
  redraw,
  save,
  saveScreen,
  suspend,
  toggleMouse,
  toggleRaw,
  undo,
} from './tools.ts';

export const programCommands: readonly Command[] = [
  {
    id: 'palette',
    keys: [':'],
    title: 'command palette: every action by its name',
    hint: 'command',
    run: (console) => openPalette(console),
  },
  {
    id: 'help',
    keys: ['?', 'F1'],
    title: 'help, made from the keys as they are now',
    hint: 'help',
    run: openHelp,
  },
  { id: 'tour', keys: ['F2'], title: 'the guided tour', run: openTour },
  { id: 'undo', changes: true, keys: ['z'], title: 'undo the last act', hint: 'undo', run: undo },
  { id: 'redo', changes: true, keys: ['Z'], title: 'redo what was undone', run: redo },
  { id: 'raw', keys: ['y'], title: 'raw bytes or decoded fields', run: toggleRaw },
  {
    id: 'copy',
    keys: ['Y'],
    title: 'copy the name under the cursor (OSC 52)',
    run: copyName,
  },
  {
    id: 'copy.row',
    keys: ['Ctrl-y'],
    title: 'copy the details as text (OSC 52)',
    run: copyDetail,
  },
  { id: 'pager', keys: ['P'], title: 'the details in $PAGER', run: pageDetail },
  {
    id: 'picture',
    keys: ['Ctrl-s'],
    title: 'save the screen as text and SVG',
    run: saveScreen,
  },
  { id: 'export', keys: ['e'], title: 'export for libvirt, QEMU, mdevctl …', run: exportText },
  { id: 'save', changes: true, keys: ['w'], title: 'save the session', run: save },
  {
    id: 'theme',
    keys: ['T'],
    title: 'next theme (dark, light, 16 colours, none, own ones)',
    run: nextTheme,
  },
  { id: 'mouse', keys: ['F3'], title: 'mouse on or off', run: toggleMouse },
  {
    id: 'redraw',
    keys: ['Ctrl-l'],
    title: 'draw the screen anew, with rows read anew',
    run: redraw,
  },
  {
    id: 'suspend',
    keys: ['Ctrl-z'],
    title: 'suspend, as other programs do',
    run: suspend,
  },
  {
    id: 'quit',
    keys: ['q', 'Ctrl-c'],
    title: 'quit; the session is kept',
    hint: 'quit',
    run: (console) => console.quit(),
  },
];
