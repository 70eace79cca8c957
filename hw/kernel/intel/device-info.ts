/** struct device_domain_info: what the driver keeps of one device. */
import type { Device } from '../device.ts';
import type { Act } from '../iommu/acts.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import {
  atsPageAligned,
  atsQueueDepth,
  atsSupported,
  disableAts,
  disablePasid,
  disablePri,
  enableAts,
  enablePasid,
  enablePri,
  maximumPasids,
  pasidFeatures,
  priResponseNeedsPasid,
  priSupported,
} from './device-features.ts';
import type { IntelDomain } from './domain.ts';
import type { DeviceTlbTarget } from './flusher.ts';
import type { PasidTable } from './pasid-table.ts';
import type { IntelUnit } from './unit.ts';

/** One (domain, device) pair attached in auxiliary mode (struct subdev_domain_info). */
export interface AuxiliaryRecord {
  readonly domain: IntelDomain;
  readonly info: DeviceInfo;
  users: number;
  readonly since: Act | undefined;
}

export class DeviceInfo implements DeviceTlbTarget {
  readonly device: Device;
  readonly unit: IntelUnit;
  /** Undefined for devices of the ACPI name space. */
  readonly pci: PciDevice | undefined;
  readonly bus: number;
  readonly devfn: number;
  readonly atsSupported: boolean;
  readonly pasidSupported: boolean;
  readonly priSupported: boolean;
  /** Numbers a PASID of this device can have: 2^width; 0 without PASID. */
  readonly maximumPasids: number;
  atsEnabled = false;
  pasidEnabled = false;
  priEnabled = false;
  queueDepth = 0;
  readonly physicalFunctionId: number;
  /** The domain of requests without PASID. */
  domain: IntelDomain | undefined;
  pasidTable: PasidTable | undefined;
  /** Domains attached by PASID number. */
  readonly pasidDomains = new Map<number, IntelDomain>();
  /** Auxiliary mode (profile 5.15). */
  auxiliary = false;
  readonly auxiliaryRecords = new Set<AuxiliaryRecord>();

  /** @param atsAllowed The path to the device may carry ATS: integrated, or below a root port that ATSR or SATC name. */
  constructor(device: Device, unit: IntelUnit, requesterId: number, atsAllowed: boolean) {
    this.device = device;
    this.unit = unit;
    this.pci = device.pci;
    this.bus = requesterId >>> 8;
    this.devfn = requesterId & 0xff;
    const pci = device.pci;
    const { capabilities } = unit;
    this.maximumPasids = pci === undefined ? 0 : maximumPasids(pci);
    this.atsSupported = pci !== undefined && capabilities.deviceTlb === 1 && atsSupported(pci) && atsAllowed;
    this.pasidSupported = pci !== undefined && unit.pasidSupported && pasidFeatures(pci) !== undefined;
    this.priSupported =
      pci !== undefined &&
      unit.scalable &&
      this.atsSupported &&
      capabilities.pageRequests === 1 &&
      priSupported(pci);
    const owner = pci?.isVirtualFunction ? pci.physicalFunction : undefined;
    this.physicalFunctionId =
      capabilities.deviceTlbThrottle === 1 && owner !== undefined
        ? (owner.address.bus << 8) | (owner.address.device << 3) | owner.address.function
        : 0;
  }

  get requesterId(): number {
    return (this.bus << 8) | this.devfn;
  }

  /** pci_enable_pasid; keeps what is on. */
  enablePasid(): void {
    if (this.pci !== undefined && this.pasidSupported && !this.pasidEnabled) {
      this.pasidEnabled = enablePasid(this.pci);
    }
  }

  /** pci_reset_pri, pci_enable_pri: only where the response need not carry a PASID or PASIDs are on. */
  enablePri(): void {
    if (this.pci === undefined || !this.priSupported || this.priEnabled) return;
    if (this.pasidEnabled && !priResponseNeedsPasid(this.pci)) return;
    this.priEnabled = enablePri(this.pci);
  }

  /** pci_enable_ats; after PASID, as the specification of PCI Express demands. */
  enableAts(): void {
    if (this.pci === undefined || !this.atsSupported || this.atsEnabled || !atsPageAligned(this.pci)) return;
    this.atsEnabled = enableAts(this.pci);
    if (this.atsEnabled) this.queueDepth = atsQueueDepth(this.pci);
  }

  disableAts(): void {
    if (this.pci !== undefined && this.atsEnabled) disableAts(this.pci);
    this.atsEnabled = false;
  }

  disablePri(): void {
    if (this.pci !== undefined && this.priEnabled) disablePri(this.pci);
    this.priEnabled = false;
  }

  disablePasid(): void {
    if (this.pci !== undefined && this.pasidEnabled) disablePasid(this.pci);
    this.pasidEnabled = false;
  }

  /** Notes that a PASID leads to a domain now. */
  linkPasid(domain: IntelDomain, pasid: number): void {
    this.pasidDomains.set(pasid, domain);
    const pasids = domain.pasidAttachments.get(this);
    if (pasids === undefined) domain.pasidAttachments.set(this, new Set([pasid]));
    else pasids.add(pasid);
  }

  /** The reverse; false: the PASID did not lead there. */
  unlinkPasid(domain: IntelDomain, pasid: number): boolean {
    const pasids = domain.pasidAttachments.get(this);
    if (pasids?.delete(pasid) !== true) return false;
    if (pasids.size === 0) domain.pasidAttachments.delete(this);
    if (this.pasidDomains.get(pasid) === domain) this.pasidDomains.delete(pasid);
    return true;
  }
}
