/**
 * vfio-pci: the driver that offers a PCI function to user space. drivers/vfio/pci/{vfio_pci,vfio_pci_core,
 * vfio_pci_intrs}.c.
 */
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import {
  type DeviceInfo,
  type IrqInfo,
  type RegionInfo,
  VfioDevice,
  type VfioDeviceOperations,
} from '../vfio/device.ts';
import { type FeatureCall, mustSetFeature } from '../vfio/feature.ts';
import { DeviceFlag, Feature, IrqFlag, RegionFlag } from '../vfio/uapi.ts';
import type { Vfio } from '../vfio/vfio.ts';
import { ANY, PciDriver } from './pci-driver.ts';
import { PciHotReset } from './pci-hot-reset.ts';
import { resetFunction, resetMethods } from './pci-reset.ts';
import { type PciRegion, pciRegions } from './pci-resources.ts';

const ROM_REGION = 6;
const CONFIG_REGION = 7;
const VGA_REGION = 8;
const REGIONS = 9;

const INTX = 0;
const MSI = 1;
const MSIX = 2;
const ERROR = 3;
const REQUEST = 4;
const IRQS = 5;

const COMMAND = 4;
const COMMAND_MEMORY = 2;
const COMMAND_BUS_MASTER = 4;
const CAPABILITY_MSI = 0x05;
const CAPABILITY_MSIX = 0x11;
const CAPABILITY_SRIOV = 0x10;
const TOKEN_BYTES = 16;
const WAKEUP_BYTES = 8;
const PAGE = 4096;
/** Base class 3, sub-class 0. */
const CLASS_VGA = 0x0300;

/** One function bound to vfio-pci. */
export class VfioPciOperations implements VfioDeviceOperations {
  readonly pci: PciDevice;
  readonly hotReset: PciHotReset;
  private readonly regions: readonly PciRegion[];
  private readonly log: (line: string) => void;
  private readonly hasLowPower: boolean;
  private readonly dynamicMsix: boolean;
  private resets = false;
  private requestListener = false;
  /** The kind of interrupt (INTX, MSI or MSIX) in use, and its vectors. */
  private enabledIrqs: { readonly kind: number; readonly vectors: number } | undefined;
  /** The user let it go to sleep (VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY). */
  private asleep = false;

  /**
   * @param hotReset What a reset of its bus hits. @param hasLowPower Kernels since 6.1: users may let it sleep. @param
   * dynamicMsix MSI-X gets more vectors while it is enabled.
   */
  constructor(
    pci: PciDevice,
    options: {
      readonly hotReset: PciHotReset;
      readonly hasLowPower: boolean;
      readonly dynamicMsix: boolean;
      log(line: string): void;
    },
  ) {
    this.pci = pci;
    this.hotReset = options.hotReset;
    this.hasLowPower = options.hasLowPower;
    this.dynamicMsix = options.dynamicMsix;
    this.log = (line) => options.log(line);
    this.regions = pciRegions(pci);
  }

  open(): void {
    this.command(COMMAND_MEMORY, COMMAND_BUS_MASTER);
    this.resets = resetMethods(this.pci).length > 0;
    if (this.resets) this.logReset();
  }

  close(): void {
    this.requestListener = false;
    this.enabledIrqs = undefined;
    this.asleep = false;
    this.command(0, COMMAND_BUS_MASTER);
    if (this.resets) this.logReset();
  }

  info(): DeviceInfo {
    return { flags: DeviceFlag.pci | (this.resets ? DeviceFlag.reset : 0), regions: REGIONS, irqs: IRQS };
  }

  regionInfo(index: number): RegionInfo {
    const offset = BigInt(index) << 40n;
    if (index >= 0 && index < ROM_REGION) return { ...this.barInfo(index), offset };
    if (index === ROM_REGION) {
      const size = this.regions[ROM_REGION].sizeBytes;
      return { flags: size === 0 ? 0 : RegionFlag.read, sizeBytes: BigInt(size), offset };
    }
    if (index === CONFIG_REGION)
      return { flags: RegionFlag.read | RegionFlag.write, sizeBytes: BigInt(this.configSize), offset };
    if (index === VGA_REGION && this.pci.classCode >>> 8 === CLASS_VGA)
      return { flags: RegionFlag.read | RegionFlag.write, sizeBytes: 0xc0000n, offset };
    throw new KernelError('EINVAL', 'region index', `${this.pci.name} has no region ${index}`);
  }

  irqInfo(index: number): IrqInfo {
    if (index < 0 || index >= IRQS || (index === ERROR && !this.pci.isExpress))
      throw new KernelError('EINVAL', 'interrupt index', `${this.pci.name} has no interrupt kind ${index}`);
    let flags: number = IrqFlag.eventfd;
    if (index === INTX) flags |= IrqFlag.maskable | IrqFlag.automasked;
    // Vectors can be added to an enabled MSI-X, if to any.
    else if (index !== MSIX || !this.dynamicMsix || this.pci.capability(CAPABILITY_MSIX) === undefined)
      flags |= IrqFlag.noResize;
    return { flags, count: this.irqCount(index) };
  }

  /**
   * An event for one interrupt. The first one of a kind enables that kind, even without an event, and as long as it is
   * enabled the function has no other. @throws KernelError EINVAL
   */
  setIrq(index: number, start: number, on: boolean): void {
    if (start < 0 || start >= this.irqInfo(index).count)
      throw new KernelError(
        'EINVAL',
        'interrupt number',
        `${this.pci.name}: interrupt ${start} of kind ${index}`,
      );
    if (index === REQUEST) this.requestListener = on;
    if (index > MSIX) return;
    this.enabledIrqs ??= { kind: index, vectors: start + 1 };
    const { kind, vectors } = this.enabledIrqs;
    if (kind !== index)
      throw new KernelError(
        'EINVAL',
        'another kind of interrupt',
        `${this.pci.name} uses interrupts of kind ${kind}`,
        'close the device, or switch that kind off',
      );
    // Vectors are there from the start, but those that MSI-X can get later.
    if (on && start >= vectors && (index === MSI || !this.dynamicMsix))
      throw new KernelError('EINVAL', 'vectors enabled', `${this.pci.name} has ${vectors} vectors enabled`);
  }

  reset(): void {
    if (!this.resets)
      throw new KernelError(
        'EINVAL',
        'no reset',
        `${this.pci.name} has no reset of its own`,
        'reset its whole bus (hot reset)',
      );
    resetFunction(this.pci);
    this.logReset();
  }

  /**
   * vfio_pci_core_ioctl_feature: the token of virtual functions, where there can be any, and low power.
   * @throws KernelError EINVAL
   */
  feature(call: FeatureCall): boolean {
    switch (call.feature) {
      case Feature.PCI_VF_TOKEN:
        if (this.pci.extendedCapability(CAPABILITY_SRIOV) === undefined) return false;
        mustSetFeature(call, TOKEN_BYTES);
        return true;
      case Feature.LOW_POWER_ENTRY:
      case Feature.LOW_POWER_ENTRY_WITH_WAKEUP: {
        if (!this.hasLowPower) return false;
        const bytes = call.feature === Feature.LOW_POWER_ENTRY ? 0 : WAKEUP_BYTES;
        if (!mustSetFeature(call, bytes)) return true;
        if (this.asleep)
          throw new KernelError('EINVAL', 'asleep already', `${this.pci.name} is in low power already`);
        this.asleep = true;
        return true;
      }
      case Feature.LOW_POWER_EXIT:
        if (!this.hasLowPower) return false;
        if (mustSetFeature(call, 0)) this.asleep = false;
        return true;
      default:
        return false;
    }
  }

  request(): boolean {
    return this.requestListener;
  }

  /** Address of a region that may be mapped into a process. @throws KernelError EINVAL */
  mappableRegion(index: number): PciRegion {
    const region = this.regions[index];
    if (region === undefined || index >= ROM_REGION || region.kind !== 'memory' || region.sizeBytes < PAGE)
      throw new KernelError(
        'EINVAL',
        'region not mappable',
        `region ${index} of ${this.pci.name} can't be mapped`,
      );
    return region;
  }

  /** Memory decoding is on and the function awake: access to a mapped region works (else SIGBUS, and a pin of it EFAULT). */
  get memoryEnabled(): boolean {
    return !this.asleep && (this.pci.read(COMMAND, 2) & COMMAND_MEMORY) !== 0;
  }

  private barInfo(index: number): { flags: number; sizeBytes: bigint } {
    const region = this.regions[index];
    if (region.sizeBytes === 0) return { flags: 0, sizeBytes: 0n };
    let flags: number = RegionFlag.read | RegionFlag.write;
    if (region.kind === 'memory' && region.sizeBytes >= PAGE) {
      flags |= RegionFlag.mmap;
      if (index === this.msixBar) flags |= RegionFlag.capabilities;
    }
    return { flags, sizeBytes: BigInt(region.sizeBytes) };
  }

  private get msixBar(): number | undefined {
    const msix = this.pci.capability(CAPABILITY_MSIX);
    return msix === undefined ? undefined : this.pci.read(msix + 4, 4) & 7;
  }

  /** pci_cfg_space_size: the extended space is there when its first word can be read. */
  private get configSize(): number {
    return this.pci.isExpress && this.pci.read(0x100, 4) !== 0xffffffff ? 4096 : 256;
  }

  private irqCount(index: number): number {
    switch (index) {
      case INTX:
        return this.pci.isVirtualFunction || this.pci.read(0x3d, 1) === 0 ? 0 : 1;
      case MSI: {
        const msi = this.pci.capability(CAPABILITY_MSI);
        return msi === undefined ? 0 : 1 << ((this.pci.read(msi + 2, 2) >>> 1) & 7);
      }
      case MSIX: {
        const msix = this.pci.capability(CAPABILITY_MSIX);
        return msix === undefined ? 0 : (this.pci.read(msix + 2, 2) & 0x7ff) + 1;
      }
      default:
        return 1;
    }
  }

  private command(set: number, clear: number): void {
    this.pci.write(COMMAND, 2, (this.pci.read(COMMAND, 2) & ~clear) | set);
  }

  private logReset(): void {
    this.log(`vfio-pci ${this.pci.name}: resetting`);
    this.log(`vfio-pci ${this.pci.name}: reset done`);
  }
}

/**
 * The driver vfio-pci. It matches only by driver_override or by ids written to new_id, and takes endpoints only.
 * @param deviceOf The kernel's object for a PCI device.
 */
export function vfioPciDriver(vfio: Vfio, deviceOf: (pci: PciDevice) => Device | undefined): PciDriver {
  const { log, profile } = vfio.environment;
  return new PciDriver(
    'vfio-pci',
    [{ vendor: ANY, device: ANY, overrideOnly: true }],
    {
      probe(device: Device, pci: PciDevice): void {
        if (pci.headerType !== 0)
          throw new KernelError(
            'EINVAL',
            'not an endpoint',
            `${pci.name} is a bridge: vfio-pci takes endpoints only`,
          );
        const operations = new VfioPciOperations(pci, {
          hotReset: new PciHotReset(pci, vfio, deviceOf),
          hasLowPower: profile.vfioLowPower,
          dynamicMsix: profile.dynamicMsix,
          log,
        });
        vfio.register(new VfioDevice(device, 'iommu', 'vfio-pci', operations));
      },
      remove(device: Device) {
        const offered = vfio.deviceOf(device);
        return offered === undefined ? undefined : vfio.unregister(offered);
      },
    },
    { managesDma: true },
  );
}
