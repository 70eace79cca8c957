/** The plain virtual PCI function that software mdev drivers show: nine regions, five interrupt kinds. */
import { KernelError } from '../../errno.ts';
import type { DeviceInfo, IrqInfo, RegionInfo, VfioDeviceOperations } from '../../vfio/device.ts';
import { DeviceFlag, IrqFlag, RegionFlag } from '../../vfio/uapi.ts';

const REGIONS = 9;
const IRQS = 5;

export class VirtualFunction implements VfioDeviceOperations {
  /** Bytes of each region that exists, by index. */
  private readonly regionBytes: ReadonlyMap<number, number>;
  /** Vectors of each interrupt kind that exists, by index. */
  private readonly irqCounts: ReadonlyMap<number, number>;

  private readonly regionCount: number;

  /** @param regionCount More than nine: regions of the driver's own behind the usual ones. */
  constructor(regionBytes: Record<number, number>, irqCounts: Record<number, number>, regionCount = REGIONS) {
    this.regionCount = regionCount;
    this.regionBytes = new Map(Object.entries(regionBytes).map(([index, bytes]) => [Number(index), bytes]));
    this.irqCounts = new Map(Object.entries(irqCounts).map(([index, count]) => [Number(index), count]));
  }

  open(): void {}

  close(): void {}

  info(): DeviceInfo {
    return { flags: DeviceFlag.pci, regions: this.regionCount, irqs: IRQS };
  }

  regionInfo(index: number): RegionInfo {
    if (index < 0 || index >= this.regionCount)
      throw new KernelError('EINVAL', 'region index', `no region ${index}`);
    return {
      flags: RegionFlag.read | RegionFlag.write,
      sizeBytes: BigInt(this.regionBytes.get(index) ?? 0),
      offset: BigInt(index) << 40n,
    };
  }

  irqInfo(index: number): IrqInfo {
    const count = this.irqCounts.get(index);
    if (count === undefined) throw new KernelError('EINVAL', 'interrupt index', `no interrupt kind ${index}`);
    const intx = IrqFlag.maskable | IrqFlag.automasked;
    return { flags: IrqFlag.eventfd | (index === 0 ? intx : IrqFlag.noResize), count };
  }

  setIrq(index: number, start: number, _on: boolean): void {
    if (start < 0 || start >= this.irqInfo(index).count)
      throw new KernelError('EINVAL', 'interrupt number', `interrupt ${start} of kind ${index}`);
  }

  reset(): void {}

  request(): boolean {
    return false;
  }
}
