/** Rules of the kernel's self-test that recorded answers touch only in part. */
import { describe, expect, it } from 'vitest';
import {
  getHardwareInfo,
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptInvalidate,
  hwptSetDirtyTracking,
  ioasAlloc,
} from '../../../../hw/kernel/iommufd/hwpt-requests.ts';
import { ioasMap, ioasMapFile, ioasUnmap, MapFlag } from '../../../../hw/kernel/iommufd/ioas-requests.ts';
import { checkStructureSize } from '../../../../hw/kernel/iommufd/ioctls.ts';
import { IommufdSelftest } from '../../../../hw/kernel/iommufd/selftest/selftest.ts';
import { MemoryFile } from '../../../../hw/kernel/process/memory-file.ts';
import { SmallHost } from '../small-host.ts';
import { codeOf, RW } from './user.ts';

const SELFTEST_DATA = 0xdead;

function setUp(flags = 0) {
  const { kernel } = new SmallHost();
  const process = kernel.processes.create('tester');
  const context = kernel.iommufd.open(process);
  const selftest = new IommufdSelftest();
  const ioas = ioasAlloc(context, { flags: 0 });
  const device = selftest.attachDevice(context, ioas, flags);
  const pageTable = (below: number, hwptFlags: number, type = 0, bytes = 0): number =>
    hwptAlloc(context, {
      flags: hwptFlags,
      device: device.device,
      pageTable: below,
      dataType: type,
      data: new Uint8Array(bytes),
    });
  const map = (address: number, length: bigint, iova: bigint): bigint =>
    ioasMap(context, process, {
      ioas,
      flags: RW | MapFlag.fixedIova,
      userVa: BigInt(address),
      length,
      iova,
    });
  return { process, context, selftest, ioas, device, pageTable, map };
}

describe('mock devices and page tables (selftest.c)', () => {
  it('a device without dirty tracking says so and refuses such a page table', () => {
    const { context, device, pageTable, ioas } = setUp(1);
    const info = getHardwareInfo(context, { device: device.device, flags: 0, room: 8 });
    expect(info.capabilities).toBe(8);
    expect(codeOf(() => pageTable(ioas, 2))).toBe('EOPNOTSUPP');
  });

  it('a device with PASIDs reports their width', () => {
    const { context, device } = setUp(4);
    expect(getHardwareInfo(context, { device: device.device, flags: 0, room: 8 }).pasidBits).toBe(20);
    expect(codeOf(() => setUp(8))).toBe('EINVAL');
  });

  it('takes its own data only, of its own size', () => {
    const { pageTable, ioas } = setUp();
    expect(codeOf(() => pageTable(ioas, 0, 1, 24))).toBe('EOPNOTSUPP');
    expect(codeOf(() => pageTable(ioas, 0, SELFTEST_DATA, 12))).toBe('EINVAL');
    expect(codeOf(() => pageTable(ioas, 0, SELFTEST_DATA, 4))).toBe('ok');
    expect(codeOf(() => pageTable(ioas, 0, SELFTEST_DATA, 0))).toBe('EINVAL');
    const parent = pageTable(ioas, 1);
    expect(codeOf(() => pageTable(parent, 0, 1, 24))).toBe('EOPNOTSUPP');
    expect(codeOf(() => pageTable(parent, 0, SELFTEST_DATA, 3))).toBe('EINVAL');
  });

  it('invalidation entries that are longer than the driver knows are refused, at most 2^19 are taken', () => {
    const { context, pageTable, ioas } = setUp();
    const nested = pageTable(pageTable(ioas, 1), 0, SELFTEST_DATA, 8);
    const invalidate = (entryCount: number, entryLength: number): string =>
      codeOf(() =>
        hwptInvalidate(
          context,
          {
            hwpt: nested,
            dataType: 0xdeadbeef,
            entryLength,
            entryCount,
            entries: [new Uint8Array(entryLength)],
          },
          { count: 0 },
        ),
      );
    expect(invalidate(1, 8)).toBe('ok');
    expect(invalidate(1, 12)).toBe('EINVAL');
    expect(invalidate(1, 4100)).toBe('EINVAL');
    expect(invalidate((1 << 19) + 1, 8)).toBe('EINVAL');
  });

  it('a run of entries reports its dirty bits one entry short, a single entry as it is', () => {
    const { process, context, selftest, pageTable, ioas, map } = setUp();
    const table = pageTable(ioas, 2);
    const memory = process.memory.mapAnonymous(0x200000, { huge: true });
    // 2 MiB of consecutive memory: two leaves of 1 MiB, one entry of the next level each.
    map(memory, 0x200000n, 0x2000000n);
    // 32 KiB: a run of 16 entries.
    map(memory, 0x8000n, 0x3000000n);
    hwptSetDirtyTracking(context, { hwpt: table, flags: 1 });
    const written = (iova: bigint, length: bigint): number => {
      const words = hwptGetDirtyBitmap(context, { hwpt: table, flags: 0, iova, length, pageSize: 0x800n });
      return [...words].reduce((sum, word) => sum + word.toString(2).replaceAll('0', '').length, 0);
    };
    const write = (iova: bigint, length: bigint, page: number): void =>
      void selftest.writePages(context, table, { iova, length, pageSize: 0x800n }, [page]);
    write(0x2000000n, 0x200000n, 513);
    expect(written(0x2000000n, 0x200000n)).toBe(512);
    write(0x3000000n, 0x8000n, 3);
    expect(written(0x3000000n, 0x8000n)).toBe(15);
  });
});

describe('files in memory (IOAS_MAP_FILE)', () => {
  it('are pinned when a device shows them, within their size, and live as long as they are mapped', () => {
    const { process, context, ioas } = setUp();
    const descriptor = process.open(new MemoryFile(process.memory.pages, 0x4000));
    const map = (start: bigint, length: bigint, iova: bigint, file = descriptor): string =>
      codeOf(() =>
        ioasMapFile(context, process, {
          ioas,
          flags: RW | MapFlag.fixedIova,
          descriptor: file,
          start,
          length,
          iova,
        }),
      );
    const before = process.memory.pages.framesInUse;
    expect(map(0n, 0x4000n, 0x1000000n)).toBe('ok');
    expect(map(0x3000n, 0x2000n, 0x1100000n)).toBe('EINVAL');
    expect(map(0n, 0x1000n, 0x1100000n, process.descriptors.install(context.file.get()))).toBe('EINVAL');
    expect(map(0n, 0x1000n, 0x1100000n, 99)).toBe('EBADF');
    expect(process.memory.pinnedPages).toBe(4);
    process.descriptors.close(descriptor);
    expect(process.memory.pages.framesInUse).toBe(before + 4);
    ioasUnmap(context, { ioas, iova: 0x1000000n, length: 0x4000n });
    expect(process.memory.pages.framesInUse).toBe(before);
  });
});

describe('sizes of requests (iommufd_fops_ioctl)', () => {
  it('too small is EINVAL, unknown bytes that are not zero are E2BIG', () => {
    expect(codeOf(() => checkStructureSize('IOAS_MAP', 39, true))).toBe('EINVAL');
    expect(codeOf(() => checkStructureSize('IOAS_MAP', 48, true))).toBe('ok');
    expect(codeOf(() => checkStructureSize('IOAS_MAP', 48, false))).toBe('E2BIG');
    expect(codeOf(() => checkStructureSize('HWPT_ALLOC', 24, true))).toBe('ok');
  });
});
