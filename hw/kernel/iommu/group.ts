/** struct iommu_group: devices that the IOMMU can't tell apart, or that could reach each other past it. */
import type { Device } from '../device.ts';
import type { DriverDomain, IommuDriver } from './driver.ts';
import type { IommuGroup } from './types.ts';

/** A domain attached to a PASID of the group. */
export interface PasidAttachment {
  readonly domain: DriverDomain;
  /** Caller's token for page-fault routing, or undefined. */
  readonly handle: object | undefined;
}

export class Group implements IommuGroup {
  readonly id: number;
  name: string | undefined;
  readonly devices: Device[] = [];
  driver: IommuDriver | undefined;
  defaultDomain: DriverDomain | undefined;
  blockingDomain: DriverDomain | undefined;
  domain: DriverDomain | undefined;
  ownerCount = 0;
  owner: object | undefined;
  /** Members under reset (7.x): new attachments get EBUSY meanwhile. */
  recoveryCount = 0;
  readonly pasidAttachments = new Map<number, PasidAttachment>();
  /** Drivers that joined one domain through the shared attach of December 2021 (the proposal). */
  sharedCount = 0;

  constructor(id: number, name?: string) {
    this.id = id;
    this.name = name;
  }

  get pasids(): ReadonlyMap<number, DriverDomain> {
    return new Map([...this.pasidAttachments].map(([pasid, { domain }]) => [pasid, domain]));
  }

  /** A domain that no default and no blocking one is: somebody's own. */
  get hasPrivateDomain(): boolean {
    return (
      this.domain !== undefined && this.domain !== this.defaultDomain && this.domain !== this.blockingDomain
    );
  }
}
