/**
 * idxd: the host driver of streaming and analytics accelerators (drivers/dma/idxd). It enables the device, and on
 * kernels that know IOMMU-backed mediated devices offers its work queues as such.
 */
import type { HardwarePort } from '../../port.ts';
import { Completion } from '../completion.ts';
import type { Device } from '../device.ts';
import type { AuxiliaryDomains } from '../iommu/types.ts';
import { AcceleratorMdevDriver } from '../mdev/drivers/accelerator.ts';
import type { MdevCore } from '../mdev/mdev-core.ts';
import type { PciDevice } from '../pci/pci-device.ts';
import type { KernelProfile } from '../profile.ts';
import type { Vfio } from '../vfio/vfio.ts';
import { AcceleratorQueues } from './accelerator-queues.ts';
import { PciDriver } from './pci-driver.ts';

export interface IdxdOptions {
  readonly port: HardwarePort;
  readonly profile: KernelProfile;
  readonly mdev: MdevCore;
  readonly vfio: Vfio;
  readonly auxiliary: AuxiliaryDomains | undefined;
}

const INTEL = 0x8086;
/** DSA and IAA: Sapphire Rapids, Granite Rapids D, Diamond Rapids, Panther Lake. */
const DEVICES = [0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216, 0xb02d];
const COMMAND = 4;
const MEMORY_AND_BUS_MASTER = 6;

export function idxdDriver(options: IdxdOptions): PciDriver {
  const bound = new Map<Device, AcceleratorQueues>();
  return new PciDriver(
    'idxd',
    DEVICES.map((device) => ({ vendor: INTEL, device })),
    {
      probe(device: Device, pci: PciDevice): void {
        pci.write(COMMAND, 2, pci.read(COMMAND, 2) | MEMORY_AND_BUS_MASTER);
        const queues = new AcceleratorQueues(options.port, pci);
        queues.resetDevice();
        queues.enableDevice();
        bound.set(device, queues);
        if (options.profile.mdevIommuDevice) offerQueues(options, device, queues);
      },
      remove(device: Device): Completion {
        const parent = options.mdev.parentOf(device);
        const children = parent === undefined ? Completion.done() : options.mdev.unregisterParent(parent);
        return children.whenDone(() => {
          const queues = bound.get(device);
          bound.delete(device);
          if (queues?.deviceEnabled === true) queues.disableDevice();
        });
      },
    },
  );
}

function offerQueues(options: IdxdOptions, parent: Device, queues: AcceleratorQueues): void {
  const { mdev, vfio, auxiliary } = options;
  try {
    mdev.registerParent(parent, new AcceleratorMdevDriver({ parent, queues, vfio, auxiliary }));
  } catch (error) {
    queues.disableDevice();
    throw error;
  }
}
