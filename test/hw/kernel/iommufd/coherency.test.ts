import { describe, expect, it } from 'vitest';
import { HwptPaging } from '../../../../hw/kernel/iommufd/hwpt.ts';
import { checkExtension, vfioIoas } from '../../../../hw/kernel/iommufd/vfio-compat.ts';
import { Extension } from '../../../../hw/kernel/vfio/uapi.ts';
import { SmallHost } from '../small-host.ts';
import { User } from './user.ts';

function attached(snoopControl: 0 | 1): { user: User; ioas: number; hwpt: HwptPaging } {
  const host = new SmallHost({ commandLine: 'intel_iommu=on', unit: { snoopControl } });
  const user = new User(host, 'qemu');
  const device = user.bind('C');
  const ioas = user.ioas();
  const hwpt = user.context.objects.get(device.attach(ioas), HwptPaging, 'a page table');
  return { user, ioas, hwpt };
}

describe('cache coherency of page tables (iommufd_hwpt_paging_enforce_cc)', () => {
  it('is enforced from the making on where the unit has snoop control, and VFIO hears of it', () => {
    const { user, ioas, hwpt } = attached(1);
    expect(hwpt.enforcesCoherency).toBe(true);
    vfioIoas(user.context, { operation: 1, ioas });
    expect(checkExtension(user.context, Extension.DMA_CC_IOMMU)).toBe(1);
  });

  it('is not where it has none', () => {
    const { user, ioas, hwpt } = attached(0);
    expect(hwpt.enforcesCoherency).toBe(false);
    vfioIoas(user.context, { operation: 1, ioas });
    expect(checkExtension(user.context, Extension.DMA_CC_IOMMU)).toBe(0);
  });
});
