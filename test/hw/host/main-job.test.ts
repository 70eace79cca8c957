/**
 * The main job on the built-in server, engine only: from an act to bytes in guest memory and back, on both halves with
 * nothing between them but the port.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Host } from '../../../hw/host.ts';
import { ACCELERATOR, DRIVE, refusal, server } from '../../support/built-in-server.ts';

const MDEV = '11111111-2222-3333-4444-555555555555';
const OTHER_MDEV = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const MEMORY = 64n << 20n;
const HELLO = new TextEncoder().encode('hello from the device');

const availableOf = (host: Host, type: string): number | undefined =>
  host
    .mdevParents()
    .find((parent) => parent.device === ACCELERATOR)
    ?.types.find((one) => one.id === type)?.availableInstances;

describe('the main job on the built-in server', () => {
  let host: Host;
  beforeEach(() => {
    host = server();
  });

  it('shows the PCI tree with capabilities decoded from configuration space, and the group of each device', () => {
    const roots = host.deviceTree();
    expect(roots.map((root) => root.bus)).toEqual([0x00, 0x15, 0x26, 0x37, 0x6a, 0x80, 0xe7]);
    const names = host.capabilities(ACCELERATOR).map((one) => one.name);
    expect(names).toEqual(
      expect.arrayContaining([
        'Address Translation Service',
        'Process Address Space ID',
        'Page Request Interface',
        'Scalable I/O Virtualization',
      ]),
    );
    const pasid = host.capabilities(ACCELERATOR).find((one) => one.id === 0x1b);
    expect(pasid?.fields.find((field) => field.name === 'maximumWidth')?.value).toBe(20n);
    const group = host.group(host.device('0000:3a:00.0')?.group ?? -1);
    expect(group?.devices).toEqual(['0000:39:00.0', '0000:39:00.1', '0000:3a:00.0', '0000:3b:00.0']);
    for (const reason of group?.reasons ?? []) expect(reason.detail.length).toBeGreaterThan(20);
    expect(host.group(host.device(ACCELERATOR)?.group ?? -1)?.devices).toEqual([ACCELERATOR]);
  });

  it('switches a capable parent to auxiliary mode, and names what an incapable one lacks', () => {
    expect(host.device(ACCELERATOR)?.auxiliaryMode).toBe('off');
    host.enableAuxiliaryMode(ACCELERATOR);
    expect(host.device(ACCELERATOR)?.auxiliaryMode).toBe('on');
    const context = host.explainTranslation({ device: ACCELERATOR, iova: 0n }).steps[1];
    expect(context.fields.find((field) => field.name === 'pasidEnable')?.value).toBe(1n);
    const refused = refusal(() => host.enableAuxiliaryMode(DRIVE));
    expect(refused.code).toBe('ENODEV');
    expect(refused.message).toContain('PASID capability');
    expect(refused.message).toContain('DVSEC 8086:0005');
    host.disableAuxiliaryMode(ACCELERATOR);
    expect(host.device(ACCELERATOR)?.auxiliaryMode).toBe('off');
  });

  it('makes mdevs of several types that take from the same queues', () => {
    expect(availableOf(host, 'idxd-1dwq-v1')).toBe(8);
    expect(availableOf(host, 'idxd-1dwq-large-v1')).toBe(2);
    host.createMdev(ACCELERATOR, 'idxd-1dwq-large-v1', MDEV);
    expect(availableOf(host, 'idxd-1dwq-v1')).toBe(5);
    expect(availableOf(host, 'idxd-1dwq-large-v1')).toBe(1);
    expect(refusal(() => host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', MDEV)).code).toBe('EEXIST');
    expect(refusal(() => host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', 'no uuid')).code).toBe('EINVAL');
    expect(refusal(() => host.createMdev(DRIVE, 'idxd-1dwq-v1', OTHER_MDEV)).code).toBe('ENOENT');
    host.removeMdev(MDEV);
    expect(availableOf(host, 'idxd-1dwq-v1')).toBe(8);
  });

  describe('an mdev of a parent in auxiliary mode, given to a machine', () => {
    beforeEach(() => {
      host.enableAuxiliaryMode(ACCELERATOR);
      host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', MDEV);
      host.createMachine('guest', MEMORY);
      host.assign('guest', MDEV);
    });

    it('gets a PASID, real tables in memory, and pinned memory charged to the machine', () => {
      const [mdev] = host.mdevs();
      expect(mdev).toMatchObject({ assignedTo: 'guest', pasid: 1, resource: 'work queue 0 (dedicated)' });
      const entry = host.pasidEntries().find((one) => one.device === ACCELERATOR && one.pasid === 1);
      expect(entry?.fields.find((field) => field.name === 'translationType')?.meaning).toBe('second-level');
      const domain = host.domains().find((one) => one.name === entry?.domain);
      expect(domain).toMatchObject({ type: 'unmanaged', level: 'second', defaultPasid: 1, owner: 'guest' });
      expect(domain?.attachments).toEqual([{ device: ACCELERATOR, kind: 'auxiliary', pasid: 1, users: 1 }]);
      expect(host.machineState('guest')).toMatchObject({ lockedBytes: MEMORY, memoryBytes: MEMORY });
    });

    it('sends invalidations through the queue: descriptors executed, the tail reached', () => {
      const unit = host
        .unitStates()
        .find((one) => one.queue?.descriptors.some((d) => d.kind.includes('context')));
      expect(unit?.queue?.head).toBe(unit?.queue?.tail);
    });

    it('lands its DMA in guest memory, in both directions', () => {
      const written = host.deviceDma({ device: MDEV, iova: 0x1ff8n, access: 'write', bytes: HELLO });
      expect(written).toMatchObject({ ok: true, bytesDone: HELLO.length, pasid: 1, fault: undefined });
      expect(host.readMachineMemory('guest', 0x1ff8n, HELLO.length)).toEqual(HELLO);
      host.writeMachineMemory('guest', 0x5000n, Uint8Array.of(1, 2, 3));
      const read = host.deviceDma({ device: MDEV, iova: 0x5000n, access: 'read', lengthBytes: 3 });
      expect(read.bytes).toEqual(Uint8Array.of(1, 2, 3));
    });

    it('faults outside it, and the fault was read from the registers of the unit and cleared there', () => {
      const result = host.deviceDma({ device: MDEV, iova: MEMORY, access: 'write', bytes: HELLO });
      expect(result.ok).toBe(false);
      expect(result.fault).toMatchObject({
        device: ACCELERATOR,
        pasid: 1,
        address: MEMORY,
        access: 'write',
      });
      expect(host.events().at(-1)?.fault).toEqual(result.fault);
      expect(result.fault?.meaning).not.toBe('');
      expect(host.unitStates().flatMap((unit) => unit.faults)).toEqual([]);
      expect(host.kernel.log.lines.some((line) => line.includes('fault addr 0x4000000'))).toBe(true);
      host.clearEvents();
      expect(host.events()).toEqual([]);
    });

    it('faults with another PASID than its own, and without one reaches nothing of the guest', () => {
      const strange = host.deviceDma({
        device: MDEV,
        iova: 0x1000n,
        access: 'write',
        bytes: HELLO,
        pasid: 77,
      });
      expect(strange.fault).toMatchObject({ pasid: 77 });
      const plain = host.deviceDma({ device: ACCELERATOR, iova: 0x1000n, access: 'write', bytes: HELLO });
      expect(plain.ok).toBe(false);
      expect(host.readMachineMemory('guest', 0x1000n, HELLO.length).every((byte) => byte === 0)).toBe(true);
    });

    it('is walked from root to page, each entry read from memory', () => {
      const walk = host.explainTranslation({ device: MDEV, iova: 0x3123n, access: 'write' });
      expect(walk.steps.map((step) => step.structure)).toEqual([
        'scalable-mode root entry',
        'scalable-mode context entry',
        'PASID directory entry',
        'PASID-table entry',
        'second-level entry, level 4',
        'second-level entry, level 3',
        'second-level entry, level 2',
        'second-level entry, level 1',
      ]);
      for (const step of walk.steps) {
        const bytes = host.hardware.memory.read(Number(step.address), step.words.length * 4);
        expect(bytes).toEqual(
          new Uint8Array(step.words.buffer, step.words.byteOffset, step.words.length * 4),
        );
      }
      host.deviceDma({ device: MDEV, iova: 0x3123n, access: 'write', bytes: HELLO });
      const physical = Number(walk.physical);
      expect(host.hardware.memory.read(physical, HELLO.length)).toEqual(HELLO);
      expect(host.deviceTlb(ACCELERATOR)).toMatchObject([{ pasid: 1, iova: 0x3000n, current: true }]);
    });

    it('shares domain and PASID with a second mdev in the same machine, and none with another machine', () => {
      host.createMdev(ACCELERATOR, 'idxd-1swq-v1', OTHER_MDEV);
      host.assign('guest', OTHER_MDEV);
      expect(host.mdevs().map((mdev) => mdev.pasid)).toEqual([1, 1]);
      const domain = host.domains().find((one) => one.owner === 'guest');
      expect(domain?.attachments).toEqual([{ device: ACCELERATOR, kind: 'auxiliary', pasid: 1, users: 2 }]);
      host.release('guest', OTHER_MDEV);
      host.createMachine('second', MEMORY);
      host.assign('second', OTHER_MDEV);
      const pasid = host.mdevs().find((mdev) => mdev.uuid === OTHER_MDEV)?.pasid;
      expect(pasid).toBeGreaterThan(1);
      host.deviceDma({ device: OTHER_MDEV, iova: 0n, access: 'write', bytes: HELLO });
      expect(host.readMachineMemory('second', 0n, HELLO.length)).toEqual(HELLO);
      expect(host.readMachineMemory('guest', 0n, HELLO.length)).not.toEqual(HELLO);
    });

    it('is in nobody else’s reach: the isolation matrix has each slice in its own machine only', () => {
      host.createMdev(ACCELERATOR, 'idxd-1dwq-v1', OTHER_MDEV);
      host.createMachine('second', MEMORY);
      host.assign('second', OTHER_MDEV);
      host.assign('second', DRIVE);
      const pages = Number(MEMORY / 4096n);
      expect(
        host.isolationMatrix().map((cell) => [cell.device, cell.pasid, cell.machine, cell.writablePages]),
      ).toEqual(
        expect.arrayContaining([
          [ACCELERATOR, 1, 'guest', pages],
          [ACCELERATOR, 2, 'second', pages],
          [DRIVE, undefined, 'second', pages],
        ]),
      );
      expect(host.isolationMatrix()).toHaveLength(3);
    });

    it('keeps the parent from being given away whole, and from losing the mdev while it is used', () => {
      host.createMachine('second', MEMORY);
      const refused = refusal(() => host.assign('second', ACCELERATOR));
      expect([refused.code, refused.rule]).toEqual(['EPERM', 'device is in auxiliary mode']);
      expect(refusal(() => host.removeMdev(MDEV)).code).toBe('EBUSY');
      expect(refusal(() => host.assign('second', MDEV)).code).toBe('EBUSY');
    });

    it('leaves nothing behind: release, removal and disabling bring the tables back as they were', () => {
      host.release('guest', MDEV);
      expect(host.pasidEntries().filter((one) => one.device === ACCELERATOR && one.pasid !== 0)).toEqual([]);
      expect(host.machineState('guest')?.lockedBytes).toBe(0n);
      const refused = host.deviceDma({ device: MDEV, iova: 0x1000n, access: 'write', bytes: HELLO });
      expect(refused.ok).toBe(false);
      host.removeMdev(MDEV);
      host.stopMachine('guest');
      host.removeMachine('guest');
      expect(host.domains().every((one) => one.type === 'DMA-FQ')).toBe(true);
    });
  });

  it('gives a whole function away in normal mode: driver changed, memory reached, driver back at the end', () => {
    host.createMachine('guest', MEMORY);
    expect(host.device(DRIVE)?.driver).toBe('nvme');
    host.assign('guest', DRIVE);
    expect(host.device(DRIVE)).toMatchObject({ driver: 'vfio-pci', assignedTo: 'guest' });
    const result = host.deviceDma({ device: DRIVE, iova: 0x2000n, access: 'write', bytes: HELLO });
    expect(result).toMatchObject({ ok: true, pasid: undefined });
    expect(host.readMachineMemory('guest', 0x2000n, HELLO.length)).toEqual(HELLO);
    host.release('guest', DRIVE);
    expect(host.device(DRIVE)).toMatchObject({ driver: 'nvme', assignedTo: undefined });
  });

  it('tells when the IOTLB would answer in place of the tables', () => {
    host.createMachine('guest', MEMORY);
    host.assign('guest', DRIVE);
    const walk = { device: DRIVE, iova: 0x2000n, access: 'write' } as const;
    expect(host.explainTranslation(walk).cached).toBe('none');
    host.deviceDma({ ...walk, bytes: HELLO });
    expect(host.explainTranslation(walk).cached).toBe('iotlb');
  });

  it('refuses a function whose sibling does DMA for the kernel, and names sibling and remedy', () => {
    host.createMachine('guest', MEMORY);
    const refused = refusal(() => host.assign('guest', '0000:04:01.0'));
    expect(refused.code).toBe('EBUSY');
    expect(refused.message).toContain('0000:04:00.0');
    expect(refused.remedy).toContain('vfio-pci');
    expect(host.device('0000:04:01.0')?.driver).toBe('snd_ens1371');
    expect(host.assignmentBlockers('guest', '0000:04:01.0').length).toBeGreaterThan(0);
    host.unbindDriver('0000:04:00.0');
    host.assign('guest', '0000:04:01.0');
    const result = host.deviceDma({ device: '0000:04:01.0', iova: 0n, access: 'write', bytes: HELLO });
    // Behind a PCIe-to-PCI bridge: the requester id is that of the bridge's secondary bus.
    expect(result).toMatchObject({ ok: true, requesterId: 0x0400 });
  });

  it('refuses a device with reserved memory, but not a USB controller (relaxable)', () => {
    host.createMachine('guest', MEMORY);
    expect(refusal(() => host.assign('guest', '0000:81:00.0')).rule).toBe('reserved memory region');
    host.assign('guest', '0000:00:14.0');
    expect(host.device('0000:00:14.0')?.assignedTo).toBe('guest');
  });

  it('is deterministic: the same acts give the same digest, other acts another', () => {
    const run = (twist: boolean): string => {
      const one = server();
      one.enableAuxiliaryMode(ACCELERATOR);
      one.createMdev(ACCELERATOR, 'idxd-1dwq-v1', MDEV);
      one.createMachine('guest', MEMORY);
      one.assign('guest', MDEV);
      one.deviceDma({
        device: MDEV,
        iova: twist ? 0x2000n : 0x1000n,
        access: 'write',
        bytes: HELLO,
      });
      return one.digest();
    };
    expect(run(false)).toBe(run(false));
    expect(run(false)).not.toBe(run(true));
  });
});
