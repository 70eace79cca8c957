import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finish } from '../../hw/index.ts';
import { createSession } from '../../src/session/store.ts';
import { bundleChild } from './bundle.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

/** Runs the child until the moment has come, kills it, and returns the last act that it had said to be done. */
async function killedAfter(
  script: string,
  name: string,
  whileStarting: boolean,
  milliseconds: number,
): Promise<string | undefined> {
  const child = spawn(process.execPath, [script, name], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  const acting = new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk;
      resolve(undefined);
    });
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const gone = new Promise((resolve) => child.on('close', resolve));
  if (!whileStarting) await Promise.race([acting, gone]);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  child.kill('SIGKILL');
  await gone;
  expect(errors).toBe('');
  const lines = output.split('\n');
  return lines.length > 1 ? lines[lines.length - 2] : undefined;
}

describe('kill -9 at any moment', () => {
  ownHome();
  let folder = '';
  let script = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vtdeck-kill-'));
    script = await bundleChild('kill-child', folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Kills a session's process so many times, and looks at the session after each. Returns how many had acted. */
  async function killed(name: string, times: number, seed: number): Promise<number> {
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state / 2 ** 32;
    };
    createSession(name, { origin: ORIGIN }, new Date(0));
    let acted = 0;
    let head = 0;
    for (let kill = 0; kill < times; kill++) {
      // Some moments are before the session is open, most are while it acts.
      const early = random() < 0.1;
      const told = await killedAfter(script, name, early, early ? random() * 200 : random() * 30);
      if (told !== undefined) {
        head = Number(told.split(' ')[1]);
        acted += 1;
      }
      const workspace = openOnFake(name);
      try {
        expect(workspace.readOnlyReason).toBeUndefined();
        // The last act told, or one step beyond it: that step was written, and the word of it was not out yet.
        const { journal, redoable } = workspace;
        const place = journal.findIndex((entry) => entry.id === head) + 1;
        const undone = redoable.findIndex((entry) => entry.id === head);
        if (head !== 0) expect(place > 0 || undone === 0).toBe(true);
        if (place > 0) expect(journal.length - place).toBeLessThanOrEqual(1);
        expect(finish(workspace.checkDigests()).problem).toBeUndefined();
        head = journal.at(-1)?.id ?? 0;
      } finally {
        workspace.close();
      }
    }
    const files = readdirSync(join(process.env.VTDECK_HOME ?? '', 'sessions', name)).sort();
    expect(files).toEqual(['journal', 'session.json']);
    return acted;
  }

  it('loses at most the act under way, 200 times', async () => {
    const acted = await Promise.all([killed('one', 100, 12345), killed('two', 100, 54321)]);
    expect(acted[0] + acted[1]).toBeGreaterThan(150);
  }, 600_000);
});
