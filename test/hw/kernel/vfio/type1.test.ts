import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PinningFunction } from '../../../../hw/kernel/mdev/drivers/pinning-test.ts';
import type { Container } from '../../../../hw/kernel/vfio/container.ts';
import { errnoOf, VfioLab } from '../../../support/vfio-lab.ts';

const PAGE = 4096n;
const V1 = 1;
const V2 = 3;

function opened(version: number, lab = new VfioLab()): { lab: VfioLab; container: Container } {
  const { container, descriptor } = lab.container();
  lab.group('A0').group.setContainer(lab.owner, descriptor);
  container.setIommu(version);
  return { lab, container };
}

const map = (
  lab: VfioLab,
  container: Container,
  iova: bigint,
  size: bigint,
  vaddr: bigint,
  flags = 3,
): void => container.mapDma(lab.owner, { argsz: 32, flags, vaddr, iova, size });

const unmap = (lab: VfioLab, container: Container, iova: bigint, size: bigint, flags = 0): bigint =>
  container.unmapDma(lab.owner, { argsz: 24, flags, iova, size });

/** The result of an unmap as the reference tables it: bytes in hex, or an errno. */
function result(call: () => bigint): string {
  let bytes: bigint | undefined;
  const errno = errnoOf(() => {
    bytes = call();
  });
  return bytes === undefined ? errno : bytes.toString(16);
}

describe('worked unmap cases (vfio-type1: mappings A = [0, 200000h), B = [200000h, 400000h), C = [800000h, 900000h))', () => {
  const cases: [iova: bigint, size: bigint, flags: number, v2: string, v1: string][] = [
    [0n, 0x200000n, 0, '200000', '200000'],
    [0n, 0x400000n, 0, '400000', '400000'],
    [0n, 0x1000n, 0, 'EINVAL', '200000'],
    [0x100000n, 0x100000n, 0, 'EINVAL', '0'],
    [0x100000n, 0x300000n, 0, 'EINVAL', '0'],
    [0n, 0x300000n, 0, 'EINVAL', '400000'],
    [0x400000n, 0x400000n, 0, '0', '0'],
    [0x400000n, 0x500000n, 0, '100000', '100000'],
    [0n, 0x800n, 0, 'EINVAL', 'EINVAL'],
    [0n, 0n, 2, '500000', '500000'],
    [0n, 0x1000n, 2, 'EINVAL', 'EINVAL'],
    [0xfffffffffffff000n, 0x2000n, 0, 'EOVERFLOW', 'EOVERFLOW'],
  ];
  for (const [iova, size, flags, v2, v1] of cases) {
    it(`${flags === 2 ? 'ALL ' : ''}${iova.toString(16)}h + ${size.toString(16)}h: ${v2} in version 2, ${v1} in version 1`, () => {
      for (const [version, expected] of [
        [V2, v2],
        [V1, v1],
      ] as const) {
        const { lab, container } = opened(version);
        const buffer = lab.buffer(0x200000);
        map(lab, container, 0n, 0x200000n, buffer);
        map(lab, container, 0x200000n, 0x200000n, buffer);
        map(lab, container, 0x800000n, 0x100000n, buffer);
        expect(result(() => unmap(lab, container, iova, size, flags))).toBe(expected);
      }
    });
  }

  it('a wrap is EINVAL before 6.x reworked it', () => {
    const { lab, container } = opened(V2, new VfioLab({ profile: '6.1' }));
    expect(errnoOf(() => unmap(lab, container, 0xfffffffffffff000n, 0x2000n))).toBe('EINVAL');
  });
});

describe('accounting (vfio-type1 8.1)', () => {
  it('charges pins while no IOMMU is there, everything once one is, and pins again after it left', () => {
    const lab = new VfioLab();
    const { mdev, group } = lab.mdev('vpin', 'vpin-a', 'deadbeef-0000-0000-0000-000000000004');
    const { container, descriptor } = lab.container();
    group.setContainer(lab.owner, descriptor);
    container.setIommu(V2);
    const { file } = lab.device(group, mdev.uuid);
    const pins = file.operations as PinningFunction;
    expect(pins).toBeInstanceOf(PinningFunction);
    const locked = (): number => lab.owner.memory.lockedPages;
    map(lab, container, 0n, 512n * PAGE, lab.buffer(512 * 4096));
    expect(locked()).toBe(0);
    pins.pin(0n, 2, 3);
    expect(locked()).toBe(2);
    pins.pin(0n, 1, 3);
    expect(locked()).toBe(2);
    const pci = lab.group('A0').group;
    pci.setContainer(lab.owner, descriptor);
    expect(locked()).toBe(512);
    pins.pin(7n * PAGE, 1, 3);
    expect(locked()).toBe(512);
    pins.unpin(0n, 1);
    expect(locked()).toBe(512);
    pci.unsetContainer();
    expect(locked()).toBe(3);
    pins.unpin(0n, 2);
    pins.unpin(7n * PAGE, 1);
    expect(locked()).toBe(0);
    expect(unmap(lab, container, 0n, 512n * PAGE)).toBe(512n * PAGE);
    expect(locked()).toBe(0);
  });

  it('a group that can not join for the limit leaves the container as it was', () => {
    const lab = new VfioLab();
    lab.owner.userId = 1000;
    lab.owner.memoryLockLimitBytes = 16 * 4096;
    const { container, descriptor } = lab.container();
    const parent = lab.kernel.mdev.parent('vpin');
    if (parent === undefined) throw new Error('no vpin');
    const mdev = lab.kernel.mdev.create(
      parent,
      lab.kernel.mdev.type(parent, 'vpin-a'),
      'deadbeef-0000-0000-0000-000000000004',
    );
    for (const vfioGroup of lab.kernel.vfio.groups) vfioGroup.nodeUserId = 1000;
    const { group } = lab.openGroup(lab.kernel.iommu.groupOf(mdev!.device)?.id ?? -1);
    group.setContainer(lab.owner, descriptor);
    container.setIommu(V2);
    map(lab, container, 0n, 64n * PAGE, lab.buffer(64 * 4096));
    lab.bind('A0', 'vfio-pci');
    for (const vfioGroup of lab.kernel.vfio.groups) vfioGroup.nodeUserId = 1000;
    const pci = lab.group('A0').group;
    expect(errnoOf(() => pci.setContainer(lab.owner, descriptor))).toBe('ENOMEM');
    expect(lab.owner.memory.lockedPages).toBe(0);
    expect(container.groups).toHaveLength(1);
    expect(lab.kernel.iommu.groupOf(lab.kernel.pciDevice('0000:00:02.0')!)?.ownerCount).toBe(0);
    expect(container.info(4096).pageSizes).toBe(0xfffffffffffff000n);
  });
});

describe('dirty bitmap (vfio-type1 11.1)', () => {
  it('mappings [0, 3000h) and [3000h, 5000h), page 1 pinned, page 4 written by the CPU: 12h, then 02h; 1Fh with a PCI group', () => {
    const lab = new VfioLab();
    const { mdev, group } = lab.mdev('vpin', 'vpin-a', 'deadbeef-0000-0000-0000-000000000004');
    const { container, descriptor } = lab.container();
    group.setContainer(lab.owner, descriptor);
    container.setIommu(V2);
    const { file } = lab.device(group, mdev.uuid);
    const buffer = lab.buffer(0x5000);
    map(lab, container, 0n, 0x3000n, buffer);
    map(lab, container, 0x3000n, 0x2000n, buffer + 0x3000n);
    container.dirtyPages({ argsz: 8, flags: 1 });
    (file.operations as PinningFunction).pin(PAGE, 1, 3);
    file.device.accessMemory(4n * PAGE, Uint8Array.of(1), true);
    const bits = (): number => {
      const word = new Uint8Array(8);
      container.dirtyPages({
        argsz: 48,
        flags: 4,
        iova: 0n,
        size: 0x5000n,
        bitmap: {
          pgsize: PAGE,
          sizeBytes: 8n,
          user: {
            read: (at, length) => word.slice(at, at + length),
            write: (at, bytes) => word.set(bytes, at),
          },
        },
      });
      return word[0];
    };
    expect(bits()).toBe(0x12);
    expect(bits() & 0x1f).toBe(0x02);
    lab.group('A0').group.setContainer(lab.owner, descriptor);
    expect(bits() & 0x1f).toBe(0x1f);
    expect(bits() & 0x1f).toBe(0x1f);
  });
});

interface Model {
  start: bigint;
  size: bigint;
}

/** Unmap as the reference states it, on a plain list. */
function modelUnmap(mappings: Model[], iova: bigint, size: bigint, version: number): bigint | undefined {
  const end = iova + size;
  const inside = (at: bigint): Model | undefined =>
    mappings.find((each) => at >= each.start && at < each.start + each.size);
  if (version === V2) {
    const head = inside(iova);
    const tail = inside(end - 1n);
    if ((head !== undefined && head.start !== iova) || (tail !== undefined && tail.start + tail.size !== end))
      return undefined;
  }
  let bytes = 0n;
  for (const each of [...mappings].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (each.start + each.size <= iova || each.start >= end) continue;
    if (version === V1 && iova > each.start) break;
    bytes += each.size;
    mappings.splice(mappings.indexOf(each), 1);
  }
  return bytes;
}

describe('random sequences', () => {
  for (const version of [V1, V2]) {
    it(`map, unmap, counters and locked memory follow the model, version ${version === V1 ? 1 : 2}`, () => {
      const act = fc.record({
        map: fc.boolean(),
        page: fc.bigInt({ min: 0n, max: 60n }),
        pages: fc.bigInt({ min: 1n, max: 12n }),
      });
      fc.assert(
        fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
          const { lab, container } = opened(version);
          const buffer = lab.buffer(0x10000);
          const model: Model[] = [];
          for (const each of acts) {
            const iova = each.page * PAGE;
            const size = each.pages * PAGE;
            if (each.map) {
              const free = !model.some((one) => one.start < iova + size && iova < one.start + one.size);
              expect(errnoOf(() => map(lab, container, iova, size, buffer))).toBe(
                free ? 'success' : 'EEXIST',
              );
              if (free) model.push({ start: iova, size });
            } else {
              const expected = modelUnmap(model, iova, size, version);
              expect(result(() => unmap(lab, container, iova, size))).toBe(
                expected?.toString(16) ?? 'EINVAL',
              );
            }
            const pages = model.reduce((sum, one) => sum + one.size / PAGE, 0n);
            expect(BigInt(lab.owner.memory.lockedPages)).toBe(pages);
            expect(container.backend?.state.mappingsAvailable).toBe(65535 - model.length);
          }
          expect(unmap(lab, container, 0n, 0n, 2)).toBe(model.reduce((sum, one) => sum + one.size, 0n));
          expect(lab.owner.memory.lockedPages).toBe(0);
        }),
        { numRuns: 15 },
      );
    });
  }
});

describe('bad input', () => {
  it('absurd sizes end at the first page that is not there, and leave nothing', () => {
    const { lab, container } = opened(V2);
    const buffer = lab.buffer(0x4000);
    expect(errnoOf(() => map(lab, container, 0x100000000n, 0x800000000000n, buffer))).toBe('EFAULT');
    expect(lab.owner.memory.lockedPages).toBe(0);
    expect(container.backend?.state.mappings.count).toBe(0);
  });

  it('no order of closing leaves a pin, a charge or an owner behind', () => {
    const names = ['container', 'group', 'device'] as const;
    const orders = names
      .flatMap((a) => names.flatMap((b) => names.map((c) => [a, b, c])))
      .filter((o) => new Set(o).size === 3);
    for (const order of orders) {
      const lab = new VfioLab();
      const { container, descriptor } = lab.container();
      const { group, descriptor: groupDescriptor } = lab.group('A0');
      group.setContainer(lab.owner, descriptor);
      container.setIommu(V2);
      const { descriptor: deviceDescriptor } = lab.device(group, '0000:00:02.0');
      map(lab, container, 0n, 0x4000n, lab.buffer(0x4000));
      const descriptors = { container: descriptor, group: groupDescriptor, device: deviceDescriptor };
      for (const name of order) lab.owner.descriptors.close(descriptors[name]);
      expect(lab.owner.memory.lockedPages, order.join(' ')).toBe(0);
      expect(group.iommuGroup.ownerCount, order.join(' ')).toBe(0);
      expect(group.iommuGroup.domain).toBe(group.iommuGroup.defaultDomain);
      expect(lab.openGroup(group.id).group.status(8)).toBe(1);
    }
  });
});
