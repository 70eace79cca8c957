/**
 * A device that VFIO offers to user space (struct vfio_device), whatever stands behind it: a PCI function or a
 * mediated device. drivers/vfio/vfio_main.c.
 */
import { Completion } from '../completion.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { OpenFileObject } from '../process/file.ts';
import type { Process } from '../process/process.ts';
import { deviceFeature, type FeatureCall, type FeatureRequest } from './feature.ts';
import type { VfioGroup } from './group.ts';
import {
  type AffectedFunction,
  type HotResetInfoRequest,
  type HotResetRequest,
  type HotResettable,
  hotReset,
  hotResetInfo,
} from './hot-reset.ts';
import { StructureBytes } from './uapi.ts';

/** struct vfio_device_info without its size. */
export interface DeviceInfo {
  readonly flags: number;
  readonly regions: number;
  readonly irqs: number;
}

/** struct vfio_region_info without its size. `flags`: RegionFlag. */
export interface RegionInfo {
  readonly flags: number;
  readonly sizeBytes: bigint;
  readonly offset: bigint;
}

/** struct vfio_irq_info without its size. `flags`: IrqFlag. */
export interface IrqInfo {
  readonly flags: number;
  readonly count: number;
}

/** What the driver of a device does for VFIO (struct vfio_device_ops). */
export interface VfioDeviceOperations {
  /** The first open: the device is enabled. @throws KernelError: the device can't be opened. */
  open(): void;
  /** The last close: the device is quiet again, and has no pages pinned. */
  close(): void;
  info(): DeviceInfo;
  /** @throws KernelError EINVAL: no such region. */
  regionInfo(index: number): RegionInfo;
  /** @throws KernelError EINVAL: no such interrupt. */
  irqInfo(index: number): IrqInfo;
  /** Attaches an event to interrupt `start` of a kind, or takes it away. @throws KernelError EINVAL */
  setIrq(index: number, start: number, on: boolean): void;
  /** @throws KernelError EINVAL: the device has no working reset. */
  reset(): void;
  /** Asks the user to give the device up (the request interrupt); false when nobody listens to it. */
  request(): boolean;
  /** Pages are being unmapped and must be unpinned. Present in drivers that pin pages. Bytes. */
  dmaUnmap?(iova: bigint, lengthBytes: bigint): void;
  /** Present in drivers of PCI functions: a reset of the whole bus. */
  readonly hotReset?: HotResettable;
  /** Handles a feature; false: the device has no such. @throws KernelError EINVAL. */
  feature?(call: FeatureCall): boolean;
}

/** How the open device reaches memory: through a container, or through an IOMMUFD context. */
export interface DmaPath {
  pinPages(iova: bigint, count: number, prot: number): number[];
  unpinPages(iova: bigint, count: number): void;
  accessMemory(iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array;
}

export class VfioDevice {
  readonly device: Device;
  readonly operations: VfioDeviceOperations;
  /** 'emulated': the driver isolates by pinning, no IOMMU stands behind the device. */
  readonly type: 'iommu' | 'emulated';
  /** 5.15: the device whose requester id or PASID isolates this mediated device (mdev_set_iommu_device). */
  isolatingDevice: Device | undefined;
  /** The group it is registered in; undefined before and after. */
  group: VfioGroup | undefined;
  /** Set while open: how pins and CPU access reach memory. */
  dmaPath: DmaPath | undefined;
  /** Set while it is bound to an IOMMUFD context: which one, and its number there. */
  iommufd: { readonly context: object; readonly id: number } | undefined;
  /** Opens by whatever path. */
  openCount = 0;
  /** Open descriptors of its own node (/dev/vfio/devices), bound or not: each keeps it from going. */
  nodeFiles = 0;
  /** True from registration until unregistration starts: only then can it be opened. */
  registered = false;
  private gone: Completion | undefined;

  /** Driver that offers it, for the kernel log. */
  readonly driverName: string;

  constructor(
    device: Device,
    type: 'iommu' | 'emulated',
    driverName: string,
    operations: VfioDeviceOperations,
  ) {
    this.device = device;
    this.driverName = driverName;
    this.type = type;
    this.operations = operations;
  }

  get name(): string {
    return this.device.name;
  }

  /** Unregistration has begun: finished when the last user is gone. */
  startUnregistration(log: (line: string) => void): Completion {
    this.registered = false;
    this.gone = new Completion();
    if (this.openCount === 0 && this.nodeFiles === 0) this.gone.complete();
    else if (!this.operations.request())
      log(
        `${this.driverName} ${this.name}: No device request channel registered, blocked until released by user`,
      );
    return this.gone;
  }

  /** Drops one open. The caller has closed its path when the count reaches 0. */
  releaseOpen(): void {
    this.openCount -= 1;
    this.checkGone();
  }

  /** Unregistration is finished when nobody has the device open by whatever path. */
  checkGone(): void {
    if (this.openCount === 0 && this.nodeFiles === 0) this.gone?.complete();
  }

  /**
   * vfio_pin_pages: pins pages through the container or IOMMUFD the device is open in; their frames.
   * @throws KernelError EINVAL (not open, none asked for, or a driver that takes no unmap notification), and what the
   * path says.
   */
  pinPages(iova: bigint, count: number, prot: number): number[] {
    if (count <= 0 || this.dmaPath === undefined || this.operations.dmaUnmap === undefined)
      throw new KernelError('EINVAL', 'device not open', `${this.name} can not pin ${count} pages now`);
    return this.dmaPath.pinPages(iova, count, prot);
  }

  /** Pages of the container are being unmapped: the driver lets go of them. */
  dmaUnmap(iova: bigint, lengthBytes: bigint): void {
    this.operations.dmaUnmap?.(iova, lengthBytes);
  }

  /** vfio_unpin_pages. */
  unpinPages(iova: bigint, count: number): void {
    this.dmaPath?.unpinPages(iova, count);
  }

  /** vfio_dma_rw. @throws KernelError EINVAL (not open, no bytes), EPERM, EFAULT. */
  accessMemory(iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array {
    if (bytes.length === 0 || this.dmaPath === undefined)
      throw new KernelError('EINVAL', 'device not open', `${this.name} has no access to memory now`);
    return this.dmaPath.accessMemory(iova, bytes, write);
  }
}

/** An open device descriptor. Closing runs what its opener gave. */
export class DeviceFile implements OpenFileObject {
  readonly fileKind: string = 'vfio device';
  readonly device: VfioDevice;
  private readonly whenReleased: () => void;

  constructor(device: VfioDevice, whenReleased: () => void) {
    this.device = device;
    this.whenReleased = whenReleased;
  }

  release(): void {
    this.whenReleased();
  }

  /** The operations, once the device may be used: a cdev must be bound first. */
  get operations(): VfioDeviceOperations {
    return this.device.operations;
  }

  /** VFIO_DEVICE_GET_INFO. @throws KernelError EINVAL below 16 bytes. */
  info(argsz: number): DeviceInfo {
    if (argsz < StructureBytes.deviceInfo) throw tooSmall('device info', argsz);
    return this.operations.info();
  }

  /** VFIO_DEVICE_GET_REGION_INFO. @throws KernelError EINVAL below 32 bytes, or no such region. */
  regionInfo(index: number, argsz: number): RegionInfo {
    if (argsz < StructureBytes.regionInfo) throw tooSmall('region info', argsz);
    return this.operations.regionInfo(index);
  }

  /** VFIO_DEVICE_GET_IRQ_INFO. @throws KernelError EINVAL below 16 bytes, or no such interrupt. */
  irqInfo(index: number, argsz: number): IrqInfo {
    if (argsz < StructureBytes.irqInfo) throw tooSmall('interrupt info', argsz);
    return this.operations.irqInfo(index);
  }

  /** VFIO_DEVICE_SET_IRQS with an eventfd on one interrupt, or without one to switch it off. */
  setIrq(index: number, start: number, on: boolean): void {
    this.operations.setIrq(index, start, on);
  }

  /** VFIO_DEVICE_RESET. */
  reset(): void {
    this.operations.reset();
  }

  /**
   * VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: the functions that a reset of the bus hits. `request.count` and `flags` are written.
   * @throws KernelError ENOTTY, EINVAL (size), ENODEV (no bus reset), ENOSPC (count tells), EPERM (no group).
   */
  hotResetInfo(request: HotResetInfoRequest): AffectedFunction[] {
    this.requireUsable();
    return hotResetInfo(this.device, request, this.iommufdContext);
  }

  /**
   * VFIO_DEVICE_PCI_HOT_RESET. @throws KernelError ENOTTY, EINVAL (structure, groups, a function that is not held),
   * ENODEV (no bus reset), EBADF.
   */
  hotReset(process: Process, request: HotResetRequest): void {
    this.requireUsable();
    hotReset(this.device, process, request, this.iommufdContext);
  }

  /** VFIO_DEVICE_FEATURE. @throws KernelError EINVAL, ENOTTY: no such feature. */
  feature(request: FeatureRequest): void {
    this.requireUsable();
    deviceFeature(this.device, request);
  }

  /** The IOMMUFD context it was bound to by this descriptor; undefined: it was opened by way of its group. */
  protected get iommufdContext(): object | undefined {
    return undefined;
  }

  /** @throws KernelError: the descriptor can do nothing yet. */
  protected requireUsable(): void {}
}

function tooSmall(what: string, argsz: number): KernelError {
  return new KernelError('EINVAL', `${what} structure`, `argsz ${argsz} is too small`);
}
