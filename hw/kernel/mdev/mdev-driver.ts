/** What a parent driver brings to the mdev core (struct mdev_driver, struct mdev_type) and what the core makes of it. */
import type { Device } from '../device.ts';
import type { VfioDeviceOperations } from '../vfio/device.ts';

export type DeviceApi = 'vfio-pci' | 'vfio-platform' | 'vfio-amba' | 'vfio-ccw' | 'vfio-ap';

/** A kind of mediated device that a parent offers. Its directory is `<driver>-<sysfsName>`. */
export interface MdevType {
  readonly sysfsName: string;
  /** Attribute `name`; the sysfs name when there is none. */
  readonly prettyName?: string;
}

export interface MdevDriver {
  readonly name: string;
  readonly deviceApi: DeviceApi;
  /** Instances of all types together that the core counts; only for drivers without `available`. */
  readonly maximumInstances: number;
  readonly types: readonly MdevType[];
  /** Attribute group that the driver adds to every mediated device. */
  readonly attributeGroup?: string;
  /** Instances of a type that can still be made; with it, the driver counts and refuses by itself. */
  available?(type: MdevType): number;
  description?(type: MdevType): string;
  /** Takes a mediated device on. @throws KernelError: it can't be made. */
  probe(mdev: Mdev): VfioDeviceOperations;
  /** The device is gone: give back what it used. */
  removed(mdev: Mdev): void;
  /** 5.15: the device whose requester id or PASID isolates it (mdev_set_iommu_device); undefined: the driver pins. */
  isolatingDevice?(mdev: Mdev): Device | undefined;
  /** Files in the attribute group, readable and writable by name. */
  attributes?(mdev: Mdev): ReadonlyMap<string, MdevAttribute>;
  /** Which part of the parent serves it, for people: "work queue 3 (dedicated)". */
  resource?(mdev: Mdev): string | undefined;
  /** Which part of the parent's hardware does its DMA now; undefined: none, it is closed, or the driver moves data itself. */
  hardwarePath?(mdev: Mdev): HardwarePath | undefined;
  /** A driver that moves its device's data itself: reads or writes guest memory at an I/O address. @throws KernelError */
  moveData?(mdev: Mdev, iova: bigint, bytes: Uint8Array, write: boolean): Uint8Array;
}

/** A slice of a parent that does DMA by itself. */
export interface HardwarePath {
  /** Which of the device's independent parts: the index of a work queue. */
  readonly channel: number;
  /** The PASID on its requests; undefined: they carry the parent's requester id alone. */
  readonly pasid: number | undefined;
}

/** A vendor's file of a mediated device. */
export interface MdevAttribute {
  read?(): string;
  /** @throws KernelError */
  write?(text: string): void;
}

/** A device that offers mediated devices (struct mdev_parent). */
export interface MdevParent {
  readonly device: Device;
  readonly driver: MdevDriver;
  /** Instances that the core still gives out (drivers without `available`). */
  instancesLeft: number;
  unregistering: boolean;
}

/** A mediated device (struct mdev_device). */
export interface Mdev {
  /** Lower case. */
  readonly uuid: string;
  readonly device: Device;
  readonly parent: MdevParent;
  readonly type: MdevType;
  /** Shows in sysfs and can be opened; false while it is being made and once its removal has begun. */
  active: boolean;
}

/** Directory name of a type below mdev_supported_types. */
export function typeId(parent: MdevParent, type: MdevType): string {
  return `${parent.device.driver?.name ?? parent.device.bus}-${type.sysfsName}`;
}
