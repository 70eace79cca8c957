/** Every key of the map on every screen, at three sizes: it does something or says why not, and the frame stays whole. */
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../views/commands/all.ts';
import { screens } from '../../views/screens/all.ts';
import { bytesOfKey, freshWorkspace, Stage } from './stage.ts';

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

function prepared(): ReturnType<typeof freshWorkspace> {
  const workspace = freshWorkspace();
  const uuid = '11111111-2222-4333-8444-555555555555';
  workspace.dispatch('device.aux-enable', { device: '0000:6a:01.0' });
  workspace.dispatch('mdev.create', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid });
  workspace.dispatch('vm.create', { vm: 'web', memory: '64M' });
  workspace.dispatch('vm.assign', { vm: 'web', device: uuid });
  workspace.dispatch('device.dma', { device: uuid, iova: '0x80000000' });
  return workspace;
}

describe.each([
  [80, 24],
  [120, 40],
  [200, 60],
])('every key at %ix%i', (columns, rows) => {
  it('does no harm on any screen', { timeout: 300_000 }, async () => {
    const stage = new Stage(columns, rows, { mouse: true }, prepared());
    for (const screen of screens) {
      for (const key of KEYS) {
        stage.input.emit('data', REACHED.get(screen.id));
        stage.input.emit('data', bytesOfKey(key));
        stage.clock.advance(50);
        expect(stage.handle?.lines, `${key} on ${screen.id}`).toHaveLength(rows);
        // Out of whatever it opened.
        for (let step = 0; step < 3; step += 1) {
          stage.input.emit('data', '\u001b');
          stage.clock.advance(50);
        }
      }
    }
    expect(stage.ended).toBe(false);
    await stage.screen();
    expect(stage.output.emulator.buffer.active.baseY).toBe(0);
  });
});
