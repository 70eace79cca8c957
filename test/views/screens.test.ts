/** Every screen at three sizes, as text: golden frames, after the main job has been done. */
import { describe, expect, it } from 'vitest';
import { freshWorkspace, Stage } from './stage.ts';
import { expectWhole } from './whole.ts';

const SCREENS: readonly (readonly [string, string])[] = [
  ['1', 'topology'],
  ['2', 'groups'],
  ['3', 'mdevs'],
  ['4', 'machines'],
  ['5', 'domains'],
  ['6', 'units'],
  ['7', 'walk'],
  ['8', 'events'],
  ['9', 'plan'],
  ['0', 'sessions'],
  ['m', 'matrix'],
  ['@', 'log'],
];

/** Where the kernel put its tables, how often it flushed, what hashes come to: not what these frames are about. */
function masked(text: string, name: string): string {
  const fixed = text.replace(/0x[0-9a-f]{7,}|\b[0-9a-f]{16,32}\b/g, (match) =>
    match.slice(0, 2).padEnd(match.length, '#'),
  );
  return ['units', 'domains', 'walk'].includes(name) ? fixed.replace(/[0-9]/g, '#') : fixed;
}

function workedWorkspace(): ReturnType<typeof freshWorkspace> {
  const workspace = freshWorkspace();
  const uuid = '11111111-2222-4333-8444-555555555555';
  const acts: readonly (readonly [string, Record<string, unknown>])[] = [
    ['device.aux-enable', { device: '0000:6a:01.0' }],
    ['mdev.create', { parent: '0000:6a:01.0', type: 'idxd-1dwq-v1', uuid }],
    ['vm.create', { vm: 'web', memory: '64M' }],
    ['vm.assign', { vm: 'web', device: uuid }],
    ['device.dma', { device: uuid, iova: '0x1000' }],
    ['device.dma', { device: uuid, iova: '0x80000000' }],
  ];
  for (const [name, args] of acts) {
    const outcome = workspace.dispatch(name, args);
    if (!outcome.ok) throw outcome.error;
  }
  return workspace;
}

describe.each([
  [80, 24],
  [120, 40],
  [200, 60],
])('screens at %ix%i', (columns, rows) => {
  it('are as they were', async () => {
    const stage = new Stage(columns, rows, {}, workedWorkspace());
    // From the fault to the walk of its address, so that the walk screen has something to show.
    await stage.keys('8', 't', 'Enter');
    for (const [key, name] of SCREENS) {
      await stage.keys(key);
      // Of the units one sees the registers; how long the queue is and what caches hold changes with every flush.
      if (name === 'units') await stage.keys('-', 'Right', 'j', 'Right');
      await expect(masked(await stage.text(), name)).toMatchFileSnapshot(
        `golden/${name}-${columns}x${rows}.txt`,
      );
      await stage.keys('Enter');
      if (name === 'sessions') continue;
      await expect(masked(await stage.text(), name)).toMatchFileSnapshot(
        `golden/${name}-details-${columns}x${rows}.txt`,
      );
      await stage.keys('Esc');
    }
  });

  it('fill the terminal and never more', async () => {
    const stage = new Stage(columns, rows, {}, workedWorkspace());
    for (const [key] of SCREENS) {
      for (const keys of [
        [key],
        ['Enter'],
        ['Tab'],
        ['y'],
        ['y'],
        ['?'],
        ['Esc'],
        [':'],
        ['Esc'],
        ['/'],
        ['Esc'],
        ['Esc'],
      ]) {
        await stage.keys(...keys);
        await expectWhole(stage, keys.join());
      }
    }
  });
});

describe('a screen', () => {
  it('names the field under the cursor in raw configuration space', async () => {
    const stage = new Stage(120, 40);
    await stage.keys('/', ...'6a:01.0', 'Enter', 'Enter', 'y', 'Tab');
    expect(await stage.text()).toContain('000: vendor id');
    await stage.keys('Right', 'Right');
    expect(await stage.text()).toContain('002: device id');
    await stage.keys('G');
    expect(await stage.text()).toMatch(/[0-9a-f]{3}: /);
  });

  it('shows the walk with one bit turned over, the fault this gives, and memory as before', async () => {
    const workspace = workedWorkspace();
    const stage = new Stage(120, 40, {}, workspace);
    const before = workspace.host.digest();
    await stage.keys('3', '/', ...'1111', 'Enter', 't', 'Ctrl-u', ...'0x1000', 'Enter');
    expect(await stage.text()).toMatch(/✓ physical 0x/);
    await stage.keys('j', 'j', 'j', 'f', 'Enter');
    const text = await stage.text();
    expect(text).toContain('bit turned');
    expect(text).toMatch(/✗ fault 0x/);
    expect(workspace.host.digest()).toBe(before);
    await stage.keys('F');
    expect(await stage.text()).toMatch(/✓ physical 0x/);
  });

  it('pauses events, says how many it holds back, and follows again', async () => {
    const workspace = workedWorkspace();
    const stage = new Stage(100, 30, {}, workspace);
    await stage.keys('8', 'p');
    workspace.dispatch('device.dma', { device: '11111111-2222-4333-8444-555555555555', iova: '0x90000000' });
    stage.clock.advance(100);
    expect(await stage.text()).toContain('1 newer held back');
    expect(await stage.text()).not.toContain('0x90000000');
    await stage.keys('p');
    expect(await stage.text()).toContain('0x90000000');
  });

  it('jumps to the owner and to the user, and back through the history', async () => {
    const stage = new Stage(120, 40, {}, workedWorkspace());
    await stage.keys('3', '/', ...'1111', 'Enter', 'o');
    expect(await stage.text()).toContain('[4 VM]');
    await stage.keys('O');
    expect(await stage.text()).toContain('[3 Mdev]');
    await stage.keys('[', '[');
    expect(await stage.text()).toContain('[3 Mdev]');
    await stage.keys(']');
    expect(await stage.text()).toContain('[4 VM]');
  });
});
