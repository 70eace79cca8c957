/**
 * A driver whose devices pin pages of their user on request and report what they are told about unmaps. It stands for
 * every mdev driver that isolates by software, and is the test device of the transcripts ("vpin").
 */
import type { MemoryPort } from '../../../port.ts';
import { KernelError } from '../../errno.ts';
import type { VfioDevice } from '../../vfio/device.ts';
import type { Vfio } from '../../vfio/vfio.ts';
import type { Mdev, MdevDriver, MdevType } from '../mdev-driver.ts';
import { VirtualFunction } from './virtual-function.ts';

interface Pin {
  readonly iova: bigint;
  readonly frame: number;
}

/** One notification that pages were being unmapped. Bytes. */
export interface UnmapNotice {
  readonly iova: bigint;
  readonly size: bigint;
  readonly unpinned: number;
}

/** One device of the driver. */
export class PinningFunction extends VirtualFunction {
  private readonly memory: MemoryPort;
  private readonly offered: () => VfioDevice | undefined;
  private readonly pins: Pin[] = [];
  private notices: UnmapNotice[] = [];

  constructor(memory: MemoryPort, offered: () => VfioDevice | undefined) {
    super({ 7: 0x100 }, { 0: 1, 4: 1 });
    this.memory = memory;
    this.offered = offered;
  }

  /** Pins pages and remembers them; how many. @throws KernelError as VfioDevice.pinPages. */
  pin(iova: bigint, count: number, prot: number): number {
    const frames = this.device.pinPages(iova, count, prot);
    for (const [index, frame] of frames.entries())
      this.pins.push({ iova: iova + BigInt(index) * 4096n, frame });
    return frames.length;
  }

  /** Unpins what it has of `count` pages, once each; how many. */
  unpin(iova: bigint, count: number): number {
    const end = iova + BigInt(count) * 4096n;
    const inRange = this.pins.filter(
      (pin) => pin.iova >= iova && pin.iova < end && (pin.iova - iova) % 4096n === 0n,
    );
    let unpinned = 0;
    for (const each of new Set(inRange.map((pin) => pin.iova))) {
      this.pins.splice(
        this.pins.findIndex((pin) => pin.iova === each),
        1,
      );
      this.device.unpinPages(each, 1);
      unpinned += 1;
    }
    return unpinned;
  }

  /** Reads a pinned page as a device would. @throws KernelError ENOENT: not pinned. */
  readPinned(iova: bigint, lengthBytes: number): Uint8Array {
    const pin = this.pins.find((each) => each.iova >> 12n === iova >> 12n);
    if (pin === undefined)
      throw new KernelError('ENOENT', 'not pinned', `0x${iova.toString(16)} is not pinned`);
    const bytes = this.memory.read(pin.frame * 4096 + Number(iova & 0xfffn), lengthBytes);
    return bytes ?? new Uint8Array(lengthBytes);
  }

  /** Writes to a pinned page as a device would. @throws KernelError ENOENT: not pinned. */
  writePinned(iova: bigint, bytes: Uint8Array): void {
    const pin = this.pins.find((each) => each.iova >> 12n === iova >> 12n);
    if (pin === undefined)
      throw new KernelError('ENOENT', 'not pinned', `0x${iova.toString(16)} is not pinned`);
    this.memory.write(pin.frame * 4096 + Number(iova & 0xfffn), bytes);
  }

  isPinned(iova: bigint): boolean {
    return this.pins.some((each) => each.iova >> 12n === iova >> 12n);
  }

  get pinned(): number {
    return this.pins.length;
  }

  /** What it was told since the last call. */
  takeNotices(): UnmapNotice[] {
    const taken = this.notices;
    this.notices = [];
    return taken;
  }

  dmaUnmap(iova: bigint, lengthBytes: bigint): void {
    const affected = this.pins.filter((pin) => pin.iova >= iova && pin.iova < iova + lengthBytes);
    for (const pin of affected) this.unpin(pin.iova, 1);
    this.notices.push({ iova, size: lengthBytes, unpinned: affected.length });
  }

  override close(): void {
    for (const pin of [...this.pins]) this.unpin(pin.iova, 1);
  }

  private get device(): VfioDevice {
    const device = this.offered();
    if (device === undefined) throw new KernelError('ENODEV', 'device gone', 'the device is not registered');
    return device;
  }
}

const FAILING = 'fail';

export class PinningTestDriver implements MdevDriver {
  readonly name = 'vpin';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 3;
  readonly types: readonly MdevType[] = [
    { sysfsName: 'a', prettyName: 'vpin type a' },
    { sysfsName: 'b' },
    { sysfsName: FAILING, prettyName: 'vpin failing type' },
  ];
  private readonly memory: MemoryPort;
  private readonly vfio: Vfio;
  private readonly functions = new Map<Mdev, PinningFunction>();

  constructor(memory: MemoryPort, vfio: Vfio) {
    this.memory = memory;
    this.vfio = vfio;
  }

  description(): string {
    return 'page pinning test device';
  }

  probe(mdev: Mdev): PinningFunction {
    if (mdev.type.sysfsName === FAILING)
      throw new KernelError('EIO', 'driver refuses', `${mdev.uuid} fails its probe`);
    const made = new PinningFunction(this.memory, () => this.vfio.deviceOf(mdev.device));
    this.functions.set(mdev, made);
    return made;
  }

  removed(mdev: Mdev): void {
    this.functions.delete(mdev);
  }

  functionOf(mdev: Mdev): PinningFunction | undefined {
    return this.functions.get(mdev);
  }
}
