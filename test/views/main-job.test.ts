/** The main job by keys alone: auxiliary mode, an mdev, a machine, the assignment, DMA that lands and DMA that faults. */
import { describe, expect, it } from 'vitest';
import { Stage } from './stage.ts';

/** Chords and characters, each one key stroke. */
const JOB: readonly (readonly string[])[] = [
  ['/', 'i', 'd', 'x', 'd', 'Enter'], // the accelerators
  ['x'], // auxiliary mode
  ['c', 'Enter', 'Enter'], // first type, made UUID
  ['a', 'Enter', 'Enter', 'y'], // to a new machine
  ['d', 'Enter'], // inside the memory of the guest
  ['d', 'Ctrl-u', ...'0x80000000', 'Enter'], // outside
  ['8'],
  ['t', 'Enter'],
  ['j', 'j', 'j'],
];

describe.each([
  [80, 24],
  [200, 60],
])('the main job at %ix%i', (columns, rows) => {
  it('takes under 60 key strokes and every step shows', async () => {
    const stage = new Stage(columns, rows);
    let strokes = 0;
    const seen: string[] = [];
    for (const keys of JOB) {
      strokes += keys.length;
      await stage.keys(...keys);
      seen.push(await stage.text());
    }
    expect(strokes).toBeLessThan(60);
    expect(seen[0]).toContain('0000:6a:01.0');
    expect(seen[1]).toContain('auxiliary mode of 0000:6a:01.0 is on');
    expect(seen[2]).toContain('mediated device 00000000-0000-4000-8000-000000000001');
    expect(seen[3]).toMatch(/is assigned to vm1, by PASID 1/);
    expect(seen[4]).toMatch(/landed/);
    expect(seen[4]).toMatch(/00 01 02 03/);
    expect(seen[5]).toMatch(/faulted/);
    expect(seen[6]).toMatch(/! fault/);
    expect(seen[7]).toContain('scalable-mode root entry');
    expect(seen[8]).toContain('PASID-table entry');
    expect(stage.workspace.host.machineState('vm1')?.devices).toHaveLength(1);
  });
});

describe('the main job', () => {
  it('says on an incapable device which requirement is missing, and where it looked', async () => {
    const stage = new Stage(120, 40);
    await stage.keys('/', ...'nvme', 'Enter', 'x');
    const text = await stage.text();
    expect(text).toMatch(/✗ .*missing/);
    expect(text).toMatch(/PASID capability|Scalable I\/O Virtualization/);
    expect(stage.workspace.journal).toHaveLength(0);
  });

  it('takes the device back, undoes and redoes', async () => {
    const stage = new Stage(120, 40);
    for (const keys of JOB.slice(0, 4)) await stage.keys(...keys);
    const assigned = stage.workspace.host.digest();
    await stage.keys('u', 'y');
    expect(stage.workspace.host.machineState('vm1')?.devices).toHaveLength(0);
    await stage.keys('z');
    expect(stage.workspace.host.digest()).toBe(assigned);
    await stage.keys('Z');
    expect(stage.workspace.host.machineState('vm1')?.devices).toHaveLength(0);
  });
});
