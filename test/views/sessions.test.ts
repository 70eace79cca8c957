/** The screen of sessions and demos on a real store: every act of it by its key. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import { Shelf } from '../../src/session/shelf.ts';
import { ownHome } from '../session/workspace-on.ts';
import { Stage } from './stage.ts';

ownHome();

function atShelf(): Stage {
  const shelf = new Shelf({ now: () => 0, readOnly: false });
  const workspace = finish(shelf.creating('main', undefined));
  return new Stage(100, 30, { sessions: shelf }, workspace);
}

/** Types over what a prompt proposes. */
async function answer(stage: Stage, text: string): Promise<void> {
  await stage.keys('Ctrl-u');
  await stage.type(text);
  await stage.keys('Enter');
}

describe('sessions and demos', () => {
  it('copies, renames, removes and takes back', async () => {
    const stage = atShelf();
    await stage.keys('n', 'Enter', '0', 'c');
    expect(await stage.text()).toContain('main-2');
    await answer(stage, 'second');
    expect(await stage.text()).toContain('second is a copy of main');
    expect(await stage.text()).toMatch(/> +second/);
    await stage.keys('r');
    await answer(stage, 'no/name');
    expect(await stage.text()).toContain('letters, digits');
    await answer(stage, 'third');
    expect(await stage.text()).toContain('second is now called third');
    await stage.keys('D');
    await stage.type('third');
    await stage.keys('Enter');
    expect(await stage.text()).toContain('third is in the bin');
    await stage.keys('u');
    expect(await stage.text()).toContain('1970-01-01');
    await stage.keys('Enter');
    expect(await stage.text()).toMatch(/> +third/);
    await stage.keys('Enter');
    expect(await stage.text()).toContain('session third');
    expect(await stage.text()).toContain(' third on server');
  });

  it('writes to a file, brings in from one, and says whether a session is what it was', async () => {
    const stage = atShelf();
    const file = join(process.env.VTDECK_HOME as string, 'out.json');
    await stage.keys('n', 'Enter', '0', 'e');
    await answer(stage, file);
    expect(existsSync(file)).toBe(true);
    await stage.keys('e');
    await answer(stage, file);
    expect(await stage.text()).toContain('is there already');
    await stage.keys('Esc', 'i');
    await answer(stage, file);
    expect(await stage.text()).toContain('there is a session "main" already');
    await stage.keys('Esc', '/', ...'dirty-tracking bundled', 'Enter', 'V');
    expect(await stage.text()).toContain('8 acts replay to the same tables');
  });

  it('shows the host as of an act and comes back', async () => {
    const stage = atShelf();
    await stage.keys('n', 'Enter', 'n', 'Enter', '0', 'G', 'k', 'Enter');
    expect(await stage.text()).toContain('as of act 1');
    await stage.keys('4');
    expect(await stage.text()).toContain('1/1 machine');
    await stage.keys('0', '.', '4');
    expect(await stage.text()).toContain('/2 machines');
  });

  it('says how to play a demo where it has no terminal of its own to give', async () => {
    const stage = atShelf();
    await stage.keys('0', '/', ...'tour demo', 'Enter', 'Enter');
    expect(await stage.text()).toContain('vtdeck demo play tour');
  });
});
