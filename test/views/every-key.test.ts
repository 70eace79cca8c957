/** Every key of the map on every screen; the built program has them at three sizes in test/e2e. */
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../views/commands/all.ts';
import { screens } from '../../views/screens/all.ts';
import { busyWorkspace, bytesOfKey, Stage } from './stage.ts';
import { expectWhole } from './whole.ts';

/** These end or stop the program or write files; they have tests of their own. */
const APART = ['quit', 'suspend', 'picture', 'pager'];

const KEYS = allCommands
  .filter((command) => !APART.includes(command.id))
  .flatMap((command) => [...command.keys]);

/** How each screen is reached. */
const REACHED = new Map(
  screens.map((screen) => [
    screen.id,
    allCommands.find((command) => command.id === `go.${screen.id}`)?.keys[0] ?? '',
  ]),
);

describe('every key', () => {
  it('does something on every screen, or says why not, and leaves a whole frame', {
    timeout: 300_000,
  }, async () => {
    const workspace = busyWorkspace();
    const acts = workspace.journal.length;
    const rows = 24;
    const stage = new Stage(80, rows, { mouse: true }, workspace);
    await stage.keys('8', 'G', 't', 'Enter');
    const silent: string[] = [];
    for (const screen of screens) {
      for (const key of KEYS) {
        const esc = '\u001b[27u'.repeat(4);
        // Away from both ends of the list, so that moving shows; what was said before is gone.
        stage.input.emit('data', `${esc}${REACHED.get(screen.id)}gj`);
        stage.clock.advance(10_000);
        const before = stage.handle?.lines.join('\n');
        const { length } = stage.output.bytes;
        stage.input.emit('data', bytesOfKey(key));
        stage.clock.advance(50);
        expect(stage.handle?.lines, `${key} on ${screen.id}`).toHaveLength(rows);
        // Some things are not seen: a copy goes to the terminal, a redraw shows what was there.
        const written = stage.output.bytes.length > length;
        if (!written && stage.handle?.lines.join('\n') === before) silent.push(`${key} on ${screen.id}`);
        // What an act leaves behind stays; but there must be something on every screen.
        if (workspace.journal.at(-1)?.action === 'fault.clear') workspace.undo();
        while (workspace.journal.length < acts) workspace.redo();
        if (stage.ended) throw new Error(`${key} on ${screen.id} ended the console`);
      }
      stage.input.emit('data', '\u001b[27u'.repeat(6));
      stage.clock.advance(50);
      await expectWhole(stage, screen.id);
    }
    expect(silent).toEqual([]);
  });
});
