/** struct iommu_group: devices that the IOMMU can't tell apart, or that could reach each other past it. */
import type { Device } from '../device.ts';
import type { Act, ActMarker } from './acts.ts';
import type { DriverDomain, IommuDriver } from './driver.ts';
import type { IommuGroup } from './types.ts';

/** A domain attached to a PASID of the group. */
export interface PasidAttachment {
  readonly domain: DriverDomain;
  /** Caller's token for page-fault routing, or undefined. */
  readonly handle: object | undefined;
  readonly since: Act;
}

export class Group implements IommuGroup {
  readonly id: number;
  name: string | undefined;
  readonly devices: Device[] = [];
  driver: IommuDriver | undefined;
  defaultDomain: DriverDomain | undefined;
  blockingDomain: DriverDomain | undefined;
  owner: object | undefined;
  /** Members under reset (7.x): new attachments get EBUSY meanwhile. */
  recoveryCount = 0;
  readonly pasidAttachments = new Map<number, PasidAttachment>();
  /** Drivers that joined one domain through the shared attach of December 2021 (the proposal). */
  sharedCount = 0;
  readonly acts: ActMarker;
  /** The act that made it owned or used; undefined: it is neither. */
  ownedSince: Act | undefined;
  /** The act that put it onto its domain. */
  domainSince: Act | undefined;
  private users = 0;
  private current: DriverDomain | undefined;

  constructor(id: number, acts: ActMarker, name?: string) {
    this.id = id;
    this.acts = acts;
    this.name = name;
  }

  /** owner_cnt. */
  get ownerCount(): number {
    return this.users;
  }

  set ownerCount(count: number) {
    if (count === 0) this.ownedSince = undefined;
    else if (this.users === 0) this.ownedSince = this.acts.current;
    this.users = count;
  }

  /** What is attached to every member now (requests without PASID). */
  get domain(): DriverDomain | undefined {
    return this.current;
  }

  set domain(domain: DriverDomain | undefined) {
    if (domain !== this.current) this.domainSince = this.acts.current;
    this.current = domain;
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
