import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSession } from '../../src/session/store.ts';
import { bundleChild } from './bundle.ts';
import { ORIGIN, openOnFake, ownHome } from './workspace-on.ts';

/** Runs the child until the moment has come, kills it, and returns the last act that it had said to be done. */
async function killedAfter(
  script: string,
  home: string,
  whileStarting: boolean,
  milliseconds: number,
): Promise<string | undefined> {
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, VTDECK_HOME: home },
  });
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

  it('loses at most the act under way, 200 times', async () => {
    let seed = 12345;
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed / 2 ** 32;
    };
    createSession('killed', { origin: ORIGIN }, new Date(0));
    let kills = 0;
    let acted = 0;
    let expected = { acts: 0, head: 0 };
    while (kills < 200) {
      // Some moments are before the session is open, most are while it acts.
      const early = random() < 0.1;
      const told = await killedAfter(
        script,
        process.env.VTDECK_HOME ?? '',
        early,
        early ? random() * 200 : random() * 30,
      );
      kills += 1;
      if (told !== undefined) {
        const [acts, head] = told.split(' ').map(Number);
        expected = { acts, head };
        acted += 1;
      }
      const workspace = openOnFake('killed');
      try {
        expect(workspace.readOnlyReason).toBeUndefined();
        // The last act told, or one step beyond it: that step was written, and the word of it was not out yet.
        const { journal, redoable } = workspace;
        const place = journal.findIndex((entry) => entry.id === expected.head) + 1;
        const undone = redoable.findIndex((entry) => entry.id === expected.head);
        if (expected.head !== 0) expect(place > 0 || undone === 0).toBe(true);
        if (place > 0) expect(journal.length - place).toBeLessThanOrEqual(1);
        expect(workspace.checkDigests().problem).toBeUndefined();
        expected = { acts: journal.length, head: journal.at(-1)?.id ?? 0 };
      } finally {
        workspace.close();
      }
    }
    expect(acted).toBeGreaterThan(150);
    const files = readdirSync(join(process.env.VTDECK_HOME ?? '', 'sessions', 'killed')).sort();
    expect(files).toEqual(['journal', 'session.json']);
  }, 240_000);
});
