/**
 * IOMMU_TEST_CMD: what the self-test offers through /dev/iommu beside the real requests: mock devices, an access that
 * stands for an mdev driver, and looks into the page tables (drivers/iommu/iommufd/selftest.c).
 */
import { Device } from '../../device.ts';
import { KernelError } from '../../errno.ts';
import { OpenFile, type OpenFileObject } from '../../process/file.ts';
import type { Process } from '../../process/process.ts';
import { IommufdAccess } from '../access.ts';
import type { IommufdContext } from '../context.ts';
import { bindDevice, type IommufdDevice } from '../device.ts';
import { HwptNested, HwptPaging } from '../hwpt.ts';
import { refuseUnknown } from '../ioas-requests.ts';
import { IommufdObject } from '../objects.ts';
import { MOCK_PAGE_BYTES, MockDomain, MockNestedDomain } from './mock-domain.ts';
import { MOCK_DEVICE_FLAGS, MockIommu } from './mock-iommu.ts';

const PAGE = 4096n;
const LAST = (1n << 64n) - 1n;
/** The self-test copies and pins no more than this at once. */
const MOST_BYTES = 16n * 1024n * 1024n;

/** MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES; MOCK_ACCESS_RW_WRITE, _SLOW_PATH; MOCK_FLAGS_ACCESS_WRITE. */
export const MockAccessFlag = { needsPinPages: 1, write: 1, slowPath: 4, pinWrite: 1 } as const;

/** A mock device, bound and attached. Destroying it detaches and unbinds. */
class MockDevice extends IommufdObject {
  readonly type = 'selftest';
  bound: IommufdDevice | undefined;
  private readonly gone: () => void;

  constructor(gone: () => void) {
    super();
    this.gone = gone;
  }

  destroy(): void {
    this.bound?.detach();
    this.bound?.unbind();
    this.gone();
  }
}

/** Pages that an access holds. */
interface PinnedItem {
  readonly id: number;
  readonly iova: bigint;
  readonly length: bigint;
}

/** The descriptor of an access. */
export class MockAccess implements OpenFileObject {
  readonly fileKind = 'iommufd selftest access';
  readonly file: OpenFile;
  readonly access: IommufdAccess;
  private readonly pins: boolean;
  private readonly items: PinnedItem[] = [];
  private nextItem = 0;

  constructor(context: IommufdContext, pins: boolean) {
    this.pins = pins;
    this.access = IommufdAccess.create(context, {
      needsPinPages: pins,
      unmap: (iova, length) => this.letGo(iova, iova + length - 1n > LAST ? LAST : iova + length - 1n),
    });
    this.file = new OpenFile(this);
  }

  release(): void {
    this.letGo(0n, LAST);
    this.access.close();
  }

  /** @throws KernelError ENOMEM for more than 16 MiB, EOPNOTSUPP, and those of the access. */
  read(process: Process, iova: bigint, length: bigint, flags: number): Uint8Array {
    this.checkTransfer(length, flags);
    return this.access.read(this.runner(process, flags), iova, length);
  }

  write(process: Process, iova: bigint, data: Uint8Array, flags: number): void {
    this.checkTransfer(BigInt(data.length), flags);
    this.access.write(this.runner(process, flags), iova, data);
  }

  /**
   * Pins a range and compares it with memory of the process at `userVa` unless that is 0. @returns number of the pin.
   * @throws KernelError ENOMEM, EOPNOTSUPP (flags, an access made without pins), EINVAL when other memory shows.
   */
  pin(process: Process, iova: bigint, length: bigint, userVa: bigint, flags: number): number {
    if (length > MOST_BYTES) throw tooMuch(length);
    refuseUnknown(flags, MockAccessFlag.pinWrite, 'access pages');
    if (!this.pins)
      throw new KernelError(
        'EOPNOTSUPP',
        'access without pins',
        'the access was made without NEEDS_PIN_PAGES',
      );
    const frames = this.access.pin(iova, length, (flags & MockAccessFlag.pinWrite) !== 0);
    if (userVa !== 0n) {
      const first = Number((userVa - (iova % PAGE)) >> 12n);
      try {
        frames.forEach((frame, index) => {
          if (process.memory.frameAt(first + index, false) !== frame) throw otherMemory(iova);
        });
      } catch (error) {
        this.access.unpin(iova, length);
        throw error;
      }
    }
    const id = this.nextItem++;
    this.items.push({ id, iova, length });
    return id;
  }

  /** @throws KernelError ENOENT */
  unpin(id: number): void {
    const at = this.items.findIndex((item) => item.id === id);
    if (at < 0) throw new KernelError('ENOENT', 'no such pin', `the access holds no pin ${id}`);
    const [item] = this.items.splice(at, 1);
    this.access.unpin(item.iova, item.length);
  }

  private letGo(first: bigint, last: bigint): void {
    for (let at = this.items.length - 1; at >= 0; at -= 1) {
      const item = this.items[at];
      if (item.iova > last || item.iova + item.length - 1n < first) continue;
      this.items.splice(at, 1);
      this.access.unpin(item.iova, item.length);
    }
  }

  private checkTransfer(length: bigint, flags: number): void {
    if (length > MOST_BYTES) throw tooMuch(length);
    refuseUnknown(flags, MockAccessFlag.write | MockAccessFlag.slowPath, 'access transfer');
  }

  /** The slow path looks the pages up although the process could read its own memory. */
  private runner(process: Process, flags: number): Process | undefined {
    return (flags & MockAccessFlag.slowPath) !== 0 ? undefined : process;
  }
}

/** The self-test of one machine: its devices have names of their own. */
export class IommufdSelftest {
  readonly iommu = new MockIommu();
  private deviceCount = 0;

  /** A device is made, bound and attached. @throws KernelError EINVAL for unknown flags, and those of attaching. */
  attachDevice(
    context: IommufdContext,
    pageTable: number,
    flags = 0,
  ): { selftest: number; device: number; hwpt: number } {
    if ((flags & ~MOCK_DEVICE_FLAGS) !== 0)
      throw new KernelError('EINVAL', 'mock device flags', `flags 0x${flags.toString(16)} are not all known`);
    const device = new Device(`iommufd_mock${this.deviceCount++}`, 'platform');
    this.iommu.add(device, flags);
    const selftest = context.objects.add(new MockDevice(() => this.iommu.remove(device)));
    selftest.complete = false;
    try {
      selftest.bound = bindDevice(context, device, this.iommu);
      const hwpt = selftest.bound.attach(pageTable);
      selftest.complete = true;
      return { selftest: selftest.id, device: selftest.bound.id, hwpt };
    } catch (error) {
      context.objects.remove(selftest);
      throw error;
    }
  }

  /** @throws KernelError ENOENT, and those of replacing. */
  replace(context: IommufdContext, selftest: number, pageTable: number): number {
    const { bound } = context.objects.get(selftest, MockDevice, 'a mock device');
    if (bound === undefined) throw new KernelError('EINVAL', 'mock device', 'the device is not bound');
    return bound.replace(pageTable);
  }

  /** A reserved range without owner: it stays as long as the IOAS. @throws KernelError ENOENT, EADDRINUSE */
  addReserved(context: IommufdContext, ioas: number, start: bigint, length: bigint): void {
    context.ioas(ioas).table.limits.reserve(start, start + length - 1n, undefined);
  }

  /** An access on an IOAS. @throws KernelError EOPNOTSUPP, ENOENT, EADDRINUSE */
  createAccess(context: IommufdContext, ioas: number, flags: number): MockAccess {
    refuseUnknown(flags, MockAccessFlag.needsPinPages, 'access');
    const access = new MockAccess(context, (flags & MockAccessFlag.needsPinPages) !== 0);
    try {
      access.access.attach(ioas);
    } catch (error) {
      access.file.put();
      throw error;
    }
    return access;
  }

  /** Does the page table show this memory of the process? @throws KernelError EINVAL when not, ENOENT, EFAULT */
  checkMap(
    context: IommufdContext,
    process: Process,
    hwpt: number,
    iova: bigint,
    length: bigint,
    userVa: bigint,
  ): void {
    const page = BigInt(MOCK_PAGE_BYTES);
    if (iova % page !== 0n || length % page !== 0n || userVa % page !== 0n || userVa + length > LAST)
      throw new KernelError('EINVAL', 'mapping check', 'address, length and memory are multiples of 2 KiB');
    const domain = this.mockDomain(context, hwpt);
    for (let done = 0n; done < length; done += page) {
      const at = userVa + done;
      const frame = process.memory.frameAt(Number(at >> 12n), false);
      if (domain.iovaToPhysical(iova + done) !== frame * 4096 + Number(at % PAGE))
        throw otherMemory(iova + done);
    }
  }

  /** @throws KernelError EINVAL when the entry holds another value or does not exist. */
  checkIotlb(context: IommufdContext, hwpt: number, index: number, value: number): void {
    const { domain } = context.objects.get(hwpt, HwptNested, 'a nested page table');
    if (!(domain instanceof MockNestedDomain) || domain.iotlb[index] !== value)
      throw new KernelError('EINVAL', 'IOTLB check', `entry ${index} does not hold 0x${value.toString(16)}`);
  }

  /** Devices write to these pages, counted in `pageSize` from `iova`. @returns how many. */
  writePages(
    context: IommufdContext,
    hwpt: number,
    range: { iova: bigint; length: bigint; pageSize: bigint },
    pages: readonly number[],
  ): number {
    const { iova, length, pageSize } = range;
    if (pageSize === 0n || length === 0n || iova % pageSize !== 0n || length % pageSize !== 0n)
      throw new KernelError('EINVAL', 'dirty range', 'the range is no multiple of the page size');
    const domain = this.mockDomain(context, hwpt);
    if (!domain.tracksDirty)
      throw new KernelError('EINVAL', 'tracking off', `page table ${hwpt} does not track writes now`);
    let count = 0;
    for (const page of new Set(pages)) {
      if (BigInt(page) >= length / pageSize) continue;
      domain.markDirty(iova + BigInt(page) * pageSize);
      count += 1;
    }
    return count;
  }

  private mockDomain(context: IommufdContext, hwpt: number): MockDomain {
    const { domain } = context.objects.get(hwpt, HwptPaging, 'a page table on an IOAS');
    if (domain instanceof MockDomain) return domain;
    throw new KernelError('EINVAL', 'no mock page table', `page table ${hwpt} belongs to a real device`);
  }
}

function tooMuch(length: bigint): KernelError {
  return new KernelError('ENOMEM', 'transfer size', `${length} bytes are more than the self-test takes`);
}

function otherMemory(iova: bigint): KernelError {
  return new KernelError('EINVAL', 'other memory', `0x${iova.toString(16)} shows other memory`);
}
