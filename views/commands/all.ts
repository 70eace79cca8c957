/** Every command of the console. */
import type { Command } from '../keymap.ts';
import { actCommands } from './acts.ts';
import { movementCommands } from './movement.ts';
import { programCommands } from './program.ts';
import { shelfCommands } from './shelf.ts';

export const allCommands: readonly Command[] = [
  ...actCommands,
  ...movementCommands,
  ...programCommands,
  ...shelfCommands,
];
