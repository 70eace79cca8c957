/** Functions of the built-in server under resets, with a device-TLB, past the unit, and as virtual functions. */
import { describe, expect, it } from 'vitest';
import type { Host } from '../../../hw/host.ts';
import { ACCELERATOR, DRIVE, functionAt, refusal, server } from '../../support/built-in-server.ts';

const MDEV = '11111111-2222-3333-4444-555555555555';
const MEMORY = 64n << 20n;
const HELLO = new TextEncoder().encode('hello from the device');

describe('resets', () => {
  it('of one function leave its neighbours alone and its translations gone', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    host.assign('guest', '0000:16:01.0');
    host.deviceDma({ device: '0000:16:01.0', iova: 0n, access: 'write', bytes: HELLO });
    expect(host.resetSet('0000:16:01.0').methods).toContain('flr');
    host.resetDevice('0000:16:01.0');
    expect(host.device('0000:16:00.0')?.driver).toBe('ice');
    expect(host.deviceDma({ device: '0000:16:01.0', iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
  });

  it('of a bus need everything on it: names what is missing (VFIO_DEVICE_PCI_HOT_RESET)', () => {
    const host = server();
    const set = host.resetSet('0000:3a:00.0').busReset.map((one) => one.device);
    expect(set).toEqual(['0000:3a:00.0']);
    const port = '0000:16:00.0';
    host.setVirtualFunctions(port, 0);
    host.createMachine('guest', MEMORY);
    host.assign('guest', port);
    const refused = refusal(() => host.hotResetDevice(port));
    expect([refused.code, refused.rule]).toEqual(['EINVAL', 'reset hits others']);
    expect(refused.message).toContain('0000:16:00.1');
    host.assign('guest', '0000:16:00.1');
    host.hotResetDevice(port);
    expect(host.deviceDma({ device: port, iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
    expect(refusal(() => host.hotResetDevice(DRIVE)).code).toBe('ENODEV');
    host.createMachine('other', MEMORY);
    host.assign('other', '0000:00:17.0');
    expect(refusal(() => host.hotResetDevice('0000:00:17.0')).rule).toBe('no bus reset');
  });
});

describe('device-TLB (ATS)', () => {
  const PLUGGED = 0x100000000n;

  function reachAfterUnplug(host: Host, device: string): { before: boolean; after: boolean } {
    host.addMemory('guest', 2n << 20n);
    const dma = { device, iova: PLUGGED, access: 'write', bytes: HELLO } as const;
    const before = host.deviceDma(dma).ok;
    host.removeMemory('guest');
    return { before, after: host.deviceDma(dma).ok };
  }

  it('is flushed for requests without PASID when memory goes', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    host.assign('guest', '0000:16:01.0');
    expect(reachAfterUnplug(host, '0000:16:01.0')).toEqual({ before: true, after: false });
  });

  it('keeps translations of a PASID in 5.15, whose unmap flushes without PASID: the slice still writes there', () => {
    const host = server();
    host.enableAuxiliaryMode(ACCELERATOR);
    host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', MDEV);
    host.createMachine('guest', MEMORY);
    host.assign('guest', MDEV);
    expect(host.kernel.profile.quirks.map((quirk) => quirk.name)).toContain('aux-unmap-plain-device-tlb');
    expect(reachAfterUnplug(host, MDEV)).toEqual({ before: true, after: true });
    expect(host.deviceTlb(ACCELERATOR)).toMatchObject([{ pasid: 1, iova: PLUGGED, current: false }]);
    expect(host.deviceDma({ device: MDEV, iova: PLUGGED, access: 'write', bytes: HELLO }).fromDeviceTlb).toBe(
      true,
    );
    host.release('guest', MDEV);
    expect(host.deviceTlb(ACCELERATOR)).toEqual([]);
  });
});

describe('requests that turn round below the root complex', () => {
  const write = (host: Host, device: string, iova: bigint) =>
    host.deviceDma({ device, iova, access: 'write', bytes: HELLO });

  it('cross a switch whose ports do not redirect them, past the remapping unit (PCIe 6.12)', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    host.unbindDriver('0000:3b:00.0');
    host.assign('guest', '0000:3a:00.0');
    const crossed = write(host, '0000:3a:00.0', 0xab100040n);
    expect(crossed).toMatchObject({ ok: true, peer: '0000:3b:00.0', fault: undefined });
    expect(crossed.note).toContain('no ACS');
    expect(write(host, '0000:3a:00.0', 0x1000n)).toMatchObject({ ok: true, peer: undefined });
  });

  it('stay on a conventional bus, and never pass a port with ACS', () => {
    const host = server();
    host.createMachine('guest', MEMORY);
    host.unbindDriver('0000:04:00.0');
    host.assign('guest', '0000:04:01.0');
    expect(write(host, '0000:04:01.0', 0x92000000n).peer).toBe('0000:04:00.0');
    host.assign('guest', DRIVE);
    expect(write(host, DRIVE, 0xa1100000n)).toMatchObject({ ok: false, peer: undefined });
  });

  it('lead only to members of the same group on the built-in server', () => {
    const host = server();
    const addresses = host.description.functions.map((one) => one.address);
    for (const from of addresses) {
      for (const to of addresses) {
        if (from === to || host.device(to)?.isBridge !== false) continue;
        const bytes = host.configurationBytes(to).slice(0x10, 0x14);
        const address = BigInt(new DataView(bytes.buffer).getUint32(0, true) & ~0xf) & 0xfffffff0n;
        if (address === 0n) continue;
        const peer = host.hardware.fabric.wiring.peerAt(functionAt(host, from), address);
        if (peer !== undefined) expect(host.device(from)?.group).toBe(host.device(to)?.group);
      }
    }
  });
});

describe('virtual functions', () => {
  it('come and go with sriov_numvfs, each in a group of its own and bound to its driver', () => {
    const host = server();
    const port = '0000:16:00.1';
    host.setVirtualFunctions(port, 3);
    const functions = host.device(port)?.virtualFunctions ?? [];
    expect(functions).toHaveLength(3);
    const groups = functions.map((name) => host.device(name)?.group);
    expect(new Set(groups).size).toBe(3);
    expect(functions.map((name) => host.device(name)?.driver)).toEqual(['iavf', 'iavf', 'iavf']);
    expect(refusal(() => host.setVirtualFunctions(port, 2)).code).toBe('EBUSY');
    expect(refusal(() => host.setVirtualFunctions(port, 17)).code).toBe('ERANGE');
    expect(refusal(() => host.setVirtualFunctions(DRIVE, 1)).code).toBe('ENOENT');
    host.createMachine('guest', MEMORY);
    host.assign('guest', functions[1]);
    expect(host.deviceDma({ device: functions[1], iova: 0n, access: 'write', bytes: HELLO }).ok).toBe(true);
    expect(refusal(() => host.setVirtualFunctions(port, 0)).code).toBe('EBUSY');
    host.release('guest', functions[1]);
    host.setVirtualFunctions(port, 0);
    expect(host.device(port)?.virtualFunctions).toEqual([]);
    expect(host.device(functions[0])).toBeUndefined();
  });
});
