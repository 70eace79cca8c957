/**
 * Whether a group could be given away as its drivers stand. Linux 5.15 asks each member when VFIO opens the group
 * (vfio.c, vfio_dev_viable): no driver, pci-stub, a VFIO driver, or a bridge will do. Since 5.18 the IOMMU core keeps
 * count of drivers that do DMA through the kernel (dma-ownership): those that manage it themselves do not count.
 */
import type { DeviceNode, ProfileName } from '../../hw/index.ts';
import { EXEMPT_DRIVERS } from './plan.ts';

/** True when this member does not keep its group from being given away. */
export function leavesGroupViable(member: DeviceNode, profile: ProfileName): boolean {
  const { driver } = member;
  if (driver === undefined) return true;
  if (profile !== '5.15') return EXEMPT_DRIVERS.has(driver);
  if ((member.headerType & 0x7f) !== 0 || driver === 'pci-stub') return true;
  return driver !== 'pcieport' && EXEMPT_DRIVERS.has(driver);
}
