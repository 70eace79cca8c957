/**
 * An AMD IOMMU as type1 sees it: an aperture of 64 bits and powers of two as page sizes. Which page
 * leads where is kept in a map; the unit's own tables and registers are not modelled (docs/vfio.md).
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { DomainOptions, DriverDomain, IommuDriver } from '../iommu/driver.ts';
import { type DomainType, IommuProt, type ReservedRegion } from '../iommu/types.ts';

const LAST_PAGE = 2 ** 52 - 1;
/** Powers of two from 4 KiB (bit 12) to 2 PiB (bit 51) but 512 GiB, which hardware gets wrong. */
const ALL_PAGE_SIZES = 0x000f_ff7f_ffff_f000n;

/** Interrupts. */
const MSI = { start: 0xfee00000n, end: 0xfeefffffn } as const;
/** HyperTransport's reserved range. */
const HYPERTRANSPORT = { start: 0xfd_0000_0000n, end: 0xff_ffff_ffffn } as const;

class AmdDomain implements DriverDomain {
  readonly driver: AmdDriver;
  type: DomainType;
  readonly name: string;
  readonly pageSizes = ALL_PAGE_SIZES;
  readonly aperture = { first: 0 as Page, last: LAST_PAGE as Page };
  attachedDevices = 0;
  private coherent = false;
  /** Frame * 4 + rights, by page. */
  private readonly pages = new Map<number, number>();

  constructor(driver: AmdDriver, type: DomainType, name: string) {
    this.driver = driver;
    this.type = type;
    this.name = name;
  }

  get enforcesCoherency(): boolean {
    return this.coherent;
  }

  enforceCacheCoherency(): boolean {
    this.coherent = true;
    return true;
  }

  map(page: Page, frame: Frame, count: number, prot: number): void {
    for (let index = 0; index < count; index += 1) {
      if (this.pages.has(page + index))
        throw new KernelError(
          'EADDRINUSE',
          'page mapped',
          `page 0x${(page + index).toString(16)} is mapped already`,
        );
    }
    const rights = prot & (IommuProt.read | IommuProt.write);
    for (let index = 0; index < count; index += 1) this.pages.set(page + index, (frame + index) * 4 + rights);
  }

  unmap(page: Page, count: number): number {
    let done = 0;
    while (done < count && this.pages.delete(page + done)) done += 1;
    return done;
  }

  iovaToFrame(page: Page): Frame | undefined {
    const entry = this.pages.get(page);
    return entry === undefined ? undefined : (Math.floor(entry / 4) as Frame);
  }

  /** The frame that a request of the device reaches with these rights, or undefined: the request is refused. */
  translate(page: Page, rights: number): Frame | undefined {
    if (this.type === 'identity') return page as number as Frame;
    const entry = this.pages.get(page);
    return entry === undefined || (entry & rights) !== rights ? undefined : (Math.floor(entry / 4) as Frame);
  }

  free(): void {
    this.driver.freeDomain(this);
  }
}

export class AmdDriver implements IommuDriver {
  /** QEMU's unit, which this is, keeps entries that are not present (NpCache): the kernel then flushes at each unmap. */
  readonly cachesNonPresent = true;

  readonly name = 'amd-iommu';
  readonly refusesBlockingDirect = false;
  readonly attachesPasids = false;
  readonly blockingDomain: AmdDomain;
  private readonly identity: AmdDomain;
  private readonly attached = new Map<Device, AmdDomain>();
  private made = 0;

  constructor() {
    this.blockingDomain = new AmdDomain(this, 'blocked', 'blocked');
    this.identity = new AmdDomain(this, 'identity', 'identity');
  }

  probe(): void {}

  finalize(): void {}

  release(device: Device): void {
    this.detachAny(device);
  }

  requiredDomainType(): undefined {
    return undefined;
  }

  allocate(_device: Device, options: DomainOptions): AmdDomain {
    if (options.type === 'identity') return this.identity;
    if (options.nestParent === true || options.dirtyTracking === true)
      throw new KernelError(
        'EOPNOTSUPP',
        'domain options',
        'the AMD model has neither nesting nor dirty tracking',
      );
    this.made += 1;
    return new AmdDomain(this, options.type ?? 'unmanaged', `domain ${this.made}`);
  }

  attach(domain: DriverDomain, device: Device): void {
    this.detachAny(device);
    const own = domain as AmdDomain;
    own.attachedDevices += 1;
    this.attached.set(device, own);
  }

  detach(_domain: DriverDomain, device: Device): void {
    this.detachAny(device);
  }

  maximumPasids(): number {
    return 0;
  }

  attachPasid(): void {
    throw new KernelError('EOPNOTSUPP', 'no PASIDs', 'the AMD model has no PASIDs');
  }

  detachPasid(): void {}

  freeDomain(domain: DriverDomain): void {
    if ((domain as AmdDomain).attachedDevices > 0)
      throw new KernelError('EBUSY', 'domain still attached', `${domain.name} is still attached`);
  }

  reservedRegions(device: Device): ReservedRegion[] {
    return [
      { ...MSI, type: 'msi', because: device.name },
      { ...HYPERTRANSPORT, type: 'reserved', because: device.name },
    ];
  }

  requiresDirect(): boolean {
    return false;
  }

  /** Where a request of a device leads, or undefined: refused. */
  translate(device: Device, page: Page, rights: number): Frame | undefined {
    return this.attached.get(device)?.translate(page, rights);
  }

  private detachAny(device: Device): void {
    const before = this.attached.get(device);
    if (before !== undefined) before.attachedDevices -= 1;
    this.attached.delete(device);
  }
}
