/** `vtdeck demo list|play` */
import type { CommandModule } from 'yargs';
import { printText } from '../output.ts';
import { bundledDemoNames, bundledDemoPath } from '../session/bundled.ts';
import { list } from './demo/list.ts';
import { play, playToEnd, reportPlayed } from './demo/play.ts';

const command: CommandModule = {
  command: 'demo <verb>',
  describe: 'list and play keystroke demos',
  builder: (yargs) => yargs.command(list).command(play).demandCommand(1, 'say what to do with demos'),
  handler: () => undefined,
};

export default command;

/** Name of the demo that is played where there is no terminal. */
const TOUR = 'tour';

/** Plays the bundled tour to its end, and prints its last screen and a summary. */
export async function playTour(json: boolean): Promise<void> {
  const path = bundledDemoPath(TOUR);
  if (path === undefined) {
    printText(
      `vtdeck: there is no terminal here, and no tour among the demos (${bundledDemoNames().join(', ')})`,
    );
    return;
  }
  const played = await playToEnd(path, {});
  reportPlayed(played, { name: TOUR, json, screen: true });
}
