import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bundledDemoNames, bundledSessionNames } from '../../src/session/bundled.ts';
import { vtdeck } from './program.ts';

// Each starts programs, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 });

describe('bundled sessions and demos', () => {
  it('are twelve sessions, each with a demo, and the main job and the tour', () => {
    expect(bundledSessionNames()).toHaveLength(12);
    expect(bundledDemoNames()).toEqual([...bundledSessionNames(), 'main-job', 'tour'].sort());
  });

  it('replay to the same tables, twice each', async () => {
    const { code, stdout } = await vtdeck(['session', 'verify', '--json']);
    const { sessions } = JSON.parse(stdout);
    expect(sessions.filter((session: { ok: boolean }) => !session.ok)).toEqual([]);
    expect(sessions).toHaveLength(12);
    expect(code).toBe(0);
  });

  it.each(bundledDemoNames())('%s plays to its end, every expectation met', async (name) => {
    const { code, stdout, stderr } = await vtdeck(['demo', 'play', name, '--json']);
    const played = JSON.parse(stdout);
    expect(played.error?.message ?? '').toBe('');
    expect(played.notices).toEqual([]);
    expect(played.expectations).toBeGreaterThan(0);
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('the frames of the documents are made by their tape', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vtdeck-frames-'));
    try {
      const docs = join(import.meta.dirname, '..', '..', 'docs');
      const { code, stderr } = await vtdeck(['demo', 'play', join(docs, 'frames.tape'), '--out', folder]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(readdirSync(folder).sort()).toEqual(readdirSync(join(docs, 'frames')).sort());
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('main-job takes under 60 key strokes', async () => {
    const { stdout } = await vtdeck(['demo', 'play', 'main-job', '--json']);
    expect(JSON.parse(stdout).keys).toBeLessThan(60);
  });
});

describe('without a terminal', () => {
  it('the tour plays to its end; the last screen and a summary are printed, without escape sequences', async () => {
    const { code, stdout, stderr } = await vtdeck([]);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/Topology/);
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^demo tour: \d+ keys, \d+ expectations met/);
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('a session that was named is not opened, and what to do instead is said', async () => {
    const { code, stderr } = await vtdeck(['open', 'plain-server']);
    expect(code).toBe(2);
    expect(stderr).toContain('needs a terminal');
  });
});

describe('demo play', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtdeck-play-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('writes the same bytes each time, in every format', async () => {
    const files = async (round: string): Promise<string[]> => {
      const names = ['txt', 'svg', 'animation', 'cast', 'cast3'].map((format) => [
        format,
        join(folder, `${round}.${format}`),
      ]);
      const { code } = await vtdeck([
        'demo',
        'play',
        'shared-pasid',
        '--quiet',
        ...names.flatMap(([format, path]) => [`--${format}`, path]),
      ]);
      expect(code).toBe(0);
      return names.map(([, path]) => readFileSync(path, 'utf8'));
    };
    const first = await files('one');
    expect(await files('two')).toEqual(first);
    expect(first.every((content) => content.length > 500)).toBe(true);
  });

  it('ends with 4, the frame and a diff when an expectation fails', async () => {
    const tape = join(folder, 'bad.tape');
    writeFileSync(tape, '#: Expect /Topologie der Geräte/\n');
    const { code, stderr } = await vtdeck(['demo', 'play', tape]);
    expect(code).toBe(4);
    expect(stderr).toContain('bad.tape:1:');
    expect(stderr).toContain('- expected screen with');
    expect(stderr).toContain('bus 0000:00');
  });

  it('writes only below the folder given, whatever the tape says', async () => {
    const tape = join(folder, 'escape.tape');
    const out = join(folder, 'out');
    writeFileSync(tape, `Screenshot ../escaped.txt\nScreenshot fine/one.txt\n`);
    const { code, stderr } = await vtdeck(['demo', 'play', tape, '--quiet', '--out', out]);
    expect(code).toBe(2);
    expect(stderr).toContain('outside the folder');
    expect(readdirSync(folder).sort()).toEqual(['escape.tape', 'out']);
    writeFileSync(tape, `Screenshot fine/one.txt\nScreenshot two.svg\nOutput all.cast\nOutput pic.gif\n`);
    expect((await vtdeck(['demo', 'play', tape, '--quiet', '--out', out])).code).toBe(0);
    expect(readdirSync(out).sort()).toEqual(['all.cast', 'fine-one.txt', 'pic.gif.svg', 'two.svg']);
  });

  it('plays on a copy of a session, and leaves the session alone', async () => {
    const home = join(folder, 'home');
    expect((await vtdeck(['session', 'create', 'mine'], { home })).code).toBe(0);
    const tape = join(folder, 'own.tape');
    writeFileSync(
      tape,
      'Type ":vm.create vm=alpha memory=64M"\nEnter\n#: Wait+State /session=copy acts=1\\b/\n',
    );
    const { code } = await vtdeck(['demo', 'play', tape, '--session', 'mine', '--quiet'], { home });
    expect(code).toBe(0);
    const { stdout } = await vtdeck(['session', 'show', 'mine', '--json'], { home });
    expect(JSON.parse(stdout).acts).toEqual([]);
  });
});

const asciinema =
  spawnSync('asciinema', ['--version']).status === 0 && spawnSync('script', ['--version']).status === 0;

describe.skipIf(!asciinema)('asciinema (skipped where it is not installed)', () => {
  it('reads our casts: what it prints is what the console wrote', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vtdeck-cast-'));
    try {
      const cast = join(folder, 'a.cast');
      expect((await vtdeck(['demo', 'play', 'shared-pasid', '--quiet', '--cast', cast])).code).toBe(0);
      // It wants a terminal of its own to cat to: script gives it one.
      const { stdout } = spawnSync('script', ['-qc', `asciinema cat ${cast}`, '/dev/null'], {
        encoding: 'utf8',
        input: '',
      });
      const [, ...events] = readFileSync(cast, 'utf8').trimEnd().split('\n');
      const written = events
        .map((line) => JSON.parse(line) as [number, string, string])
        .filter(([, kind]) => kind === 'o')
        .map(([, , data]) => data)
        .join('');
      const plain = (text: string): string => text.replace(/\r?\n|\r/g, '\n').trim();
      expect(plain(stdout)).toContain(plain(written).slice(0, 2000));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
