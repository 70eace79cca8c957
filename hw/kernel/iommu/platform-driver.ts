/**
 * An IOMMU of a platform that is not PCI (a system MMU as on tegra): devices by name, one translation for each group,
 * no PASIDs. What maps where is kept in a map; no register is modelled. Shared attach needs such a platform: its group
 * holds several devices whose drivers work on one domain.
 */
import type { Frame, Page } from '../../memory/types.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import type { DomainOptions, DriverDomain, IommuDriver } from './driver.ts';
import type { DomainType, ReservedRegion } from './types.ts';

/** 32-bit devices. */
const LAST_PAGE = 0xfffff as Page;

class PlatformDomain implements DriverDomain {
  readonly driver: PlatformIommuDriver;
  type: DomainType;
  readonly name: string;
  readonly pageSizes = 0x1000n;
  readonly aperture = { first: 0 as Page, last: LAST_PAGE };
  readonly enforcesCoherency = false;
  private readonly frames = new Map<number, Frame>();

  constructor(driver: PlatformIommuDriver, type: DomainType, name: string) {
    this.driver = driver;
    this.type = type;
    this.name = name;
  }

  enforceCacheCoherency(): boolean {
    return false;
  }

  map(page: Page, frame: Frame, count: number): void {
    if (page + count - 1 > LAST_PAGE) {
      throw new KernelError('ERANGE', 'address beyond 32 bits', `${this.name} takes 32-bit addresses.`);
    }
    for (let each = 0; each < count; each += 1) {
      if (this.frames.has(page + each)) {
        throw new KernelError(
          'EADDRINUSE',
          'address already mapped',
          `Page ${page + each} is mapped already.`,
        );
      }
    }
    for (let each = 0; each < count; each += 1) this.frames.set(page + each, (frame + each) as Frame);
  }

  unmap(page: Page, count: number): number {
    let unmapped = 0;
    for (let each = 0; each < count; each += 1) if (this.frames.delete(page + each)) unmapped += 1;
    return unmapped;
  }

  iovaToFrame(page: Page): Frame | undefined {
    return this.frames.get(page);
  }

  free(): void {
    this.driver.freeDomain(this);
  }
}

export class PlatformIommuDriver implements IommuDriver {
  readonly name = 'platform-iommu';
  readonly refusesBlockingDirect = false;
  readonly attachesPasids = false;
  readonly blockingDomain = new PlatformDomain(this, 'blocked', 'blocked');
  private readonly attached = new Map<Device, DriverDomain>();
  private made = 0;

  probe(_device: Device): void {}

  finalize(_device: Device): void {}

  release(device: Device): void {
    this.attached.delete(device);
  }

  requiredDomainType(): undefined {
    return undefined;
  }

  allocate(_device: Device, options: DomainOptions): DriverDomain {
    this.made += 1;
    return new PlatformDomain(this, options.type ?? 'unmanaged', `platform domain ${this.made}`);
  }

  attach(domain: DriverDomain, device: Device): void {
    if (domain.driver !== this) {
      throw new KernelError('EINVAL', 'domain of another driver', `${domain.name} is not of ${this.name}.`);
    }
    this.attached.set(device, domain);
  }

  detach(_domain: DriverDomain, device: Device): void {
    this.attached.delete(device);
  }

  maximumPasids(): number {
    return 0;
  }

  attachPasid(_domain: DriverDomain, device: Device): void {
    throw new KernelError('EOPNOTSUPP', 'no PASID support', `${device.name} has no PASIDs.`);
  }

  detachPasid(): void {}

  freeDomain(domain: DriverDomain): void {
    if ([...this.attached.values()].includes(domain)) {
      throw new KernelError('EBUSY', 'domain still attached', `${domain.name} is still attached.`);
    }
  }

  reservedRegions(): ReservedRegion[] {
    return [];
  }

  requiresDirect(): boolean {
    return false;
  }

  /** The frame that a device's DMA reaches now, or undefined: blocked. */
  translate(device: Device, page: Page): Frame | undefined {
    const domain = this.attached.get(device);
    if (domain === undefined || domain.type === 'blocked') return undefined;
    return domain.type === 'identity' ? (page as number as Frame) : domain.iovaToFrame(page);
  }
}
