/** Machines, processes and workloads on the built-in server: what they hold, what they reach, what a restart leaves. */
import { describe, expect, it } from 'vitest';
import { rebootHost } from '../../../hw/host.ts';
import { ACCELERATOR, DRIVE, refusal, server } from '../../support/built-in-server.ts';

const MDEV = '11111111-2222-3333-4444-555555555555';
const OTHER_MDEV = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const MEMORY = 64n << 20n;
const HELLO = new TextEncoder().encode('hello from the device');

describe('machines', () => {
  it('come back after stop and kill with their devices, and give everything back', () => {
    const host = server();
    const before = host.kernel.allocator.usedFrames;
    host.createMachine('guest', MEMORY);
    host.assign('guest', DRIVE);
    for (const end of ['stopMachine', 'killMachine'] as const) {
      host[end]('guest');
      expect(host.machineState('guest')?.state).toBe('stopped');
      expect(host.deviceDma({ device: DRIVE, iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(false);
      host.startMachine('guest');
      expect(host.deviceDma({ device: DRIVE, iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
    }
    host.stopMachine('guest');
    host.removeMachine('guest');
    expect(host.kernel.allocator.usedFrames).toBe(before);
  });

  it('take memory while they run: the device reaches it, and no longer once it is unplugged', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    host.assign('guest', DRIVE);
    host.addMemory('guest', MEMORY);
    const slot = host.machineState('guest')?.slots.at(-1);
    const iova = slot?.guestAddress ?? 0n;
    expect(host.deviceDma({ device: DRIVE, iova, access: 'write', bytes: HELLO }).ok).toBe(true);
    expect(host.readMachineMemory('guest', iova, HELLO.length)).toEqual(HELLO);
    host.removeMemory('guest');
    expect(host.deviceDma({ device: DRIVE, iova, access: 'write', bytes: HELLO }).ok).toBe(false);
  });

  it('are held to their RLIMIT_MEMLOCK: an assignment beyond it changes nothing', () => {
    const host = server();
    host.createMachine('guest', MEMORY, { lockLimitBytes: MEMORY / 2n });
    const refused = refusal(() => host.assign('guest', DRIVE));
    expect(refused.code).toBe('ENOMEM');
    expect(host.device(DRIVE)).toMatchObject({ driver: 'nvme', assignedTo: undefined });
    expect(host.machineState('guest')).toMatchObject({ lockedBytes: 0n, devices: [] });
  });

  it('refuse bad names and sizes', () => {
    const host = server();
    expect(refusal(() => host.createMachine('', MEMORY)).code).toBe('EINVAL');
    expect(refusal(() => host.createMachine('a/b', MEMORY)).code).toBe('EINVAL');
    expect(refusal(() => host.createMachine('guest', 4096n)).code).toBe('EINVAL');
    expect(refusal(() => host.createMachine('guest', 1n << 50n)).code).toBe('ENOMEM');
    expect(refusal(() => host.startMachine('nobody')).code).toBe('ENOENT');
  });

  it('report every page dirty in each round while a device without tracking is assigned', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    expect(refusal(() => host.startDirtyTracking('guest')).code).toBe('EINVAL');
    host.assign('guest', DRIVE);
    host.startDirtyTracking('guest');
    expect(host.queryDirtyPages('guest')).toBe(MEMORY / 4096n);
    expect(host.queryDirtyPages('guest')).toBe(MEMORY / 4096n);
    host.stopDirtyTracking('guest');
    expect(refusal(() => host.queryDirtyPages('guest')).code).toBe('EINVAL');
  });
});

describe('processes that drive devices themselves', () => {
  it('use their own addresses for their devices, and large pages where they have them', () => {
    const host = server();
    host.createMachine('dpdk', MEMORY, { kind: 'process', hugePages: true });
    host.assign('dpdk', '0000:16:01.2');
    const slot = host.machineState('dpdk')?.slots[0];
    expect(slot?.guestAddress).toBe(slot?.userAddress);
    const iova = slot?.guestAddress ?? 0n;
    expect(host.explainTranslation({ device: '0000:16:01.2', iova }).page).toBe('2M');
    expect(host.deviceDma({ device: '0000:16:01.2', iova, access: 'write', bytes: HELLO }).ok).toBe(true);
    expect(host.readMachineMemory('dpdk', iova, HELLO.length)).toEqual(HELLO);
  });
});

describe('workloads', () => {
  it('do the same on every run, and fault for each transfer that strays', () => {
    const run = () => {
      const host = server();
      host.createMachine('guest', MEMORY);
      host.assign('guest', DRIVE);
      const result = host.runWorkload({ device: DRIVE, seed: 11, transfers: 400, strayPerThousand: 100 });
      return { result, digest: host.digest(), faults: host.events().length };
    };
    const first = run();
    expect(first.result).toMatchObject({ transfers: 400, refused: 0 });
    expect(first.result.faults).toBe(first.faults);
    expect(first.result.faults).toBeGreaterThan(10);
    expect(run()).toEqual(first);
  });

  it('are refused for a device that nobody has, and for numbers out of range', () => {
    const host = server();
    expect(refusal(() => host.runWorkload({ device: DRIVE, seed: 1, transfers: 1 })).code).toBe('ENODEV');
    expect(refusal(() => host.runWorkload({ device: DRIVE, seed: 1, transfers: 1e9 })).code).toBe('EINVAL');
  });
});

describe('a restart', () => {
  it('brings autostarted mdevs back, and machines stopped, which start with their devices', () => {
    const host = server();
    host.defineMdev('0000:83:00.0', 'nvidia-231', MDEV, true);
    host.defineMdev(ACCELERATOR, 'idxd-1dwq-v1', OTHER_MDEV, false);
    host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', OTHER_MDEV);
    host.createMdev('0000:83:00.0', 'nvidia-231', MDEV);
    host.createMachine('guest', MEMORY);
    host.assign('guest', DRIVE);
    host.assign('guest', MDEV);
    const next = rebootHost(host);
    expect(next.mdevs().map((mdev) => mdev.uuid)).toEqual([MDEV]);
    expect(next.mdevDefinitions().map((one) => [one.uuid, one.active])).toEqual([
      [OTHER_MDEV, false],
      [MDEV, true],
    ]);
    expect(next.machineState('guest')?.state).toBe('stopped');
    expect(next.device(DRIVE)?.driver).toBe('nvme');
    next.startMachine('guest');
    expect(next.device(DRIVE)?.driver).toBe('vfio-pci');
    for (const device of [DRIVE, MDEV])
      expect(next.deviceDma({ device, iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
    next.release('guest', DRIVE);
    expect(next.device(DRIVE)?.driver).toBe('nvme');
  });

  it('into another kernel keeps the definitions; what can’t be opened there says why and changes nothing', () => {
    const host = server();
    host.enableAuxiliaryMode(ACCELERATOR);
    host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', MDEV);
    host.createMachine('guest', MEMORY);
    host.assign('guest', DRIVE);
    host.assign('guest', MDEV);
    const next = rebootHost(host, { profile: '7.2' });
    expect(next.profile).toBe('7.2');
    expect(refusal(() => next.startMachine('guest')).code).toBe('ENODEV');
    expect(next.machineState('guest')?.state).toBe('stopped');
    expect(next.device(DRIVE)?.driver).toBe('nvme');
  });
});

describe('other kernels on the same hardware', () => {
  it.each(['6.1', '7.2'] as const)(
    '%s has no auxiliary mode and says so, and assigns whole functions',
    (profile) => {
      const host = server(profile);
      const refused = refusal(() => host.enableAuxiliaryMode(ACCELERATOR));
      expect(refused.message).toContain('a kernel with auxiliary domains');
      expect(host.mdevParents().map((parent) => parent.device)).toEqual(['0000:83:00.0']);
      host.createMachine('guest', MEMORY);
      host.assign('guest', DRIVE);
      expect(host.deviceDma({ device: DRIVE, iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
      expect(refusal(() => host.assign('guest', '0000:81:00.0')).rule).toBe('reserved memory region');
      expect(refusal(() => host.assign('guest', '0000:04:01.0')).code).toBe('EBUSY');
      host.release('guest', DRIVE);
      expect(host.device(DRIVE)?.driver).toBe('nvme');
    },
  );
});
