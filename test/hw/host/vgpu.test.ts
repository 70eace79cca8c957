/** A graphics card cut into virtual ones: types that exclude each other, pages pinned on use. */
import { describe, expect, it } from 'vitest';
import type { Host } from '../../../hw/host.ts';
import { refusal, server } from '../../support/built-in-server.ts';

const CARD = '0000:83:00.0';
const uuid = (number: number): string => `00000000-0000-4000-8000-${number.toString().padStart(12, '0')}`;
const HELLO = new TextEncoder().encode('pixels');
const MEMORY = 64n << 20n;

const available = (host: Host): Record<string, number> =>
  Object.fromEntries(
    host
      .mdevParents()
      .find((parent) => parent.device === CARD)
      ?.types.map((type) => [type.name, type.availableInstances]) ?? [],
  );

describe('a sample driver without hardware', () => {
  it('moves its data through VFIO: no page is pinned, no table is walked', () => {
    const host = server('7.2');
    expect(host.sampleModules().every((module) => !module.loaded)).toBe(true);
    expect(refusal(() => host.loadModule('nonsense')).code).toBe('ENOENT');
    host.loadModule('mtty');
    const parent = host.mdevParents().find((one) => one.device === 'mtty');
    expect(parent).toMatchObject({ isolation: 'software', auxiliaryMode: 'unsupported' });
    const [type] = parent?.types ?? [];
    host.createMdev('mtty', type.id, uuid(1));
    host.createMachine('guest', MEMORY);
    host.assign('guest', uuid(1));
    const done = host.deviceDma({ device: uuid(1), iova: 0x1000n, access: 'write', bytes: HELLO });
    expect(done.ok).toBe(true);
    expect(host.readMachineMemory('guest', 0x1000n, HELLO.length)).toEqual(HELLO);
    expect(host.machineState('guest')?.lockedBytes).toBe(0n);
    expect(refusal(() => host.unloadModule('mtty')).code).toBe('EAGAIN');
    host.release('guest', uuid(1));
    host.unloadModule('mtty');
    expect(host.mdevs()).toEqual([]);
  });
});

describe.each(['5.15', '6.1', '7.2'] as const)('virtual graphics cards on %s', (profile) => {
  it('exclude other types as soon as one exists', () => {
    const host = server(profile);
    expect(available(host)).toMatchObject({ 'GRID T4-4Q': 4, 'GRID T4-16Q': 1 });
    host.createMdev(CARD, 'nvidia-232', uuid(1));
    expect(available(host)).toMatchObject({ 'GRID T4-1Q': 0, 'GRID T4-4Q': 3, 'GRID T4-16Q': 0 });
    const refused = refusal(() => host.createMdev(CARD, 'nvidia-230', uuid(2)));
    expect([refused.code, refused.rule]).toEqual(['ENOSPC', 'types exclude each other']);
    for (const number of [3, 4, 5]) host.createMdev(CARD, 'nvidia-232', uuid(number));
    expect(refusal(() => host.createMdev(CARD, 'nvidia-232', uuid(6))).rule).toBe('no instance left');
    for (const number of [1, 3, 4, 5]) host.removeMdev(uuid(number));
    expect(available(host)).toMatchObject({ 'GRID T4-1Q': 16 });
  });

  it('pin the pages they use and no others, and report exactly these as dirty', () => {
    const host = server(profile);
    host.createMdev(CARD, 'nvidia-231', uuid(1));
    host.createMachine('guest', MEMORY);
    host.assign('guest', uuid(1));
    expect(host.machineState('guest')?.lockedBytes).toBe(0n);
    const done = host.deviceDma({ device: uuid(1), iova: 0x3ffen, access: 'write', bytes: HELLO });
    expect(done).toMatchObject({ ok: true, bytesDone: HELLO.length });
    expect(host.readMachineMemory('guest', 0x3ffen, HELLO.length)).toEqual(HELLO);
    expect(host.machineState('guest')?.lockedBytes).toBe(0x2000n);
    host.startDirtyTracking('guest');
    expect(host.queryDirtyPages('guest')).toBe(2n);
    const beyond = host.deviceDma({ device: uuid(1), iova: MEMORY, access: 'write', bytes: HELLO });
    expect(beyond.ok).toBe(false);
    expect(beyond.note).toContain('EINVAL');
    host.release('guest', uuid(1));
    expect(host.machineState('guest')?.lockedBytes).toBe(0n);
  });

  it('go with the driver of the card, but not while somebody has one', () => {
    const host = server(profile);
    host.createMdev(CARD, 'nvidia-231', uuid(1));
    host.createMachine('guest', MEMORY);
    expect(refusal(() => host.assign('guest', CARD)).rule).toBe('parent of mdevs');
    host.unbindDriver(CARD);
    expect(host.mdevs()).toEqual([]);
    expect(host.mdevParents().map((parent) => parent.device)).not.toContain(CARD);
    host.bindDriver(CARD, 'nvidia');
    expect(host.mdevParents().map((parent) => parent.device)).toContain(CARD);
  });
});
