/** Machines that have their devices by IOMMUFD: nested tables of a virtual IOMMU, and dirty pages by the unit's own bits. */
import { describe, expect, it } from 'vitest';
import type { Host } from '../../../hw/host.ts';
import { refusal, server } from '../../support/built-in-server.ts';

const DRIVE = '0000:27:00.0';
/** Behind the unit of socket 1, which has no first level and can't nest. */
const DRIVE_WITHOUT_NESTING = '0000:82:00.0';
const MEMORY = 64n << 20n;
const HELLO = new TextEncoder().encode('hello');
const IOVA = 0x70000000n;

describe('machines on IOMMUFD', () => {
  it('need a kernel that has it', () => {
    expect(refusal(() => server('5.15').createMachine('guest', MEMORY, { iommufd: true })).code).toBe(
      'ENOENT',
    );
  });

  it('reach their memory, and give everything back when they end, orderly or not', () => {
    const host = server('7.2');
    const before = host.kernel.allocator.usedFrames;
    for (const end of ['stopMachine', 'killMachine'] as const) {
      host.createMachine('guest', MEMORY, { iommufd: true });
      host.assign('guest', DRIVE);
      host.assign('guest', DRIVE_WITHOUT_NESTING);
      for (const device of [DRIVE, DRIVE_WITHOUT_NESTING])
        expect(host.deviceDma({ device, iova: 0x1000n, access: 'write', bytes: HELLO }).ok).toBe(true);
      expect(host.readMachineMemory('guest', 0x1000n, HELLO.length)).toEqual(HELLO);
      expect(host.machineState('guest')).toMatchObject({
        interface: 'iommufd',
        mappings: [{ iova: 0n, lengthBytes: MEMORY, read: true, write: true }],
      });
      host[end]('guest');
      expect(host.deviceDma({ device: DRIVE, iova: 0x1000n, access: 'write', bytes: HELLO }).ok).toBe(false);
      host.removeMachine('guest');
    }
    expect(host.device(DRIVE)?.driver).toBe('nvme');
    expect(host.kernel.allocator.usedFrames).toBe(before);
  });

  it('count exactly the pages that a device wrote since the last round (VT-d 3.7, second-level D bits)', () => {
    const host = server('7.2');
    host.createMachine('guest', MEMORY, { iommufd: true });
    host.assign('guest', DRIVE);
    host.startDirtyTracking('guest');
    expect(host.queryDirtyPages('guest')).toBe(0n);
    host.deviceDma({ device: DRIVE, iova: 0x5000n, access: 'write', bytes: HELLO });
    host.deviceDma({ device: DRIVE, iova: 0x8ffen, access: 'write', bytes: HELLO });
    host.deviceDma({ device: DRIVE, iova: 0x20000n, access: 'read', lengthBytes: 64 });
    expect(host.queryDirtyPages('guest')).toBe(3n);
    expect(host.queryDirtyPages('guest')).toBe(0n);
    host.deviceDma({ device: DRIVE, iova: 0x5000n, access: 'write', bytes: HELLO });
    expect(host.queryDirtyPages('guest')).toBe(1n);
    host.stopDirtyTracking('guest');
    expect(refusal(() => host.queryDirtyPages('guest')).code).toBe('EINVAL');
  });
});

describe('a virtual IOMMU with nested tables', () => {
  function guest(): Host {
    const host = server('7.2');
    host.createMachine('guest', MEMORY, { virtualIommu: true });
    host.assign('guest', DRIVE);
    return host;
  }

  it('leaves the device on the whole of guest memory until the guest maps something', () => {
    const host = guest();
    expect(host.deviceDma({ device: DRIVE, iova: 0x5000n, access: 'write', bytes: HELLO }).ok).toBe(true);
    expect(host.machineState('guest')?.devices).toMatchObject([{ nested: false }]);
  });

  it('walks the guest table in guest memory, each of its entries translated by the host', () => {
    const host = guest();
    host.guestMap('guest', { device: DRIVE, iova: IOVA, guestAddress: 0x9000n, lengthBytes: 0x2000n });
    expect(host.machineState('guest')?.devices).toMatchObject([{ nested: true }]);
    const done = host.deviceDma({ device: DRIVE, iova: IOVA + 0xffen, access: 'write', bytes: HELLO });
    expect(done.ok).toBe(true);
    expect(host.readMachineMemory('guest', 0x9ffen, HELLO.length)).toEqual(HELLO);
    const steps = host.explainTranslation({ device: DRIVE, iova: IOVA }).steps.map((step) => step.structure);
    expect(steps.filter((step) => step.startsWith('first-level'))).toHaveLength(4);
    expect(steps.filter((step) => step.startsWith('second-level'))).toHaveLength(20);
    const old = host.deviceDma({ device: DRIVE, iova: 0x5000n, access: 'write', bytes: HELLO });
    expect(old.fault?.meaning).toContain('first-level');
  });

  it('obeys rights and unmaps of the guest', () => {
    const host = guest();
    host.guestMap('guest', {
      device: DRIVE,
      iova: IOVA,
      guestAddress: 0x9000n,
      lengthBytes: 0x2000n,
      writable: false,
    });
    const write = { device: DRIVE, iova: IOVA, access: 'write', bytes: HELLO } as const;
    expect(host.deviceDma(write).ok).toBe(false);
    expect(host.deviceDma({ device: DRIVE, iova: IOVA, access: 'read', lengthBytes: 8 }).ok).toBe(true);
    host.guestMap('guest', { device: DRIVE, iova: IOVA, guestAddress: 0xa000n, lengthBytes: 0x1000n });
    expect(host.deviceDma(write).ok).toBe(true);
    expect(host.readMachineMemory('guest', 0xa000n, HELLO.length)).toEqual(HELLO);
    host.guestUnmap('guest', DRIVE, IOVA, 0x1000n);
    expect(host.deviceDma(write).ok).toBe(false);
  });

  it('cannot reach beyond guest memory, whatever the guest writes into its tables', () => {
    const host = guest();
    host.guestMap('guest', { device: DRIVE, iova: IOVA, guestAddress: MEMORY, lengthBytes: 0x1000n });
    expect(host.deviceDma({ device: DRIVE, iova: IOVA, access: 'write', bytes: HELLO }).ok).toBe(false);
  });

  it('is refused where it cannot be', () => {
    const host = server('7.2');
    host.createMachine('plain', MEMORY, { iommufd: true });
    host.assign('plain', DRIVE);
    const mapping = { device: DRIVE, iova: IOVA, guestAddress: 0n, lengthBytes: 0x1000n };
    expect(refusal(() => host.guestMap('plain', mapping)).rule).toBe('no virtual IOMMU');
    host.release('plain', DRIVE);
    host.createMachine('guest', MEMORY, { virtualIommu: true });
    expect(refusal(() => host.assign('guest', DRIVE_WITHOUT_NESTING)).code).toBe('EOPNOTSUPP');
    host.assign('guest', DRIVE);
    expect(refusal(() => host.guestMap('guest', { ...mapping, lengthBytes: 100n })).code).toBe('EINVAL');
    expect(refusal(() => host.guestMap('guest', { ...mapping, device: '0000:28:00.0' })).code).toBe('ENODEV');
  });

  it('starts anew with the machine', () => {
    const host = guest();
    host.guestMap('guest', { device: DRIVE, iova: IOVA, guestAddress: 0x9000n, lengthBytes: 0x1000n });
    host.stopMachine('guest');
    host.startMachine('guest');
    expect(host.machineState('guest')?.devices).toMatchObject([{ nested: false }]);
    expect(host.deviceDma({ device: DRIVE, iova: 0x5000n, access: 'write', bytes: HELLO }).ok).toBe(true);
    host.release('guest', DRIVE);
    expect(host.device(DRIVE)?.driver).toBe('nvme');
  });
});
