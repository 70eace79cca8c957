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
import type { IommuDomain } from '../iommu/types.ts';
import type { DeviceIommu, HardwareInfo } from './device-iommu.ts';
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

export class IntelHardware {
  readonly allocateNested: DeviceIommu['allocateNested'];
  private readonly driver: IntelDriver;

  constructor(driver: IntelDriver) {
    this.driver = driver;
    this.allocateNested = undefined;
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
