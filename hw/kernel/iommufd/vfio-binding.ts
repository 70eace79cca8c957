/**
 * How a VFIO device holds on to an IOMMUFD descriptor (drivers/vfio/iommufd.c): a physical device by DMA ownership and
 * page tables, an emulated one by an access to an IOAS.
 */
import { KernelError } from '../errno.ts';
import type { VfioDevice } from '../vfio/device.ts';
import { IommufdAccess } from './access.ts';
import type { IommufdContext } from './context.ts';
import { bindDevice, type IommufdDevice } from './device.ts';
import type { DeviceIommu } from './device-iommu.ts';

const WRITE = 2;

export interface VfioBinding {
  /** Number of the device or access in the descriptor. */
  readonly id: number;
  /** Attaches, or moves when attached already. @returns number of what it is attached to. @throws KernelError */
  attach(pageTable: number): number;
  /** Nothing happens when it is not attached. */
  detach(): void;
  /** The same for one PASID; undefined: the driver has no PASIDs. */
  attachPasid: ((pageTable: number, pasid: number) => number) | undefined;
  detachPasid: ((pasid: number) => void) | undefined;
  unbind(): void;
}

/** vfio_iommufd_physical_*. */
class PhysicalBinding implements VfioBinding {
  private readonly bound: IommufdDevice;
  private attached = false;
  private readonly pasids = new Set<number>();

  constructor(context: IommufdContext, device: VfioDevice, iommu: DeviceIommu) {
    this.bound = bindDevice(context, device.device, iommu);
  }

  get id(): number {
    return this.bound.id;
  }

  attach(pageTable: number): number {
    const hwpt = this.attached ? this.bound.replace(pageTable) : this.bound.attach(pageTable);
    this.attached = true;
    return hwpt;
  }

  detach(): void {
    if (!this.attached) return;
    this.bound.detach();
    this.attached = false;
  }

  attachPasid = (pageTable: number, pasid: number): number => {
    if (this.pasids.has(pasid)) return this.bound.replace(pageTable, pasid);
    const hwpt = this.bound.attach(pageTable, pasid);
    this.pasids.add(pasid);
    return hwpt;
  };

  detachPasid = (pasid: number): void => {
    if (this.pasids.delete(pasid)) this.bound.detach(pasid);
  };

  unbind(): void {
    for (const pasid of [...this.pasids]) this.detachPasid(pasid);
    this.detach();
    this.bound.unbind();
  }
}

/** vfio_iommufd_emulated_*: no ownership is claimed, no group is asked. */
class EmulatedBinding implements VfioBinding {
  readonly attachPasid = undefined;
  readonly detachPasid = undefined;
  private readonly device: VfioDevice;
  private readonly access: IommufdAccess;

  constructor(context: IommufdContext, device: VfioDevice) {
    this.device = device;
    const access = IommufdAccess.create(context, {
      needsPinPages: true,
      unmap: (iova, length) => device.dmaUnmap(iova, length),
    });
    this.access = access;
    device.dmaPath = {
      pinPages: (iova, count, prot) =>
        access.pin(iova & ~0xfffn, BigInt(count) * 4096n, (prot & WRITE) !== 0),
      unpinPages: (iova, count) => access.unpin(iova & ~0xfffn, BigInt(count) * 4096n),
      accessMemory: (iova, bytes, write) => {
        if (!write) return access.read(undefined, iova, BigInt(bytes.length));
        access.write(undefined, iova, bytes);
        return bytes;
      },
    };
  }

  get id(): number {
    return this.access.id;
  }

  attach(ioas: number): number {
    if (this.access.ioas === undefined) this.access.attach(ioas);
    else this.access.replace(ioas);
    return ioas;
  }

  detach(): void {
    this.access.detach();
  }

  unbind(): void {
    this.access.close();
    this.device.dmaPath = undefined;
  }
}

/** vfio_df_iommufd_bind. @throws KernelError EPERM, ENODEV, EINVAL, EBUSY for a physical device. */
export function bindVfioDevice(context: IommufdContext, device: VfioDevice): VfioBinding {
  const binding = newBinding(context, device);
  device.iommufd = { context, id: binding.id };
  return {
    id: binding.id,
    attach: (pageTable) => binding.attach(pageTable),
    detach: () => binding.detach(),
    attachPasid: binding.attachPasid,
    detachPasid: binding.detachPasid,
    unbind() {
      device.iommufd = undefined;
      binding.unbind();
    },
  };
}

function newBinding(context: IommufdContext, device: VfioDevice): VfioBinding {
  if (device.type === 'emulated') return new EmulatedBinding(context, device);
  const { iommu } = context.module;
  if (iommu === undefined)
    throw new KernelError('ENODEV', 'no IOMMU', `no IOMMU serves ${device.name}`, 'Switch the IOMMU on.');
  return new PhysicalBinding(context, device, iommu);
}
