/** The guided tour: what a new operator needs for the first assignment, in five short pages. */
import { type Line, styled } from '../format/line.ts';

const key = (name: string): Exclude<Line, string>[number] => styled('key', name);

export const tourSteps: readonly (readonly Line[])[] = [
  [
    [styled('title', 'Welcome to vtdeck')],
    '',
    'This is a whole machine: PCI devices, the VT-d units above them, and the',
    'Linux kernel that drives both. What you do here becomes what it would on',
    'Linux, and what you see is read back from its memory and registers.',
    '',
    'Nothing outside this program is touched. Everything can be undone.',
  ],
  [
    [styled('title', 'Getting about')],
    '',
    [
      'Digits ',
      key('1'),
      ' to ',
      key('9'),
      ' and ',
      key('0'),
      ' choose a screen; arrows or ',
      key('h j k l'),
      ' move.',
    ],
    [key('Enter'), ' opens details, ', key('Esc'), ' goes one step back, ', key('Tab'), ' changes the pane.'],
    [key('/'), ' filters, ', key(':'), ' finds any command by name, ', key('?'), ' shows every key.'],
    'The bottom line always has the keys for the row you are on.',
  ],
  [
    [styled('title', 'A device for a virtual machine')],
    '',
    ['On an accelerator in screen ', key('1'), ':'],
    [key('x'), ' switches auxiliary mode on: its DMA is then told apart by PASID.'],
    [key('c'), ' creates a mediated device: pick a type, accept the UUID.'],
    [key('a'), ' assigns it; a new machine can be made on the way.'],
    [key('u'), ' takes it back.'],
  ],
  [
    [styled('title', 'Watching it work')],
    '',
    [key('d'), ' lets the device do DMA. Inside the memory of its guest it lands;'],
    ['outside it faults, and screen ', key('8'), ' shows the fault and what to do.'],
    [key('t'), ' walks the tables for an address, entry by entry.'],
  ],
  [
    [styled('title', 'Nothing is lost')],
    '',
    [
      key('z'),
      ' undoes, ',
      key('Z'),
      ' does it again; ',
      key('@'),
      ' shows the real Linux command of each act.',
    ],
    ['The session is on disk after every act: ', key('q'), ' can be pressed at any time.'],
    ['This tour is at ', key('F2'), '.'],
  ],
];
