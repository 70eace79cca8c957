/** The host driver of graphics cards that can be cut into virtual ones (NVIDIA's vGPU manager). */
import type { HardwarePort } from '../../port.ts';
import { Completion } from '../completion.ts';
import { VgpuMdevDriver } from '../mdev/drivers/vgpu.ts';
import type { MdevCore } from '../mdev/mdev-core.ts';
import type { Vfio } from '../vfio/vfio.ts';
import { PciDriver } from './pci-driver.ts';

const NVIDIA = 0x10de;
/** Tesla T4. */
const CARDS = [0x1eb8];

export function nvidiaDriver(options: {
  readonly port: HardwarePort;
  readonly mdev: MdevCore;
  readonly vfio: Vfio;
}): PciDriver {
  const { port, mdev, vfio } = options;
  return new PciDriver(
    'nvidia',
    CARDS.map((device) => ({ vendor: NVIDIA, device })),
    {
      probe: (device) => {
        mdev.registerParent(device, new VgpuMdevDriver(port.memory, vfio));
      },
      remove: (device) => {
        const parent = mdev.parentOf(device);
        return parent === undefined ? Completion.done() : mdev.unregisterParent(parent);
      },
    },
  );
}
