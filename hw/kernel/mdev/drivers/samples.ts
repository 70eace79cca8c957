/**
 * The sample drivers of the kernel tree (samples/vfio-mdev): serial ports and two virtual displays. None of them does
 * DMA; they show how instances are counted: by ports, by the core, by megabytes of video memory.
 */
import { KernelError } from '../../errno.ts';
import type { IrqInfo, RegionInfo } from '../../vfio/device.ts';
import { RegionFlag } from '../../vfio/uapi.ts';
import type { Mdev, MdevDriver, MdevType } from '../mdev-driver.ts';
import { VirtualFunction } from './virtual-function.ts';

const CONFIG_REGION = 7;
const CONFIG_BYTES = 0xff;
const INTX = 0;
const MSI = 1;
const IRQS = 5;

/** A card of mtty: INTx and MSI, of which one is in use at a time. */
class SerialCard extends VirtualFunction {
  private irqInUse: number | undefined;

  constructor(ports: number) {
    const bars: Record<number, number> = ports === 2 ? { 0: 8, 1: 8 } : { 0: 8 };
    super({ ...bars, [CONFIG_REGION]: CONFIG_BYTES }, { [INTX]: 1, [MSI]: 1 });
  }

  /** @throws KernelError EINVAL, ENOTTY (a kind it knows of and doesn't have). */
  override setIrq(index: number, start: number, on: boolean): void {
    if (index > MSI && index < IRQS)
      throw new KernelError('ENOTTY', 'interrupt kind', `the card has no interrupts of kind ${index}`);
    super.setIrq(index, start, on);
    if (this.irqInUse !== undefined && this.irqInUse !== index)
      throw new KernelError(
        'EINVAL',
        'another kind of interrupt',
        `the card uses interrupts of kind ${this.irqInUse}`,
      );
    this.irqInUse = on ? index : undefined;
  }

  override close(): void {
    this.irqInUse = undefined;
  }
}

/** A virtual display: video memory that can be mapped, no interrupts. Regions it doesn't have exist with size 0. */
class Display extends VirtualFunction {
  private readonly extra: ReadonlyMap<number, RegionInfo>;

  /** @param regions Bytes by index. @param extra Regions behind those of a PCI function. */
  constructor(regions: Record<number, number>, extra: ReadonlyMap<number, RegionInfo>, regionCount?: number) {
    super({ ...regions, [CONFIG_REGION]: CONFIG_BYTES }, {}, regionCount);
    this.extra = extra;
  }

  override regionInfo(index: number): RegionInfo {
    const extra = this.extra.get(index);
    if (extra !== undefined) return extra;
    const info = super.regionInfo(index);
    if (info.sizeBytes === 0n) return { ...info, flags: 0 };
    return index === 0 ? { ...info, flags: info.flags | RegionFlag.mmap } : info;
  }

  override irqInfo(index: number): IrqInfo {
    if (index < 0 || index >= IRQS)
      throw new KernelError('EINVAL', 'interrupt index', `no interrupt kind ${index}`);
    return { flags: 0, count: 0 };
  }
}

interface PortType extends MdevType {
  readonly ports: number;
}

/** mtty: 24 serial ports in cards of one or two. */
export class MttyDriver implements MdevDriver {
  readonly name = 'mtty';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 0;
  readonly attributeGroup = 'vendor';
  readonly types: readonly PortType[] = [
    { sysfsName: '1', prettyName: 'Single port serial', ports: 1 },
    { sysfsName: '2', prettyName: 'Dual port serial', ports: 2 },
  ];
  private portsLeft: number;

  /** @param ports Serial ports of the parent. */
  constructor(ports = 24) {
    this.portsLeft = ports;
  }

  available(type: MdevType): number {
    return Math.floor(this.portsLeft / portsOf(type));
  }

  probe(mdev: Mdev): SerialCard {
    const ports = portsOf(mdev.type);
    if (this.portsLeft < ports)
      throw new KernelError('ENOSPC', 'no port left', `${ports} ports wanted, ${this.portsLeft} left`);
    this.portsLeft -= ports;
    return new SerialCard(ports);
  }

  removed(mdev: Mdev): void {
    this.portsLeft += portsOf(mdev.type);
  }
}

function portsOf(type: MdevType): number {
  return (type as PortType).ports;
}

/** The screen once more, beyond the regions that GET_INFO counts. */
const MDPY_SCREEN_REGION = 16;

interface DisplayType extends MdevType {
  readonly width: number;
  readonly height: number;
}

/** mdpy: a frame buffer of one of three sizes; the core counts four instances. */
export class MdpyDriver implements MdevDriver {
  readonly name = 'mdpy';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 4;
  readonly attributeGroup = 'vendor';
  readonly types: readonly DisplayType[] = [
    { sysfsName: 'vga', prettyName: 'mdpy-vga', width: 640, height: 480 },
    { sysfsName: 'xga', prettyName: 'mdpy-xga', width: 1024, height: 768 },
    { sysfsName: 'hd', prettyName: 'mdpy-hd', width: 1920, height: 1080 },
  ];
  private readonly log: (line: string) => void;

  constructor(log: (line: string) => void) {
    this.log = log;
  }

  description(type: MdevType): string {
    const { width, height } = type as DisplayType;
    return `virtual display, ${width}x${height} framebuffer`;
  }

  probe(mdev: Mdev): Display {
    const { width, height } = mdev.type as DisplayType;
    this.log(`mdpy ${mdev.uuid}: mdpy_init_dev: ${mdev.type.prettyName} (${width}x${height})`);
    const bytes = 2 ** Math.ceil(Math.log2(width * height * 4));
    const flags = RegionFlag.read | RegionFlag.write | RegionFlag.mmap;
    const screen = { flags, sizeBytes: BigInt(bytes), offset: BigInt(MDPY_SCREEN_REGION) << 40n };
    return new Display({ 0: bytes }, new Map([[MDPY_SCREEN_REGION, screen]]));
  }

  removed(mdev: Mdev): void {
    this.log(`mdpy ${mdev.uuid}: mdpy_remove`);
  }
}

/** Behind the regions of a PCI function. */
const MBOCHS_EDID_REGION = 9;

interface MemoryType extends MdevType {
  readonly megabytes: number;
}

/** mbochs: a display with 4, 16 or 64 MB of its parent's 256 MB. */
export class MbochsDriver implements MdevDriver {
  readonly name = 'mbochs';
  readonly deviceApi = 'vfio-pci';
  readonly maximumInstances = 0;
  readonly attributeGroup = 'vendor';
  readonly types: readonly MemoryType[] = [
    { sysfsName: 'small', prettyName: 'mbochs-small', megabytes: 4 },
    { sysfsName: 'medium', prettyName: 'mbochs-medium', megabytes: 16 },
    { sysfsName: 'large', prettyName: 'mbochs-large', megabytes: 64 },
  ];
  private readonly log: (line: string) => void;
  private megabytesLeft = 256;

  constructor(log: (line: string) => void) {
    this.log = log;
  }

  available(type: MdevType): number {
    return Math.floor(this.megabytesLeft / megabytesOf(type));
  }

  description(type: MdevType): string {
    return `virtual display, ${megabytesOf(type)} MB video memory`;
  }

  probe(mdev: Mdev): Display {
    const megabytes = megabytesOf(mdev.type);
    if (this.megabytesLeft < megabytes)
      throw new KernelError(
        'ENOSPC',
        'no video memory',
        `${megabytes} MB wanted, ${this.megabytesLeft} MB left`,
      );
    this.megabytesLeft -= megabytes;
    this.log(
      `mbochs ${mdev.uuid}: mbochs_init_dev: ${mdev.type.prettyName}, ${megabytes} MB, ${megabytes * 256} pages`,
    );
    const flags = RegionFlag.read | RegionFlag.write | RegionFlag.capabilities;
    const edid = { flags, sizeBytes: 0x1000n, offset: BigInt(MBOCHS_EDID_REGION) << 40n };
    return new Display(
      { 0: megabytes * 0x100000, 2: 0x1000 },
      new Map([[MBOCHS_EDID_REGION, edid]]),
      MBOCHS_EDID_REGION + 1,
    );
  }

  removed(mdev: Mdev): void {
    this.megabytesLeft += megabytesOf(mdev.type);
  }
}

function megabytesOf(type: MdevType): number {
  return (type as MemoryType).megabytes;
}
