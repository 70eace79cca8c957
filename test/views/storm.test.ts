/** Random keys, seeded: nothing crashes, no frame is taller than the screen, and the session can be replayed to the same machine. */
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../views/commands/all.ts';
import { bytesOfKey, freshWorkspace, Stage } from './stage.ts';
import { expectWhole } from './whole.ts';
import { WorkingClock } from './working-clock.ts';

/** Every key of the map but those that end or stop the program or write files, and what one types into prompts. */
const KEYS: readonly string[] = [
  ...allCommands
    .filter((command) => !['quit', 'suspend', 'picture', 'pager'].includes(command.id))
    .flatMap((command) => [...command.keys]),
  ...'0123456789abcdefxvm ',
  ...Array.from({ length: 12 }, () => 'Enter'),
  ...Array.from({ length: 12 }, () => 'Esc'),
  ...Array.from({ length: 12 }, () => 'Down'),
  'y',
  'y',
  'Backspace',
  'Left',
  'Right',
  '\u001b[200~pasted text\nwith lines\u001b[201~',
  '\u001b[<0;20;9M',
  '\u001b[<65;20;9M',
  '漢',
  'e\u0301',
];

function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Milliseconds that a look at the clock costs where work takes time: sometimes none, sometimes it is soon shown. */
const COSTS = [0, 1, 8, 40];

describe.each([
  [80, 24, 10_000, 1, 'at once'],
  [120, 40, 2_000, 2, 'at once'],
  [200, 60, 2_000, 3, 'at once'],
  [100, 30, 3_000, 4, 'in its time'],
])('a storm of keys at %ix%i', (columns, rows, count, seed, pace) => {
  it(`of ${count} keys does no harm, work done ${pace}`, { timeout: 300_000 }, async () => {
    const random = generator(seed);
    let workspace = freshWorkspace();
    const clock = new WorkingClock();
    let stage = new Stage(columns, rows, { mouse: true, clock }, workspace);
    let done = 0;
    while (done < count) {
      const burst = 1 + random(12);
      let bytes = '';
      if (pace !== 'at once') clock.cost = COSTS[random(COSTS.length)];
      for (let key = 0; key < burst; key += 1) bytes += bytesOfKey(KEYS[random(KEYS.length)]);
      done += burst;
      stage.input.emit('data', bytes);
      stage.clock.advance(50);
      if (random(16) === 0) {
        await stage.screen(); // the emulator takes in what was written before it changes its size
        if (random(2) === 0) stage.output.resize(20 + random(columns), 4 + random(rows));
        else stage.output.resize(columns, rows);
        clock.advance(50);
        await expectWhole(stage);
      }
      expect(stage.handle?.lines.length).toBeLessThanOrEqual(stage.output.rows);
      // The palette can quit too.
      if (stage.ended) {
        // What was under way then is gone with its session.
        if (pace !== 'at once') workspace = freshWorkspace();
        stage = new Stage(columns, rows, { mouse: true, clock }, workspace);
      }
    }
    clock.cost = 0;
    clock.advance(10_000);
    await expectWhole(stage);
    // The journal alone leads to the same machine.
    workspace.travel(undefined);
    const again = freshWorkspace();
    for (const act of workspace.journal) {
      const outcome = again.dispatch(act.action, act.args);
      expect(outcome.ok, `${act.action} ${JSON.stringify(act.args)}`).toBe(true);
    }
    expect(again.host.digest()).toBe(workspace.host.digest());
  });
});
