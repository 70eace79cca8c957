/**
 * The sample drivers of the kernel tree (samples/vfio-mdev): serial ports and two virtual displays. None of them does
 * DMA; they show how instances are counted: by ports, by the core, by megabytes of video memory.
 */
import { KernelError } from '../../errno.ts';
import type { Mdev, MdevDriver, MdevType } from '../mdev-driver.ts';
import { VirtualFunction } from './virtual-function.ts';

const CONFIG_REGION = 7;

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

  probe(mdev: Mdev): VirtualFunction {
    const ports = portsOf(mdev.type);
    if (this.portsLeft < ports)
      throw new KernelError('ENOSPC', 'no port left', `${ports} ports wanted, ${this.portsLeft} left`);
    this.portsLeft -= ports;
    const bars: Record<number, number> = ports === 2 ? { 0: 8, 1: 8 } : { 0: 8 };
    return new VirtualFunction({ ...bars, [CONFIG_REGION]: 0xff }, { 0: 1, 1: 1, 4: 1 });
  }

  removed(mdev: Mdev): void {
    this.portsLeft += portsOf(mdev.type);
  }
}

function portsOf(type: MdevType): number {
  return (type as PortType).ports;
}

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

  probe(mdev: Mdev): VirtualFunction {
    const { width, height } = mdev.type as DisplayType;
    this.log(`mdpy ${mdev.uuid}: mdpy_init_dev: ${mdev.type.prettyName} (${width}x${height})`);
    const bytes = 2 ** Math.ceil(Math.log2(width * height * 4));
    return new VirtualFunction({ 0: bytes, [CONFIG_REGION]: 0x100 }, { 0: 1, 1: 1 });
  }

  removed(mdev: Mdev): void {
    this.log(`mdpy ${mdev.uuid}: mdpy_remove`);
  }
}

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

  probe(mdev: Mdev): VirtualFunction {
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
    // Behind the regions of a PCI function: one for EDID.
    return new VirtualFunction(
      { 0: megabytes * 0x100000, 2: 0x1000, [CONFIG_REGION]: 0x100, 9: 0x1000 },
      { 0: 1, 1: 1 },
      10,
    );
  }

  removed(mdev: Mdev): void {
    this.megabytesLeft += megabytesOf(mdev.type);
  }
}

function megabytesOf(type: MdevType): number {
  return (type as MemoryType).megabytes;
}
