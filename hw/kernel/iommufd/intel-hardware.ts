/** What the VT-d driver tells and makes for IOMMUFD beyond the IOMMU core (drivers/iommu/intel/{iommu,nested}.c). */
import { SecondLevelEntry } from '../../vtd/layouts.ts';
import type { Device } from '../device.ts';
import { KernelError } from '../errno.ts';
import { pasidFeatures } from '../intel/device-features.ts';
import type { DeviceInfo } from '../intel/device-info.ts';
import { IntelDomain } from '../intel/domain.ts';
import { flushUnmapped } from '../intel/domain-flush.ts';
import type { IntelDriver } from '../intel/driver.ts';
import { NO_PASID } from '../intel/entries.ts';
import { NestedDomain as StageOneDomain } from '../intel/nested-domain.ts';
import { PageResponse as PageResponseCode } from '../intel/page-request-handler.ts';
import type { IommuDomain } from '../iommu/types.ts';
import type {
  DeviceIommu,
  HardwareInfo,
  InvalidationRequest,
  NestedDomain,
  PageRequestListener,
} from './device-iommu.ts';
import type { PageRequest } from './fault-queue.ts';
import { CorePagingDomain, type DirtyTracking } from './paging-domain.ts';

/** IOMMU_HW_INFO_TYPE_INTEL_VTD. */
const INFORMATION_TYPE = 1;
/** struct iommu_hw_info_vtd: flags, reserved, CAP, ECAP. */
const INFORMATION_BYTES = 24;
/** IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17: read-only mappings must not be below a nested page table. */
const ERRATUM_READ_ONLY_PARENT = 1;
/** Bits of the PASID capability: execute and privileged mode. */
const PASID_EXECUTE = 2;
const PASID_PRIVILEGED = 4;
/** D of a second-level leaf, in its lower half. */
const DIRTY_BIT = SecondLevelEntry.fields.dirty.mask;

/** IOMMU_HWPT_DATA_VTD_S1, IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, and the sizes of their structures. */
const STAGE_ONE_DATA = 1;
const STAGE_ONE_BYTES = 24;
const INVALIDATION_DATA = 0;
const INVALIDATION_BYTES = 24;
const INVALIDATE_LEAVES = 1;
const ALL_PAGES = (1n << 64n) - 1n;

/** A nested page table as IOMMUFD holds it. */
export class IntelNested implements NestedDomain {
  readonly domain: StageOneDomain;

  constructor(domain: StageOneDomain) {
    this.domain = domain;
  }

  /** intel_nested_cache_invalidate_user: entries {address, pages, flags}. */
  invalidate(request: InvalidationRequest, handled: { count: number }): void {
    if (request.dataType !== INVALIDATION_DATA)
      throw new KernelError('EINVAL', 'invalidation type', `type ${request.dataType} is not VT-d's`);
    for (const bytes of request.entries) {
      if (bytes.length !== INVALIDATION_BYTES)
        throw new KernelError(
          'EINVAL',
          'invalidation entry',
          `${bytes.length} bytes, wanted ${INVALIDATION_BYTES}`,
        );
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const address = view.getBigUint64(0, true);
      const pages = view.getBigUint64(8, true);
      const flags = view.getUint32(16, true);
      if ((flags & ~INVALIDATE_LEAVES) !== 0 || view.getUint32(20, true) !== 0)
        throw new KernelError('EOPNOTSUPP', 'unknown flags', `invalidation flags 0x${flags.toString(16)}`);
      if (address % 4096n !== 0n || (pages === ALL_PAGES && address !== 0n))
        throw new KernelError('EINVAL', 'invalidation entry', 'everything starts at 0; addresses are pages');
      const range = pages === ALL_PAGES ? undefined : { page: Number(address >> 12n), count: Number(pages) };
      this.domain.invalidate(range, flags === INVALIDATE_LEAVES);
      handled.count += 1;
    }
  }

  free(): void {
    this.domain.free();
  }
}

export class IntelHardware {
  private readonly driver: IntelDriver;
  private nestedCount = 0;

  constructor(driver: IntelDriver) {
    this.driver = driver;
  }

  /** IOMMU_CAP_ENFORCE_CACHE_COHERENCY: snoop control of the unit behind the device. */
  canEnforceCoherency(device: Device): boolean {
    return this.info(device)?.unit.capabilities.snoopControl === 1;
  }

  /** IOMMU_CAP_DIRTY_TRACKING: second-level A and D bits in scalable mode (ssads_supported). */
  canTrackDirty(device: Device): boolean {
    const unit = this.info(device)?.unit;
    return unit?.scalable === true && unit.capabilities.secondLevelAccessDirty === 1;
  }

  /** The domain as IOMMUFD fills it, with dirty tracking when it was made for that. */
  pagingDomain(domain: IommuDomain, dirtyTracking: boolean): CorePagingDomain {
    const own = domain instanceof IntelDomain ? domain : undefined;
    return new CorePagingDomain(domain, dirtyTracking && own !== undefined ? this.dirtyOf(own) : undefined);
  }

  /**
   * intel_iommu_domain_alloc_nested.
   * @throws KernelError EOPNOTSUPP without nested translation or for another type of data, EINVAL for data of the wrong
   * size or a parent that is no second stage.
   */
  allocateNested: NonNullable<DeviceIommu['allocateNested']> = (device, parent, _flags, data) => {
    const unit = this.info(device)?.unit;
    if (unit === undefined || !unit.scalable || unit.capabilities.nestedTranslation === 0)
      throw new KernelError(
        'EOPNOTSUPP',
        'no nested translation',
        `the unit of ${device.name} does not nest`,
      );
    if (data.type !== STAGE_ONE_DATA)
      throw new KernelError(
        'EOPNOTSUPP',
        'page table data',
        `data of type ${data.type} is not a first stage`,
      );
    const own = parent instanceof CorePagingDomain ? parent.domain : undefined;
    if (!(own instanceof IntelDomain) || own.firstLevel || !own.nestParent)
      throw new KernelError('EINVAL', 'no nesting parent', 'the parent is no second stage made for nesting');
    const { bytes } = data;
    if (bytes.length !== STAGE_ONE_BYTES)
      throw new KernelError('EINVAL', 'driver data', `${bytes.length} bytes, wanted ${STAGE_ONE_BYTES}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.nestedCount += 1;
    const domain = new StageOneDomain(
      this.driver,
      this.driver.profile,
      own,
      {
        flags: view.getBigUint64(0, true),
        tableAddress: view.getBigUint64(8, true),
        addressWidth: view.getUint32(16, true),
      },
      `nested domain ${this.nestedCount}`,
    );
    return new IntelNested(domain);
  };

  /** GET_HW_INFO. @throws KernelError EOPNOTSUPP for another type than the driver's. */
  hardwareInfo(device: Device, type: number): HardwareInfo {
    if (type !== 0 && type !== INFORMATION_TYPE)
      throw new KernelError('EOPNOTSUPP', 'hardware information', `VT-d has no information of type ${type}`);
    const unit = this.info(device)?.unit;
    const bytes = new Uint8Array(INFORMATION_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, ERRATUM_READ_ONLY_PARENT, true);
    view.setBigUint64(8, unit?.cap ?? 0n, true);
    view.setBigUint64(16, unit?.ecap ?? 0n, true);
    return { type: INFORMATION_TYPE, bytes };
  }

  pasidSupport(device: Device): { count: number; execute: boolean; privileged: boolean } {
    const info = this.info(device);
    const features = info?.pci === undefined ? 0 : (pasidFeatures(info.pci) ?? 0);
    return {
      count: this.driver.maximumPasids(device),
      execute: info?.pasidEnabled === true && (features & PASID_EXECUTE) !== 0,
      privileged: info?.pasidEnabled === true && (features & PASID_PRIVILEGED) !== 0,
    };
  }

  hasAts(device: Device): boolean {
    return this.info(device)?.atsSupported === true;
  }

  hasPageRequests(device: Device): boolean {
    return this.info(device)?.priSupported === true;
  }

  /** Gathers the requests of a group until its last, which is the one that is answered. */
  listenPageRequests(device: Device, listener: PageRequestListener): () => void {
    const info = this.info(device);
    const gathered = new Map<string, PageRequest[]>();
    return this.driver.pageRequests.onRequest((report) => {
      if (info === undefined || report.unit !== info.unit || report.requesterId !== info.requesterId)
        return false;
      const key = `${report.pasid ?? 'none'}:${report.group}`;
      const requests = gathered.get(key) ?? [];
      requests.push({
        pasid: report.pasid,
        groupIndex: report.group,
        permission:
          (report.read ? 1 : 0) |
          (report.write ? 2 : 0) |
          (report.execute ? 4 : 0) |
          (report.privileged ? 8 : 0),
        address: report.address,
      });
      gathered.set(key, requests);
      if (!report.last) return true;
      gathered.delete(key);
      return listener({
        pasid: report.pasid,
        requests,
        respond: (code) => this.driver.pageRequests.respond(report, PageResponseCode[code]),
      });
    });
  }

  /** intel_dirty_ops: SSADE in every PASID entry that leads to the table; the D bits of its leaves. */
  private dirtyOf(domain: IntelDomain): DirtyTracking {
    const { entries } = this.driver;
    return {
      setTracking: (enable) => {
        if (domain.dirtyTrackingOn === enable) return;
        domain.dirtyTrackingOn = enable;
        for (const info of domain.devices) entries.setDirtyTracking(info, NO_PASID, enable);
        for (const [info, pasids] of domain.pasidAttachments) {
          for (const pasid of pasids) entries.setDirtyTracking(info, pasid, enable);
        }
      },
      readAndClear: (iova, lengthBytes, record, keep) => {
        const page = Number(iova >> 12n);
        const count = Number(lengthBytes >> 12n);
        let cleared = false;
        domain.table?.forEachDirty(page, count, DIRTY_BIT, !keep, (first, pages) => {
          record(BigInt(first) << 12n, BigInt(pages) << 12n);
          cleared = !keep;
        });
        // Cached entries are marked already: the unit must walk again to mark anew.
        if (cleared) flushUnmapped(domain, page, count, true);
      },
    };
  }

  private info(device: Device): DeviceInfo | undefined {
    return this.driver.infoOf(device);
  }
}
