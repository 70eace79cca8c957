/** What no machine could give is refused at once, with an errno, and nothing has changed. */
import { describe, expect, it } from 'vitest';
import { buildHost, type Host } from '../../../hw/host.ts';
import { builtInHost, DEFAULT_HOST } from '../../../src/hosts/builtin.ts';
import { errnoOf, VfioLab } from '../../support/vfio-lab.ts';

const DRIVE = '0000:27:00.0';
const GIB = 1n << 30n;
const U64 = 1n << 64n;

function server(profile: '5.15' | '7.2' = '7.2'): Host {
  const description = builtInHost(DEFAULT_HOST);
  if (description === undefined) throw new Error('the built-in host is missing');
  return buildHost(description, { profile });
}

describe('machines', () => {
  it.each([1024n * GIB, U64 - (2n << 20n), 0n, -(2n << 20n), 4096n])('of %d bytes', (bytes) => {
    const host = server();
    expect(errnoOf(() => host.createMachine('m', bytes))).toMatch(/^(ENOMEM|EINVAL)$/);
    host.createMachine('m', 64n << 20n);
    host.assign('m', DRIVE);
    const before = host.digest();
    expect(errnoOf(() => host.addMemory('m', bytes))).toMatch(/^(ENOMEM|EINVAL)$/);
    expect(host.digest()).toBe(before);
    expect(host.machineState('m')?.slots).toHaveLength(1);
  });

  it('together larger than the host: who comes last is refused when its pages are pinned (ENOMEM), and undone', () => {
    const host = server();
    host.createMachine('first', 40n * GIB, { hugePages: true });
    host.createMachine('second', 40n * GIB, { hugePages: true });
    host.assign('first', DRIVE);
    const before = host.kernel.allocator.usedFrames;
    expect(errnoOf(() => host.assign('second', '0000:16:01.0'))).toBe('ENOMEM');
    expect(host.machineState('second')?.lockedBytes).toBe(0n);
    // Pages that were touched belong to the process until it ends.
    host.killMachine('second');
    expect(host.kernel.allocator.usedFrames).toBe(before);
  });

  it('let a guest unmap 128 TiB and refuse to map them', () => {
    const host = server();
    host.createMachine('v', 64n << 20n, { virtualIommu: true });
    host.assign('v', DRIVE);
    const huge = { device: DRIVE, iova: 0n, guestAddress: 0n, lengthBytes: 1n << 47n };
    expect(errnoOf(() => host.guestMap('v', huge))).toBe('ENOMEM');
    host.guestMap('v', { ...huge, lengthBytes: 0x200000n });
    host.guestUnmap('v', DRIVE, 0n, 1n << 47n);
    expect(errnoOf(() => host.guestUnmap('v', DRIVE, 0n, U64))).toBe('EINVAL');
  });
});

describe('MAP_DMA and UNMAP_DMA', () => {
  const sizes = [U64 - 4096n, U64 - 0x200000n, 1n << 63n, 1n << 48n, (1n << 47n) + 4096n];

  it.each(sizes)('of %d bytes at addresses that hold them and that do not', (size) => {
    const lab = new VfioLab();
    const { container, descriptor } = lab.container();
    lab.group('A0').group.setContainer(lab.owner, descriptor);
    container.setIommu(3);
    const vaddr = lab.buffer(0x10000);
    const entries = container.info(24);
    for (const iova of [0n, 0x1000n, U64 - 4096n, 0xfedff000n]) {
      const map = { argsz: 32, flags: 3, vaddr, iova, size };
      expect(errnoOf(() => container.mapDma(lab.owner, map))).toMatch(/^(EINVAL|EOVERFLOW|EFAULT|ENOMEM)$/);
      const unmap = { argsz: 24, flags: 0, iova, size };
      const unmapped = errnoOf(() => container.unmapDma(lab.owner, unmap));
      expect(unmapped).toMatch(/^(success|EOVERFLOW)$/);
    }
    expect(lab.owner.memory.lockedPages).toBe(0);
    expect(container.info(24)).toEqual(entries);
  });

  it('gives back the pages of many short runs in order, one flush for 512 of them (VFIO_IOMMU_TLB_SYNC_MAX)', () => {
    const lab = new VfioLab();
    const { container, descriptor } = lab.container();
    lab.group('A0').group.setContainer(lab.owner, descriptor);
    container.setIommu(3);
    const pages = 2000;
    const size = BigInt(pages) * 4096n;
    const vaddr = lab.buffer(Number(size));
    container.mapDma(lab.owner, { argsz: 32, flags: 3, vaddr, iova: 0n, size });
    expect(lab.owner.memory.lockedPages).toBe(pages);
    const [{ domain }] = container.backend?.state.domains ?? [];
    let calls = 0;
    const unmap = domain.unmap.bind(domain);
    domain.unmap = (page, count) => {
      calls += 1;
      return unmap(page, count);
    };
    expect(container.unmapDma(lab.owner, { argsz: 24, flags: 0, iova: 0n, size })).toBe(size);
    expect(lab.owner.memory.lockedPages).toBe(0);
    expect(calls).toBeLessThanOrEqual(Math.ceil(pages / 512));
  });
});

describe('kernel calls by name', () => {
  it.each(['99999999999999999999', '0x10000000000000000'])(
    'of more than 64 bits (%s) are refused',
    (size) => {
      const host = server();
      const run = (name: string, args: Record<string, string>): string =>
        errnoOf(() => host.kernel.calls.run(name, args));
      expect(run('iommu_unmap_pasid', { pasid: '5', iova: '0x0', size })).toBe('EINVAL');
      expect(run('iommu_unmap_pasid', { pasid: '5', iova: size, size: '0x1000' })).toBe('EINVAL');
    },
  );
});

describe('names that every object has', () => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    '%s is no module, machine, device or file',
    (name) => {
      const host = server();
      expect(errnoOf(() => host.loadModule(name))).toBe('ENOENT');
      expect(errnoOf(() => host.unloadModule(name))).toBe('ENOENT');
      expect(errnoOf(() => host.startMachine(name))).toBe('ENOENT');
      expect(errnoOf(() => host.bindDriver(DRIVE, name))).toMatch(/^(ENOENT|ENODEV)$/);
      expect(errnoOf(() => host.readSysfs(`/sys/${name}`))).toBe('ENOENT');
      expect(errnoOf(() => host.createMdev(name, name, '00000000-0000-4000-8000-000000000000'))).toBe(
        'ENOENT',
      );
    },
  );

  it('unloading takes modules only, never the driver of a card', () => {
    const host = server();
    expect(errnoOf(() => host.unloadModule('0000:83:00.0'))).toBe('ENOENT');
    expect(host.mdevParents().some((parent) => parent.device === '0000:83:00.0')).toBe(true);
  });
});
